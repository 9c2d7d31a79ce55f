"""The inference core as the app sees it: a model in a worker process. Never imports torch."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from assistant.families.registry import DEMO, model_facts
from assistant.values.chances import Chance
from assistant.values.conversation import FinishReason, Usage
from assistant.values.errors import ModelError, PhichatError
from assistant.values.events import ModelStatus, Phase, Progressed, Stage
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.model import CoreEvent, ModelFacts
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.values.words import counted
from assistant.worker.frames import Header, prompt_to_json
from assistant.worker.link import ALONE, CRASHED, FROZEN, WorkerLink

STOP_S = 1.0
"""Seconds in which a worker has to stop before it is asked whether it runs at all."""

RUNS_S = 2.0
"""Seconds to answer that, and to stop. The user gets the answer within 5 s of the key: painting it
takes up to two on a machine that is busy."""


class LocalCore:
    """A :class:`assistant.core.Core` whose model is in a process of its own.

    The worker starts on the first :meth:`preload` or :meth:`generate` and
    again after a crash. With ``runtime`` (a folder) it is shared by every
    terminal that asks for the same model with the same settings, and ends when
    no terminal has used it for ``keep_alive`` seconds; without, it is this core's
    own. ``log`` receives what libraries print there, ``features`` (a folder)
    keeps what was seen in pictures, at most ``feature_cache_mb`` MiB.
    """

    def __init__(
        self,
        model: str = DEMO,
        *,
        device: str = "auto",
        dtype: str = "auto",
        weights: str = "auto",
        kv: str = "auto",
        detail: int | None = None,
        context: int | None = None,
        threads: int | None = None,
        runtime: Path | None = None,
        keep_alive: int = 0,
        log: Path | None = None,
        features: Path | None = None,
        feature_cache_mb: int = 0,
    ) -> None:
        self._model = model
        self._detail, self._context = detail, context
        self._runtime, self._keep_alive, self._log = runtime, keep_alive, log
        self._engine: dict[str, Any] = {
            "device": device,
            "dtype": dtype,
            "weights": weights,
            "kv": kv,
            "threads": threads,
            "features": None if features is None else str(features),
            "feature_cache_mb": feature_cache_mb,
        }
        self._facts: ModelFacts | None = None
        self._link: WorkerLink | None = None
        self._status = ModelStatus(Phase.IDLE, model, model == DEMO)
        self._state = threading.Condition(threading.RLock())
        self._one_at_a_time = threading.Lock()
        self._starting = threading.Lock()
        self._numbers = itertools.count(1)
        self._running: int | None = None
        self._reading: tuple[WorkerLink, int] | None = None
        self._stop_wanted = False

    def facts(self) -> ModelFacts:
        """Facts of the chosen model. Raises ModelError when there is no such model.

        The context is the model's (or the one asked for) until a worker has
        planned its memory, then what that plan holds, if that is less.
        """
        facts = self._facts_before_the_plan()
        planned = (self._status.plan or {}).get("context_tokens", facts.context)
        return replace(facts, context=min(planned, facts.context))

    def status(self) -> ModelStatus:
        """Return the state of the model right now; never blocks."""
        return self._status

    def preload(self) -> None:
        """Start the worker and the loading of the model; returns at once.

        A model that can't be found shows as a FAILED status.
        """
        try:
            self._start()
        except PhichatError as error:
            self._set_status(phase=Phase.FAILED, detail=str(error))

    def generate(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        """See :meth:`assistant.core.Core.generate`."""
        with self._one_at_a_time:
            self._stop_wanted = False
            try:
                yield from self._request(prompt, sampling, pixels)
                return
            except _EndedError:
                pass  # it was ending when the request came: another worker answers
            yield from self._request(prompt, sampling, pixels)

    def _request(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        """Send the request to a worker, as soon as it has loaded, and yield its events."""
        link = self._start()
        yield from self._until_ready(link)
        number = next(self._numbers)
        request = {
            "op": "generate",
            "id": number,
            "parts": prompt_to_json(prompt),
            "begun": prompt.begun,
            "chat": prompt.chat,
            "sampling": asdict(sampling),
        }
        with link.answers(number) as answers:
            with self._state:  # a stop comes before the request or after it, never in between
                stopped = self._stop_wanted
                if not stopped:
                    link.send(request)
                    self._running = number
            if stopped:
                usage = Usage(prompt.tokens, prompt.picture_tokens)
                yield GenerationEnded(FinishReason.STOPPED, usage, 0.0, 0.0)
                return
            ended = False
            try:
                yield from self._events(link, number, answers, pixels)
                ended = True
            except _BusyError:  # at a step that can't be interrupted: it stops after that
                usage = Usage(prompt.tokens, prompt.picture_tokens)
                yield GenerationEnded(FinishReason.STOPPED, usage, 0.0, 0.0)
            finally:
                self._running = None
                if not ended:
                    # an iterator that is dropped half-way must not leave the worker at work
                    link.send({"op": "stop", "id": number})

    def count(self, prompt: Prompt) -> bool:
        """Count nothing: the tokenizer is on this machine."""
        return False

    def read_ahead(self, prompt: Prompt, following: int, pixels: Callable[[str], Pixels]) -> bool:
        """See :meth:`assistant.values.model.Core.read_ahead`; False where no model is loaded."""
        with self._state:
            link = self._link
            if link is None or self._status.phase is not Phase.READY:
                return False
            number = next(self._numbers)
        with link.answers(number) as answers:
            with self._state:
                self._reading = link, number
                link.send(
                    {
                        "op": "read_ahead",
                        "id": number,
                        "parts": prompt_to_json(prompt),
                        "chat": prompt.chat,
                        "following": following,
                    }
                )
            header: Header | None = {}
            try:
                while (header := answers.get()) is not None and header["ev"] != "read":
                    link.send_pixels(number, header["pixels"], pixels)
            finally:
                self._reading = None
                if header is not None and header.get("ev") != "read":
                    link.send({"op": "stop", "id": number})
        return header is not None and header["whole"]

    def stop_reading(self) -> None:
        """See :meth:`assistant.values.model.Core.stop_reading`."""
        with self._state:
            reading = self._reading
        if reading is not None:
            link, number = reading
            link.send({"op": "stop", "id": number})

    def forget(self, chat: str) -> None:
        """See :meth:`assistant.values.model.Core.forget`."""
        with self._state:
            link = self._link
        if link is not None and link.alive:
            link.send({"op": "forget", "chat": chat})

    def stop(self) -> None:
        """End the running generation within one token; harmless when nothing runs.

        One that waits for the model or for other terminals ends at once.
        """
        with self._state:
            self._stop_wanted = True
            link, number = self._link, self._running
            self._state.notify_all()
        if link is not None and number is not None:
            link.send({"op": "stop", "id": number})
            _call_after(STOP_S, self._ask_whether_it_runs, link, number)

    def _ask_whether_it_runs(self, link: WorkerLink, number: int) -> None:
        if self._running == number:
            _call_after(RUNS_S, self._give_up, link, number, link.ask())

    def _give_up(self, link: WorkerLink, number: int, question: int) -> None:
        """End a request that the worker did not stop; one that runs has answered ``question``."""
        if self._running == number:
            reacts = link.has_answered(question)
            if not reacts:
                self._set_status(phase=Phase.FAILED, detail=FROZEN)
            link.give_up(number, reacts=reacts)

    def line(self) -> LocalCore:
        """Return this: one worker answers one chat after the other."""
        return self

    def kill_hung(self) -> None:
        """See :meth:`assistant.values.model.Core.kill_hung`."""
        with self._state:
            link, number = self._link, self._running
        if link is not None and link.alive and (link.hangs or not link.reacts()):
            if number is not None:
                link.give_up(number, reacts=False)
            link.kill()

    def close(self) -> None:
        """Leave the worker; one of this core's own ends."""
        with self._state:
            link, self._link = self._link, None
            self._state.notify_all()
        if link is not None:
            link.close()

    def _facts_before_the_plan(self) -> ModelFacts:
        if self._facts is None:
            self._facts = model_facts(self._model, detail=self._detail, context=self._context)
        return self._facts

    def _start(self) -> WorkerLink:
        with self._starting:
            with self._state:
                link = self._link
                if link is not None and link.alive and self._status.phase is not Phase.FAILED:
                    return link
            spec = self._spec()
            with self._state:
                self._link = None  # what the old one still says is not heard any more
            if link is not None:
                link.close()  # without the lock: this may wait, and a stop does not
            with self._state:
                self._set_status(phase=Phase.LOADING, detail="Starting the engine", done=0, total=0)
                self._link = WorkerLink(
                    spec,
                    self._hear,
                    runtime=self._runtime,
                    keep_alive=self._keep_alive,
                    log=self._log,
                )
                return self._link

    def _spec(self) -> Mapping[str, Any]:
        """Return all that a worker is started with: terminals with the same spec share it."""
        facts = self._facts_before_the_plan()
        return {
            "folder": str(Path(facts.folder).resolve()),
            "context": facts.context,
            "detail": facts.pictures.largest,
            **self._engine,
        }

    def _hear(self, link: WorkerLink, header: Header | None) -> None:
        """Take a frame about the worker; None when the worker is gone."""
        with self._state:
            if link is not self._link:
                return  # an old worker's last words
            if header is None:
                if self._status.phase is not Phase.FAILED:
                    self._set_status(phase=Phase.FAILED, detail=CRASHED)
            elif header["ev"] == "alone":
                self._set_status(warning=ALONE)
            elif header["ev"] == "planned":
                self._set_status(plan=header["plan"])
            else:
                self._set_status(
                    phase=Phase(header["phase"]),
                    detail=str(header["detail"]),
                    done=header.get("done", 0),
                    total=header.get("total", 0),
                )

    def _set_status(self, **changes: Any) -> None:
        with self._state:
            self._status = replace(self._status, **changes)
            self._state.notify_all()

    def _until_ready(self, link: WorkerLink) -> Iterator[CoreEvent]:
        shown = None
        while True:
            with self._state:
                while (status := self._status) == shown and not self._stop_wanted:
                    if link is not self._link:
                        raise ModelError(CRASHED, code="crashed")
                    self._state.wait()
            if status.phase is Phase.READY or self._stop_wanted:
                return
            if status.phase is Phase.FAILED or link is not self._link:
                self._raise_if_ended(link)
                code = "crashed" if status.detail == CRASHED else None
                raise ModelError(status.detail or CRASHED, code=code)
            shown = status
            yield Progressed(Stage.LOADING, status.done, status.total)

    def _events(
        self,
        link: WorkerLink,
        number: int,
        answers: SimpleQueue[Header | None],
        pixels: Callable[[str], Pixels],
    ) -> Iterator[CoreEvent]:
        answered = False
        while True:
            header = answers.get()
            if header is None:
                if not answered:
                    self._raise_if_ended(link)
                raise ModelError(CRASHED, code="crashed")
            kind = header["ev"]
            if kind == "tokens":
                answered = True
                chances = (
                    Chance(logprob, tuple((token, other) for token, other in others))
                    for logprob, others in header["chances"]
                )
                yield TokensGenerated(tuple(header["ids"]), tuple(chances))
            elif kind == "queued":
                ahead = header["ahead"]
                words = f"waiting for {counted(ahead, 'other request')}"
                yield Progressed(Stage.QUEUED, ahead, 0, words)
            elif kind == "progress":
                yield Progressed(Stage(header["stage"]), header["done"], header["total"])
            elif kind == "pixels_wanted":
                link.send_pixels(number, header["pixels"], pixels)
            elif kind == "failed":
                raise ModelError(header["message"], code=header["code"])
            elif kind == "given_up" and header["reacts"]:
                raise _BusyError
            elif kind == "given_up":
                raise ModelError(FROZEN, code="frozen")
            else:
                yield GenerationEnded(
                    FinishReason(header["finish_reason"]),
                    Usage(**header["usage"]),
                    header["ttft_s"],
                    header["decode_tokens_per_s"],
                    header["load_s"],
                )
                return

    def _raise_if_ended(self, link: WorkerLink) -> None:
        """Raise _EndedError if the worker ended on request; not for a crash, not after close."""
        if link.ended and link is self._link:
            raise _EndedError(CRASHED, code="crashed")


def _call_after(seconds: float, function: Callable[..., None], *arguments: Any) -> None:
    waiting = threading.Timer(seconds, function, arguments)
    waiting.daemon = True
    waiting.start()


class _EndedError(ModelError):
    """The worker ended on request before it had answered anything."""


class _BusyError(Exception):
    """The worker runs, and has not stopped in time."""
