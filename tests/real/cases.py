"""Conversations that are put to another engine and to our core, and both answers as ids."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from assistant.core.generate import ResidentModel
from assistant.families.chat import ChatTemplate
from assistant.phi3v.crops import crop_grid
from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.template import STYLE
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.conversation import Picture, Role, Turn
from assistant.values.generation import TokensGenerated
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
from tests.conftest import GOLDENS

TOKENS = 24
IMAGE = 32044
"""The id that vLLM puts in the place of a picture's positions."""
LONG = 4823
"""Positions of the long prompt: beyond the 4,096 where the factors of LongRoPE change."""


@dataclass(frozen=True)
class Said:
    """One message; ``pictures`` are files of the goldens, before the text."""

    role: Role
    text: str
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Case:
    """A conversation whose last message is to be answered. ``num_crops`` is for all pictures."""

    name: str
    said: tuple[Said, ...]
    num_crops: int = 16
    beyond: bool = False
    """Longer than the original context."""


USER, ASSISTANT, SYSTEM = Role.USER, Role.ASSISTANT, Role.SYSTEM
CASES = (
    Case("text, with BOS", (Said(USER, "What is the capital of France?"),)),
    Case(
        "text, a system message and a reply before",
        (
            Said(SYSTEM, "You are brief."),
            Said(USER, "Name a colour."),
            Said(ASSISTANT, "Blue."),
            Said(USER, "Und noch eine? 日本 – 12 km²"),
        ),
    ),
    Case("a picture, 17 crops", (Said(USER, "What is in it?", ("sq336.png",)),)),
    Case("a picture, its own 1 crop", (Said(USER, "What is in it?", ("vga_640x480.png",)),), 1),
    Case(
        "two pictures over two turns",
        (
            Said(USER, "What is in it?", ("vga_640x480.png",)),
            Said(ASSISTANT, "A table with a lamp."),
            Said(USER, "And in this one?", ("vga_480x640.png",)),
        ),
        4,
    ),
    Case(
        "two pictures of 4 and 5 crops in a message",
        (Said(USER, "Compare them.", ("sliver_2000x50.png", "sq336.png")),),
        4,
    ),
    Case("4,823 tokens", (Said(USER, "", ("vga_640x480.png",)),), 4, beyond=True),
)


def laid_out(chat: ChatTemplate, case: Case) -> Prompt:
    turns = [
        Turn(str(at), None, one.role, one.text, datetime.now(UTC), tuple(_pictures(one)))
        for at, one in enumerate(case.said)
    ]
    return chat.render(turns, lambda picture: _slot(picture, case.num_crops))


class Ours:
    """Our core on a folder, on one thread so that sums are repeatable."""

    def __init__(self, folder: Path) -> None:
        torch.set_num_threads(1)
        self._model = Phi3VForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self._chat = ChatTemplate(STYLE, partial(Vocabulary.from_folder, folder))

    def prompt(self, case: Case) -> Prompt:
        return laid_out(self._chat, case)

    def text(self, ids: list[int]) -> str:
        """Decode a reply as a server sends it, without the blank before it."""
        vocabulary = self._chat.vocabulary
        return vocabulary.text(ids).lstrip()

    def filled(self, case: Case, length: int) -> Case:
        """Fill the text of the last message until the prompt has at least so many positions."""
        *before, last = case.said

        def with_words(count: int) -> Case:
            text = " ".join(("lamp", "table", "and", "the")[n % 4] for n in range(count))
            said = Said(last.role, text, last.pictures)
            return Case(case.name, (*before, said), case.num_crops, case.beyond)

        count = length
        while (over := self.prompt(with_words(count)).tokens - length) > 0:
            count -= max(1, over // 8)
        while self.prompt(with_words(count)).tokens < length:
            count += 1
        return with_words(count)

    def reply(self, prompt: Prompt) -> list[int]:
        """Answer greedily without looking at end tokens; a model that keeps nothing from before."""
        model = ResidentModel(self._model, frozenset(), 131072)
        chosen = Sampling(max_new_tokens=TOKENS, temperature=0.0)
        events = model.generate(prompt, chosen, _crops, lambda: False)
        return [i for event in events if isinstance(event, TokensGenerated) for i in event.ids]


def ids(prompt: Prompt) -> list[int]:
    """List a prompt's ids as vLLM writes them."""
    parts = ([IMAGE] * p.tokens if isinstance(p, Slot) else list(p) for p in prompt.parts)
    return [one for part in parts for one in part]


def messages(case: Case) -> list[dict[str, Any]]:
    """Write the conversation as phichat's client sends it."""
    return [{"role": str(one.role), "content": _content(one)} for one in case.said]


def _content(said: Said) -> Any:
    if not said.pictures:
        return said.text
    urls = [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in _files(said)]
    parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [*parts, {"type": "text", "text": said.text}]


def _files(said: Said) -> Iterator[bytes]:
    for name in said.pictures:
        yield (GOLDENS / "images" / name).read_bytes()


def _pictures(said: Said) -> Iterator[Picture]:
    for number, name in enumerate(said.pictures, 1):
        with Image.open(GOLDENS / "images" / name) as image:
            width, height = image.size
        yield Picture(number, name, name, name, "image/png", width, height)


def _slot(picture: Picture, num_crops: int) -> Slot:
    tokens = crop_grid(picture.width, picture.height, num_crops).tokens()
    return Slot(picture.pixels_sha256, num_crops, tokens)


def _crops(slot: Slot) -> tuple[torch.Tensor, tuple[int, int]]:
    with Image.open(GOLDENS / "images" / slot.pixels_sha256) as image:
        return Phi3VImageProcessor(num_crops=slot.detail).crops(image)
