"""The worker process: loads one model, answers one prompt after another, obeys a stop at once.

Started by :mod:`assistant.worker.launch` as ``python -m assistant.worker FD
[LISTENER]``: its end of a socket pair with the terminal that starts it, and a socket where others
will ask to share it. :mod:`assistant.worker.server` says when it ends.
"""

from __future__ import annotations

import gc
import os
import queue
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant.values.errors import ModelError
from assistant.values.events import Phase, Progressed
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.model import CoreEvent
from assistant.values.prompt import Slot, Vocabulary
from assistant.worker.frames import Channel, Header
from assistant.worker.queue import Request
from assistant.worker.requests import ended_to_json
from assistant.worker.server import Server

if TYPE_CHECKING:
    from assistant.core.constraint import MakeConstraint
    from assistant.core.generate import ResidentModel
    from assistant.families.grammar import Grammars
    from assistant.families.runtime import Views

_PIXELS_WAIT_S = 60.0
"""A terminal that is asked for a picture and is suspended keeps the others waiting this long."""


@dataclass(frozen=True, slots=True)
class _Resident:
    model: ResidentModel
    views: Views
    vocab_size: int


class Worker:
    """The thread that computes: loads the model of ``spec``, then answers requests."""

    def __init__(self, spec: Mapping[str, Any], server: Server) -> None:
        self._spec, self._server = spec, server

    def run(self) -> None:
        """Compute until the process ends."""
        resident = self._load()
        from assistant.core.memory.heap import Heap

        heap = Heap()
        while True:
            request = self._server.next_request(resident.model.forget)
            if request.following is None:
                self._answer(resident, request)
            else:
                self._read_ahead(resident, request, request.following)
            self._server.vision_passes = resident.model.vision_passes
            heap.tidy()

    def _load(self) -> _Resident:
        started = time.perf_counter()
        try:
            resident = self._resident(self._spec)
        except ModelError as error:
            reason = str(error)
        except Exception as error:  # whatever a library raises, the app must hear of it
            reason = f"The model could not be loaded: {_plain(error)}."
        else:
            # what was imported and loaded stays: no collection has to look through it
            gc.freeze()
            gc.enable()
            self._server.ready(time.perf_counter() - started)
            return resident
        self._server.send_status(Phase.FAILED, reason)
        self._server.end(reason, code=1)
        raise AssertionError("the process has ended")

    def _resident(self, spec: Mapping[str, Any]) -> _Resident:
        """Plan the memory, report the plan to every terminal, load the model."""
        # torch takes a second to import: the server answers meanwhile
        import torch

        from assistant.core.cache.kv_cache import KVCache
        from assistant.core.cpu.acceleration import threading_layer
        from assistant.core.decode import is_compiled, prepare
        from assistant.core.feature_files import FeatureFiles
        from assistant.core.generate import ResidentModel
        from assistant.core.memory.devices import (
            choose_attention,
            choose_device,
            choose_threads,
            plan_memory,
        )
        from assistant.core.memory.speeds import chosen_way
        from assistant.core.memory.values import Wanted
        from assistant.core.weights import load_model
        from assistant.families.registry import family_of

        folder = Path(spec["folder"])
        family = family_of(folder)
        device = choose_device(spec["device"])
        wanted = Wanted(spec["dtype"], spec["weights"], spec["kv"], spec["context"])
        plan, speeds = plan_memory(
            folder,
            device,
            wanted,
            spec["detail"],
            lambda: self._server.send_status(Phase.LOADING, "Measuring this processor"),
        )
        self._server.send_plan(asdict(plan))
        dtype = getattr(torch, plan.dtype)
        shown = -1

        def report(done: int, total: int) -> None:
            nonlocal shown
            percent = 100 * done // max(total, 1)
            if percent != shown:
                shown = percent
                detail = f"Reading weights, {percent} %"
                self._server.send_status(Phase.LOADING, detail, done, total)

        model = load_model(
            folder,
            device=device,
            dtype=dtype,
            weights=plan.weights,
            attention=choose_attention(device, dtype),
            way=chosen_way(speeds, plan.weights, plan.dtype),
            tower=plan.tower,
            progress=report,
        )
        # quantized matrices are buffers
        weights = sum(one.numel() for one in (*model.parameters(), *model.buffers()))
        if threads := spec["threads"] or choose_threads(weights):
            torch.set_num_threads(threads)
        if is_compiled(model):
            self._server.send_status(Phase.LOADING, "Compiling for this processor")
            prepare(model, plan.kv)
            print(f"kernels run on threads of {threading_layer()}", file=sys.stderr, flush=True)
        files = None
        if spec["features"] is not None:
            files = FeatureFiles(Path(spec["features"]), spec["feature_cache_mb"] * 2**20)
        vocabulary = family.open(folder).chat.vocabulary
        return _Resident(
            ResidentModel(
                model,
                vocabulary.stop_ids,
                plan.context_tokens,
                new_cache=partial(KVCache, model.shape.layers, kind=plan.kv),
                position_bytes=plan.kv_bytes_per_token,
                kv_budget=plan.kv_budget,
                host_budget=plan.host_budget,
                feature_budget=plan.feature_budget,
                feature_files=files,
                constrain=_constrain(vocabulary, model.shape.vocab),
            ),
            family.runtime().views(folder),
            model.shape.vocab,
        )

    def _answer(self, resident: _Resident, request: Request) -> None:
        from assistant.core.out_of_memory import SENTENCE, is_out_of_memory

        try:
            _check_ids(request, resident)
            for event in resident.model.generate(
                request.prompt,
                request.sampling,
                lambda slot: self._views_of(resident.views, request, slot),
                request.stopped.is_set,
            ):
                self._server.send(request, self._event_to_json(request, event))
        except ModelError as error:
            self._fail(request, error.code, str(error))
        except Exception as error:
            if is_out_of_memory(error):
                self._fail(request, "memory", SENTENCE)
            else:
                words = f"The model failed ({_plain(error)}): try again, or start a new chat."
                self._fail(request, "model", words)

    def _read_ahead(self, resident: _Resident, request: Request, following: int) -> None:
        """Read a prompt that may come; whatever goes wrong, the reply itself will report."""
        whole = False
        try:
            _check_ids(request, resident)
            whole = resident.model.read_ahead(
                request.prompt,
                following,
                lambda slot: self._views_of(resident.views, request, slot),
                request.stopped.is_set,
                request.paused.is_set,
            )
        except Exception as error:
            print(f"not read ahead: {_plain(error)}", file=sys.stderr, flush=True)
        finally:
            self._server.finish_ahead(request, whole=whole)

    def _fail(self, request: Request, code: str, message: str) -> None:
        self._server.send(request, {"ev": "failed", "code": code, "message": message})

    def _views_of(self, views: Views, request: Request, slot: Slot) -> Any:
        """Ask the terminal for a picture's pixels and process them."""
        from PIL import Image

        from assistant.core.stop import Stopped

        request.pixels_wanted = True
        self._server.send(request, {"ev": "pixels_wanted", "pixels": slot.pixels_sha256})
        try:
            answer = request.pixels.get(timeout=_PIXELS_WAIT_S)
        except queue.Empty:
            raise ModelError("A picture did not arrive in time: try again.") from None
        finally:
            request.pixels_wanted = False
        if answer is None:
            raise Stopped
        if not isinstance(answer, Pixels):
            raise ModelError(answer)
        image = Image.frombytes("RGB", (answer.width, answer.height), answer.rgb)
        return views(image, slot.detail)

    def _event_to_json(self, request: Request, event: CoreEvent) -> Header:
        if isinstance(event, Progressed):
            stage, done, total = event.stage, event.done, event.total
            return {"ev": "progress", "stage": stage, "done": done, "total": total}
        if isinstance(event, TokensGenerated):
            return {"ev": "tokens", "ids": event.ids, "chances": event.chances}
        assert isinstance(event, GenerationEnded)
        return {**ended_to_json(event), "load_s": self._server.waited_s(request)}


def _constrain(vocabulary: Vocabulary, size: int) -> MakeConstraint:
    """Make a maker of constraints that imports its library with the first schema."""

    @cache
    def grammars() -> Grammars:
        from assistant.families.grammar import Grammars

        return Grammars(vocabulary.tokenizer_json, size, vocabulary.stop_ids)

    return lambda schema, begun: grammars().constraint(schema, begun)


def _check_ids(request: Request, resident: _Resident) -> None:
    for part in request.prompt.parts:
        # on a GPU an id beyond the table would take the whole process down
        if not isinstance(part, Slot) and part and max(part) >= resident.vocab_size:
            raise ModelError("The prompt has a token that the model does not know.")


def _plain(error: Exception) -> str:
    """Return the first line of a library's error, without its full stop."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")


def main() -> None:
    """Serve on the inherited sockets whose numbers are the arguments."""
    # while libraries are imported, objects are made that all stay
    gc.disable()
    first, *others = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    for inherited in (first, *others):
        # a process that a library starts must not hold the sockets open after this one
        os.set_inheritable(inherited.fileno(), False)
    start = Channel(first).receive()
    if start is None:
        return  # the terminal is gone already
    place = None
    if start["place"] is not None:
        from assistant.worker.rendezvous import Rendezvous

        folder, name = start["place"]
        place = Rendezvous(Path(folder), name)
    listener = others[0] if others else None
    server = Server(start["spec"], start["token"], first, listener, place)
    server.start()
    Worker(start["spec"], server).run()


if __name__ == "__main__":
    main()
