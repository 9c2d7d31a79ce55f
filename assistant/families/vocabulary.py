"""Tokenizers without transformers; text and control tokens are kept apart.

The terminal app lays out prompts in its own process, so only the small ``tokenizers`` library is
imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from tokenizers import Tokenizer

from assistant.families.model_files import read_small
from assistant.values.errors import ModelError
from assistant.values.text import one_line

_PREFIX = re.compile(r'"continuing_subword_prefix"\s*:\s*"[^"]')

UNFINISHED = "\N{REPLACEMENT CHARACTER}"
"""Text of bytes that are no character, or none yet."""


def read_tokenizer(text: str) -> Any:
    """Parse a tokenizer.json. Raises Exception, as the library does, and never more than that.

    Rust code that panics raises what no ``except Exception`` catches, and writes to standard error,
    which is the app's screen; so the damage that is known to end so is looked for before.
    """
    if _PREFIX.search(text):  # few have one, and reading takes its time
        model = json.loads(text)["model"]
        prefix = model["continuing_subword_prefix"]
        seconds = (one.split(" ") if isinstance(one, str) else one for one in model["merges"])
        if not all(len(pair) == 2 and str(pair[1]).startswith(prefix) for pair in seconds):
            raise ValueError("its merges lack their prefix")
    try:
        return Tokenizer.from_str(text)
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError(str(error)) from error


class TokenizerVocabulary:
    """A tokenizer.json as a :class:`assistant.values.prompt.Vocabulary`; families subclass it.

    :meth:`encode` can't produce a control token, because the tokenizer behind it does not know
    them. They are added by id.
    """

    is_exact = True
    counts_exactly = True
    revision = 0

    needed: ClassVar[tuple[str, ...]]
    """The control tokens of the chat template."""

    stop_names: ClassVar[tuple[str, ...]]
    """The control tokens that end a reply."""

    def __init__(self, tokenizer_json: str) -> None:
        values = json.loads(tokenizer_json)
        self._ids: dict[str, int] = {t["content"]: int(t["id"]) for t in values["added_tokens"]}
        self.tokenizer_json = tokenizer_json
        values["added_tokens"] = []
        values["post_processor"] = None  # no BOS: the chat template sets it
        self._plain = read_tokenizer(json.dumps(values))

    @classmethod
    def from_folder(cls, folder: Path) -> Self:
        """Read a checkpoint's tokenizer.json. Raises ModelError."""
        path = folder / "tokenizer.json"
        try:
            vocabulary = cls(read_small(path).decode("utf-8"))
            for name in cls.needed:
                vocabulary.id(name)
        except FileNotFoundError:
            raise ModelError(
                f"{folder} has no tokenizer.json: it is not a complete model folder."
            ) from None
        except Exception as error:  # the tokenizers library raises bare Exception
            words = one_line(str(error), 200)
            raise ModelError(f"{path} can't be read ({words}): fetch the model again.") from error
        return vocabulary

    def id(self, name: str) -> int:
        return self._ids[name]

    def knows(self, ids: Iterable[int]) -> bool:
        return max(ids, default=0) < self._size

    def control_name(self, token: int) -> str | None:
        return self._names.get(token)

    @cached_property
    def _names(self) -> dict[int, str]:
        return {token: name for name, token in self._ids.items()}

    @cached_property
    def stop_ids(self) -> frozenset[int]:
        return frozenset(self._ids[name] for name in self.stop_names if name in self._ids)

    def encode(self, text: str) -> tuple[int, ...]:
        """Tokenize text; half of a surrogate pair, as in an argument, is U+FFFD."""
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return tuple(self._plain.encode(whole, add_special_tokens=False).ids)

    @cached_property
    def _size(self) -> int:
        ids: dict[str, int] = self._full.get_vocab()
        return max(ids.values()) + 1

    @cached_property
    def _full(self) -> Any:
        """The tokenizer with its control tokens, read when the first text is decoded."""
        try:
            return read_tokenizer(self.tokenizer_json)
        except Exception as error:  # the tokenizers library raises bare Exception
            words = one_line(str(error), 200)
            raise ModelError(
                f"The model's tokenizer.json can't be read ({words}): fetch the model again."
            ) from error

    def text(self, ids: Sequence[int]) -> str:
        text: str = self._full.decode(list(ids), skip_special_tokens=False)
        return text

    def decode(self, ids: Iterable[int]) -> str:
        """Decode a whole reply, control tokens left out."""
        stream = self.stream()
        return "".join(stream.feed(ids)) + stream.flush()

    def stream(self) -> TextStream:
        return TextStream(self._full, frozenset(self._ids.values()))


class TextStream:
    """Incremental detokenisation that never splits a character.

    The tokenizers library has a stream of its own, which raises where a model writes bytes that
    are no UTF-8 after bytes that are: its decoder reads a run of byte tokens as a whole, so the
    text that was returned already changes.
    """

    def __init__(self, tokenizer: Any, silent: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._silent = silent
        self._before: list[int] = []
        """The last ids that were returned as text: a blank before a word depends on them."""
        self._known = ""
        """The text of these."""
        self._held: list[int] = []

    def feed(self, ids: Iterable[int]) -> str:
        """Return the text that ``ids`` complete; bytes of an unfinished character are held back."""
        pieces = []
        for token in ids:
            if token in self._silent:
                continue
            self._held.append(token)
            piece = self._added()
            if piece and not piece.endswith(UNFINISHED):
                pieces.append(piece)
                self._before, self._held = self._held, []
                self._known = self._text(self._before)
        return "".join(pieces)

    def flush(self) -> str:
        """Return what is held back, unfinished characters as U+FFFD."""
        rest = self._added() if self._held else ""
        self._held = []
        return rest

    def _added(self) -> str:
        """Return the text of the held ids."""
        text = self._text([*self._before, *self._held])
        if text.startswith(self._known):
            return text[len(self._known) :]
        return self._text(self._held)  # bytes that don't go together with those before

    def _text(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True)
        return text
