"""Thinking of servers' models: asked for or not, and kept apart from the answer.

Servers send it in a field of its own (``reasoning_content``, ``reasoning``, parts of the kind
``thinking``), or in the text between tags, the first of which may stand in the prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from assistant.servers.address import Address
from assistant.values.events import ThoughtGrew
from assistant.values.sampling import Thinking
from assistant.values.text import begun

TAGS: Mapping[str, str] = {
    "<think>": "</think>",  # Qwen, DeepSeek, Phi-4
    "<thinking>": "</thinking>",
    "<thought>": "</thought>",
    "<reasoning>": "</reasoning>",
    "[THINK]": "[/THINK]",  # Magistral
    "<seed:think>": "</seed:think>",
    "◁think▷": "◁/think▷",  # Kimi-VL
    "<|START_THINKING|>": "<|END_THINKING|>",  # Command
    "<|channel>thought": "<channel|>",  # Gemma 4
    **dict.fromkeys(
        ("<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>analysis<|message|>"),
        "<|end|><|start|>assistant<|channel|>final<|message|>",  # gpt-oss
    ),
}
"""Beginnings of what models think, and their ends, where a server leaves both in the text."""

_ENDS = tuple(dict.fromkeys(TAGS.values()))
_NO_THOUGHT = (
    "<|channel|>final<|message|>", "<|start|>assistant<|channel|>final<|message|>", *_ENDS,
)  # fmt: skip
"""Tags before an answer without a thought; an end alone is that of an empty one in the prompt."""
_LONGEST_END = max(map(len, _ENDS))
_ANY_END = re.compile("|".join(map(re.escape, _ENDS)))
_LESSON = re.compile(rf"(?P<end>{_ANY_END.pattern})[ \t]*\n|{'|'.join(map(re.escape, TAGS))}")
"""A tag in an answer that says whether the model begins with a thought. An end does only where its
line ends with it, as models write it: words about tags have them in a sentence."""
_ENDS_ITS_LINE = re.compile(r"[ \t]*\n")

_ALWAYS = re.compile(r"\br1\b|reason|think|magistral|\bqwq", re.IGNORECASE)
"""Names of models that think unasked."""

_ABLE = re.compile(
    r"qwen-?3|gemma-?4|gpt-?oss|deepseek|glm-?(?:4\.[5-9]|5)|smollm-?3|granite|kimi|nemotron|minimax"
    r"|seed-?oss|ernie|hunyuan|exaone|minicpm",
    re.IGNORECASE,
)
"""Names of families that think unless they are asked not to."""

_OWN_ENGINES = ("vllm", "sglang", "llamacpp", "library")
"""``owned_by`` of vLLM, SGLang, llama.cpp and Ollama, which take the switch of a template."""


@dataclass
class Habits:
    """Thinking of a model as far as it was learned; it holds for the rest of the process."""

    is_seen: bool = False
    """It thought although it was asked not to."""
    unopened: dict[bool, bool] = field(default_factory=dict)
    """Whether its text begins with a thought without a tag, by whether it was asked to think."""

    def may_be_unopened(self, model: str, level: str) -> bool:
        """Say whether the text may be a thought as long as no tag ended it."""
        wanted = level != "off"
        return self.unopened.get(wanted, wanted or bool(_ALWAYS.search(model)))


def switches(level: Thinking, address: Address, owner: str, habits: Habits) -> dict[str, Any]:
    """Return the fields of a request that switch thinking on or off.

    "off" is said where it does something: the model was seen to think, the server is an engine that
    hands it on, or one of this network with a model whose name says that it can think. Others
    refuse fields that they don't know.
    """
    is_off, model = level == "off", address.model or ""
    may_think = bool(_ABLE.search(model) or _ALWAYS.search(model))
    hears = owner in _OWN_ENGINES or (address.is_near and may_think)
    if is_off and not (hears or habits.is_seen):
        return {}
    names = ("enable_thinking", "thinking")  # Qwen's, Gemma's and others' templates; DeepSeek's
    kwargs: dict[str, Any] = dict.fromkeys(names, not is_off)
    if level not in ("off", "on"):
        return {
            "chat_template_kwargs": kwargs | {"reasoning_effort": level},
            "reasoning_effort": level,
        }
    if is_off and (owner == "library" or habits.is_seen):
        return {"chat_template_kwargs": kwargs, "reasoning_effort": "none"}
    return {"chat_template_kwargs": kwargs}


class Splitter:
    """Tells apart thought and answer in one stream of text.

    ``strips``: white space before the answer is left out. ``unopened``: the text is held until it
    is known whether an end of a thought comes. Then the answer of a model that did not think comes
    at once, at its end.
    """

    def __init__(self, *, unopened: bool, strips: bool = False) -> None:
        self._held = ""
        self._unopened = unopened
        self._looked = 0
        """Characters of a held text in which no tag is."""
        self._end = ""
        """The tag that ends the thought; "" before and after one."""
        self._is_answer = False
        self._tail = ""
        """The end of the answer so far, where half a tag may be."""
        self._strips = strips
        """White space is left out: before the answer, or between it and a thought."""
        self.was_unopened: bool | None = None
        """Whether the text began with a thought without a tag; None where it can't be said."""

    def settle(self) -> Iterator[str | ThoughtGrew]:
        """Take it that thoughts have a field of their own: what is held is the answer."""
        if self._unopened and not self._end:
            self._unopened, self.was_unopened = False, False
            yield from self.feed("")

    def feed(self, text: str) -> Iterator[str | ThoughtGrew]:
        """Yield what is settled of the text so far."""
        self._held += text
        while not self._is_answer:
            if not self._end:
                yield from self._begin()
            if not self._end:
                break
            yield from self._think()
            if self._end:
                break
        if self._is_answer:
            yield from self._answer()

    def finish(self, *, is_whole: bool) -> Iterator[str | ThoughtGrew]:
        """Yield the rest; ``is_whole``: the model ended the reply by itself."""
        held, self._held = self._held, ""
        is_thought = bool(self._end) or (self._unopened and not is_whole)
        held = held.lstrip() if self._strips and not is_thought else held
        if self._unopened and is_whole and held:
            self.was_unopened = False
        if held:
            yield ThoughtGrew(held) if is_thought else held

    def _begin(self) -> Iterator[str | ThoughtGrew]:
        said = self._held.lstrip()
        opening = next((one for one in TAGS if said.startswith(one)), None)
        none = next((one for one in _NO_THOUGHT if said.startswith(one)), None)
        if opening is not None:
            self.was_unopened = bool(self.was_unopened)
            self._end, self._held = TAGS[opening], said[len(opening) :].lstrip()
        elif none in _ENDS and not self._unopened and not _ENDS_ITS_LINE.match(said, len(none)):
            self._is_answer = bool(said[len(none) :].strip())  # words about a tag
        elif none is not None:
            self.was_unopened = bool(self.was_unopened) or none in _ENDS
            self._held, self._is_answer, self._strips = said[len(none) :], True, True
        elif not said or any(one.startswith(said) for one in (*TAGS, *_NO_THOUGHT)):
            return
        elif not self._unopened:
            self._is_answer = True
        elif (end := _ANY_END.search(self._held, self._looked)) is not None:
            self.was_unopened, self._end = True, end[0]
        else:
            self._looked = max(0, len(self._held) - _LONGEST_END)
            yield ThoughtGrew("")

    def _think(self) -> Iterator[str | ThoughtGrew]:
        thought, end, rest = self._held.partition(self._end)
        if end:  # another thought may follow at once
            self._held, self._end = rest, ""
            self._unopened, self._strips = False, True
            thought = thought.rstrip()
        else:
            kept = begun(thought, self._end)
            thought, self._held = thought[: len(thought) - kept], thought[len(thought) - kept :]
        if thought:
            yield ThoughtGrew(thought)

    def _answer(self) -> Iterator[str]:
        said, self._held = self._held, ""
        if self._strips:
            said = said.lstrip()
            self._strips = not said
        if self.was_unopened is None:
            self._tail += said
            if (tag := _LESSON.search(self._tail)) is not None:
                # too late for this reply, in time for the next one
                self.was_unopened = tag["end"] is not None
            self._tail = self._tail[-_LONGEST_END - 1 :]
        if said:
            yield said
