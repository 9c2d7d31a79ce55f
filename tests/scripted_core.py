"""A core that says what a test tells it to, at the seam where servers will stand too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from assistant.families.chat import ChatTemplate
from assistant.phi3v.pictures import Phi3VPictures
from assistant.phi3v.template import STYLE
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import FinishReason, Usage
from assistant.values.errors import ModelError
from assistant.values.events import ModelStatus, Phase, Progressed, Stage
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.model import CoreEvent, ModelFacts
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling


class ScriptedCore:
    """Streams prepared replies, token by token, through the folder's own tokenizer.

    ``replies`` are used in turn; ``(text, error)`` streams ``text``, then
    raises ``error``. ``gate``, when given, is waited for before each token, so
    that a test decides how far a reply gets.
    """

    def __init__(
        self,
        folder: Path,
        replies: Sequence[str | tuple[str, Exception]] = ("Hello.",),
        *,
        context: int = 131072,
        gate: threading.Semaphore | None = None,
        is_demo: bool = False,
        num_crops: int = 1,
    ) -> None:
        self._folder = folder
        self._replies = list(replies)
        self.context = context
        self._num_crops = num_crops
        self._gate = gate
        self._is_demo = is_demo
        self._vocabulary = Vocabulary.from_folder(folder)
        self._chat = ChatTemplate(STYLE, lambda: self._vocabulary)
        self._stop = threading.Event()
        self.prompts: list[Prompt] = []
        self.samplings: list[Sampling] = []
        self.pixels: list[Pixels] = []
        self.closed = False
        self.forgotten: list[str] = []
        self.read: list[tuple[Prompt, int]] = []
        self.ahead_gate: threading.Event | None = None
        self.reading_stopped = threading.Event()

    def facts(self) -> ModelFacts:
        return ModelFacts(
            name="scripted",
            folder=str(self._folder),
            is_demo=self._is_demo,
            context=self.context,
            chat=self._chat,
            pictures=Phi3VPictures(chosen=self._num_crops),
        )

    def status(self) -> ModelStatus:
        return ModelStatus(Phase.READY, "scripted", self._is_demo)

    def preload(self) -> None:
        pass

    def generate(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        self.prompts.append(prompt)
        self.samplings.append(sampling)
        self._stop.clear()
        self.pixels += [pixels(slot.pixels_sha256) for slot in prompt.slots]
        yield Progressed(Stage.PREFILL, prompt.tokens, prompt.tokens)
        script = self._replies[(len(self.prompts) - 1) % len(self._replies)]
        text, error = script if isinstance(script, tuple) else (script, None)
        ids = [*self._vocabulary.encode(text)]
        if error is None:
            ids.append(self._vocabulary.id("<|end|>"))
        reason = FinishReason.STOP
        count = 0
        for token in ids:
            if self._gate is not None:
                self._gate.acquire()
            if self._stop.is_set():
                reason = FinishReason.STOPPED
                break
            count += 1
            yield TokensGenerated((token,))
            if count >= sampling.max_new_tokens:
                reason = FinishReason.LENGTH
                break
        if error is not None and reason is FinishReason.STOP:
            raise error
        usage = Usage(prompt.tokens, prompt.picture_tokens, 0, count)
        yield GenerationEnded(reason, usage, 0.1, 20.0)

    def line(self) -> ScriptedCore:
        return self

    def count(self, prompt: Prompt) -> bool:
        return False

    def read_ahead(self, prompt: Prompt, following: int, pixels: Callable[[str], Pixels]) -> bool:
        """Wait at ``ahead_gate``, if there is one, until it is opened or reading is stopped."""
        self.read.append((prompt, following))
        self.reading_stopped.clear()
        if self.ahead_gate is None:
            return False
        self.pixels += [pixels(slot.pixels_sha256) for slot in prompt.slots]
        while not self.ahead_gate.wait(0.005) and not self.reading_stopped.is_set():
            pass
        return not self.reading_stopped.is_set()

    def stop_reading(self) -> None:
        self.reading_stopped.set()

    def forget(self, chat: str) -> None:
        self.forgotten.append(chat)

    def stop(self) -> None:
        self._stop.set()
        if self._gate is not None:
            self._gate.release()

    def kill_hung(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class MissingCore(ScriptedCore):
    """A core whose model is not there."""

    def facts(self) -> ModelFacts:
        raise ModelError("The model is not on this machine.")
