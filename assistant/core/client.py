"""The app's side of the worker process. Never imports torch."""

from __future__ import annotations

import itertools
import os
import queue
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO

from assistant.conversation import FinishReason, Usage
from assistant.core import (
    CoreEvent,
    CoreProgressed,
    GenerationEnded,
    ModelFacts,
    Pixels,
    Prompt,
    Sampling,
    TokensGenerated,
)
from assistant.core.models import DEMO, model_facts
from assistant.core.wire import Channel, Header, prompt_to_json
from assistant.errors import ModelError, PhichatError
from assistant.events import ModelStatus, Phase, Stage

_CRASHED = (
    "The engine process ended unexpectedly (it may have run out of memory); "
    "sending again starts it anew."
)


class LocalCore:
    """A :class:`assistant.core.Core` whose model lives in a process of its own.

    The worker starts on the first :meth:`preload` or :meth:`generate` and
    again after a crash. ``log`` receives what libraries print there.
    """

    def __init__(
        self,
        model: str = DEMO,
        *,
        device: str = "auto",
        dtype: str = "auto",
        num_crops: int | None = None,
        context: int | None = None,
        threads: int | None = None,
        log: Path | None = None,
    ) -> None:
        self._model = model
        self._device, self._dtype = device, dtype
        self._num_crops, self._context, self._threads = num_crops, context, threads
        self._log = log
        self._facts: ModelFacts | None = None
        self._worker: _WorkerProcess | None = None
        self._status = ModelStatus(Phase.IDLE, model, model == DEMO)
        self._state = threading.Condition(threading.RLock())
        self._one_at_a_time = threading.Lock()
        self._numbers = itertools.count(1)
        self._running: int | None = None

    def facts(self) -> ModelFacts:
        """Facts of the chosen model. Raises ModelError when there is no such model."""
        if self._facts is None:
            self._facts = model_facts(self._model, num_crops=self._num_crops, context=self._context)
        return self._facts

    def status(self) -> ModelStatus:
        """The state of the model right now; never blocks."""
        return self._status

    def preload(self) -> None:
        """Start the worker and the loading of the model; returns at once.

        A model that can't be found shows as a FAILED status.
        """
        try:
            self._start()
        except PhichatError as error:
            self._set_status(Phase.FAILED, str(error))

    def generate(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        """See :meth:`assistant.core.Core.generate`."""
        with self._one_at_a_time:
            worker = self._start()
            yield from self._until_ready(worker)
            number = next(self._numbers)
            self._running = number
            ended = False
            try:
                request = {
                    "op": "generate",
                    "id": number,
                    "parts": prompt_to_json(prompt),
                    "sampling": asdict(sampling),
                }
                worker.send(request)
                yield from self._events(worker, number, pixels)
                ended = True
            finally:
                self._running = None
                if not ended:
                    # an iterator that is dropped half-way must not leave the worker at work
                    worker.send({"op": "stop", "id": number}, missing_ok=True)

    def stop(self) -> None:
        """End the running generation within one token; harmless when nothing runs."""
        worker, number = self._worker, self._running
        if worker is not None and number is not None:
            worker.send({"op": "stop", "id": number}, missing_ok=True)

    def close(self) -> None:
        """End the worker."""
        with self._state:
            worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    def _start(self) -> _WorkerProcess:
        with self._state:
            worker = self._worker
            if worker is not None and worker.alive and self._status.phase is not Phase.FAILED:
                return worker
            facts = self.facts()
            self._worker = None  # what the old one still says is not heard any more
            if worker is not None:
                worker.close()
            self._status = ModelStatus(
                Phase.LOADING, self._model, facts.is_demo, "Starting the engine"
            )
            worker = self._worker = _WorkerProcess(self._hear, self._log)
        worker.send(
            {
                "op": "load",
                "folder": facts.folder,
                "device": self._device,
                "dtype": self._dtype,
                "context": facts.context,
                "threads": self._threads,
            }
        )
        return worker

    def _hear(self, worker: _WorkerProcess, header: Header | None) -> None:
        """A status frame came, or the worker is gone (None)."""
        with self._state:
            if worker is not self._worker:
                return  # an old worker's last words
            if header is None:
                self._set_status(Phase.FAILED, _CRASHED)
            else:
                self._set_status(Phase(header["phase"]), str(header["detail"]))

    def _set_status(self, phase: Phase, detail: str) -> None:
        with self._state:
            self._status = ModelStatus(phase, self._model, self._model == DEMO, detail)
            self._state.notify_all()

    def _until_ready(self, worker: _WorkerProcess) -> Iterator[CoreEvent]:
        shown = ""
        while True:
            with self._state:
                status = self._status
                if status.phase is Phase.LOADING and status.detail == shown:
                    self._state.wait(timeout=1.0)
                    status = self._status
            if status.phase is Phase.READY:
                return
            if status.phase is Phase.FAILED or worker is not self._worker:
                raise ModelError(status.detail or _CRASHED)
            if status.detail != shown:
                shown = status.detail
                percent = "".join(filter(str.isdigit, shown))
                yield CoreProgressed(Stage.LOADING, int(percent or 0), 100 if percent else 0)

    def _events(
        self, worker: _WorkerProcess, number: int, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        while True:
            header = worker.events.get()
            if header is None:
                raise ModelError(_CRASHED, code="crashed")
            if header["id"] != number:
                continue  # the rest of a generation that was dropped
            kind = header["ev"]
            if kind == "tokens":
                yield TokensGenerated(tuple(header["ids"]))
            elif kind == "progress":
                yield CoreProgressed(Stage(header["stage"]), header["done"], header["total"])
            elif kind == "pixels_wanted":
                worker.send_pixels(number, header["pixels"], pixels)
            elif kind == "failed":
                raise ModelError(header["message"], code=header["code"])
            else:
                yield GenerationEnded(
                    FinishReason(header["finish_reason"]),
                    Usage(**header["usage"]),
                    header["ttft_s"],
                    header["decode_tokens_per_s"],
                    header["load_s"],
                )
                return


class _WorkerProcess:
    """One run of the worker: the process, its channel, and a thread that listens to it."""

    def __init__(
        self,
        hear: Callable[[_WorkerProcess, Header | None], None],
        log: Path | None,
    ) -> None:
        ours, theirs = socket.socketpair()
        self.events: queue.SimpleQueue[Header | None] = queue.SimpleQueue()
        self.alive = True
        self._hear = hear
        self._channel = Channel(ours)
        output = _open_log(log)
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "assistant.core.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=_environment(),
                # ctrl-C in the terminal is for the app, which decides what to stop
                start_new_session=True,
            )
        finally:
            theirs.close()
            if not isinstance(output, int):
                output.close()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while (frame := self._channel.receive()) is not None:
            header, _ = frame
            if header["ev"] == "status":
                self._hear(self, header)
            else:
                self.events.put(header)
        self.alive = False
        self.events.put(None)
        self._hear(self, None)
        self._process.wait()

    def send(self, header: Header, payload: bytes = b"", *, missing_ok: bool = False) -> None:
        """Send a frame. Raises ModelError when the worker is gone, unless ``missing_ok``."""
        try:
            self._channel.send(header, payload)
        except OSError:
            if not missing_ok:
                raise ModelError(_CRASHED, code="crashed") from None

    def send_pixels(self, number: int, sha256: str, pixels: Callable[[str], Pixels]) -> None:
        """Answer the worker's question; a picture that can't be read ends that generation."""
        try:
            picture = pixels(sha256)
        except PhichatError as error:
            self.send({"op": "pixels", "id": number, "error": str(error)})
            return
        size = {"width": picture.width, "height": picture.height}
        self.send({"op": "pixels", "id": number, **size}, picture.rgb)

    def close(self) -> None:
        """The worker ends by itself when its socket closes; one that hangs is killed."""
        self._channel.close()
        try:
            self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _open_log(log: Path | None) -> IO[bytes] | int:
    if log is None:
        return subprocess.DEVNULL
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return log.open("wb")
    except OSError:
        return subprocess.DEVNULL  # a log is not worth failing for


def _environment() -> dict[str, str]:
    """The worker's environment: no network for libraries that would look for updates."""
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return {
        **os.environ,
        "PYTHONPATH": path,
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
