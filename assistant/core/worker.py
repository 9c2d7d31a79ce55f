"""The worker process: loads one model, answers one prompt after another, obeys a stop at once.

Started by :mod:`assistant.core.client` as ``python -m assistant.core.worker FD``,
FD being its end of a socket pair. It ends when the other end closes.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.core import (
    CoreProgressed,
    GenerationEnded,
    Sampling,
    Slot,
    TokensGenerated,
)
from assistant.core.wire import Channel, Header, prompt_from_json
from assistant.errors import ModelError
from assistant.events import Phase

if TYPE_CHECKING:
    import torch

    from assistant.core.generation import ResidentModel
    from assistant.phi3v.image_processing import Phi3VImageProcessor


class Worker:
    """Two threads: one receives (so that a stop is heard during a forward pass), one computes."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._requests: queue.SimpleQueue[Header] = queue.SimpleQueue()
        self._pixels: queue.SimpleQueue[tuple[Header, bytes]] = queue.SimpleQueue()
        self._stopped: set[int] = set()
        self._model: ResidentModel | None = None
        self._images: Phi3VImageProcessor | None = None
        self._load_s = 0.0

    def run(self) -> None:
        """Serve until the app goes away."""
        threading.Thread(target=self._receive, daemon=True).start()
        while True:
            request = self._requests.get()
            try:
                if request["op"] == "load":
                    self._load(request)
                else:
                    self._generate(request)
            except OSError:
                return  # the app is gone

    def _receive(self) -> None:
        while (frame := self._channel.receive()) is not None:
            header, payload = frame
            if header["op"] == "stop":
                self._stopped.add(header["id"])
                self._pixels.put((header, b""))  # it may be waiting for a picture
            elif header["op"] == "pixels":
                self._pixels.put((header, payload))
            else:
                self._requests.put(header)
        # The app is gone and nothing here is worth saving: do not finish a long forward pass.
        os._exit(0)

    def _status(self, phase: Phase, detail: str = "") -> None:
        self._channel.send({"ev": "status", "phase": phase, "detail": detail})

    def _load(self, request: Header) -> None:
        started = time.perf_counter()
        self._status(Phase.LOADING, "Starting the engine")
        try:
            self._resident(request)
        except ModelError as error:
            self._status(Phase.FAILED, str(error))
        except Exception as error:  # whatever a library raises, the app must hear of it
            reason = _plain(error)
            self._status(Phase.FAILED, f"The model could not be loaded: {reason}.")
        else:
            self._load_s = time.perf_counter() - started
            self._status(Phase.READY)

    def _resident(self, request: Header) -> None:
        # torch and transformers take seconds to import: the status above is sent first
        import torch
        import transformers

        from assistant.core.devices import (
            choose_attention,
            choose_device,
            choose_dtype,
            choose_threads,
        )
        from assistant.core.generation import ResidentModel
        from assistant.phi3v.image_processing import Phi3VImageProcessor
        from assistant.phi3v.modeling import Phi3VForCausalLM
        from assistant.phi3v.vocabulary import Vocabulary

        transformers.logging.set_verbosity_error()
        folder = Path(request["folder"])
        device = choose_device(request["device"])
        dtype = choose_dtype(request["dtype"], device, folder)
        shown = -1

        def report(done: int, total: int) -> None:
            nonlocal shown
            percent = 100 * done // max(total, 1)
            if percent != shown:
                shown = percent
                self._status(Phase.LOADING, f"Reading weights, {percent} %")

        model = Phi3VForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            device=device,
            attn_implementation=choose_attention(device, dtype),
            local_files_only=True,
            progress=report,
        )
        parameters = sum(parameter.numel() for parameter in model.parameters())
        if threads := request["threads"] or choose_threads(parameters):
            torch.set_num_threads(threads)
        self._images = Phi3VImageProcessor.from_pretrained(folder)
        stop_ids = Vocabulary.from_folder(folder).stop_ids
        self._model = ResidentModel(model, stop_ids, int(request["context"]))

    def _generate(self, request: Header) -> None:
        number = int(request["id"])
        try:
            if self._model is None:
                raise ModelError("The model is not loaded.")
            for event in self._model.generate(
                prompt_from_json(request["parts"]),
                Sampling(**request["sampling"]),
                lambda slot: self._crops_of(number, slot),
                lambda: number in self._stopped,
            ):
                self._channel.send({"id": number, **_event_to_json(event, self._load_s)})
                if isinstance(event, GenerationEnded):
                    self._load_s = 0.0
        except ModelError as error:
            self._fail(number, error.code, str(error))
        except MemoryError:
            self._fail(number, "memory", _OUT_OF_MEMORY)
        except OSError:
            raise
        except Exception as error:
            code = "memory" if "out of memory" in str(error) else "model"
            message = (
                _OUT_OF_MEMORY
                if code == "memory"
                else f"The model failed ({_plain(error)}): try again, or start a new session."
            )
            self._fail(number, code, message)
        finally:
            self._stopped.discard(number)

    def _fail(self, number: int, code: str, message: str) -> None:
        self._channel.send({"id": number, "ev": "failed", "code": code, "message": message})

    def _crops_of(self, number: int, slot: Slot) -> tuple[torch.Tensor, tuple[int, int]]:
        """Ask the app for a picture's pixels and cut them into crops."""
        from PIL import Image

        from assistant.core.generation import Stopped

        assert self._images is not None
        self._channel.send({"id": number, "ev": "pixels_wanted", "pixels": slot.pixels_sha256})
        header, rgb = self._pixels.get()
        while header["id"] != number:
            header, rgb = self._pixels.get()  # meant for a generation that was dropped
        if header["op"] == "stop":
            raise Stopped
        if header.get("error"):
            raise ModelError(str(header["error"]))
        image = Image.frombytes("RGB", (header["width"], header["height"]), rgb)
        return self._images.crops(image, slot.num_crops)


_OUT_OF_MEMORY = (
    "The device ran out of memory: start a new session, attach fewer pictures, or close other "
    "programs that use it."
)


def _event_to_json(event: object, load_s: float) -> dict[str, Any]:
    if isinstance(event, CoreProgressed):
        return {"ev": "progress", "stage": event.stage, "done": event.done, "total": event.total}
    if isinstance(event, TokensGenerated):
        return {"ev": "tokens", "ids": event.ids}
    assert isinstance(event, GenerationEnded)
    return {
        "ev": "ended",
        "finish_reason": event.finish_reason,
        "usage": asdict(event.usage),
        "ttft_s": event.ttft_s,
        "decode_tokens_per_s": event.decode_tokens_per_s,
        "load_s": load_s,
    }


def _plain(error: Exception) -> str:
    """The first line of a library's error, without its full stop."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


def main() -> None:
    """Serve on the inherited socket whose number is the first argument."""
    connection = socket.socket(fileno=int(sys.argv[1]))
    Worker(Channel(connection)).run()


if __name__ == "__main__":
    main()
