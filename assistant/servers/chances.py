"""Chances of tokens as a server sends them beside its text, put on the ids of the text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from assistant.servers.vocabulary import encode_bytes
from assistant.values.chances import OTHERS, Chance, Chances

_ENDS = frozenset(
    {
        "</s>", "<eos>", "<|end|>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>",
        "<end_of_turn>", "<turn|>", "<|return|>", "<|end_of_turn|>", "<|eom_id|>",
    }
)  # fmt: skip
"""Names of tokens that end a reply, of which servers send the names as texts."""

_MOST_BYTES = 4
"""Of a character."""

_LOWEST = -1e4
"""Servers send -9999 or -inf for what is impossible."""


_Sent = tuple[bytes, Chance | None]
"""Bytes of a token and its chance; None where its first bytes were taken up before."""


class SentChances:
    """Tokens and their chances in the order in which they came, taken up by the answer's text.

    The text may come in other pieces than the tokens do. Some of it is no part of the answer: the
    thought before it, its tags, white space. And some servers leave out the blank that a token
    begins with, or the bytes of tokens that are parts of a character (vLLM, for tokenizers like
    that of Phi-3). Where the two can't be brought together the chances of the whole reply are
    lost, and the text is what it is.
    """

    def __init__(self) -> None:
        self._tokens: list[_Sent] = []
        """Those that no text has taken up yet."""
        self._has_begun = self._is_lost = False
        self.has_more = False
        """Tokens of a thought or a fence came before the answer's."""

    def take(self, said: Any) -> None:
        """Take the ``logprobs`` of a choice, or whatever came in their place."""
        content = said.get("content") if isinstance(said, Mapping) and not self._is_lost else None
        for one in content if isinstance(content, list) else ():
            try:
                if one["token"] not in _ENDS:
                    self._tokens.append((_bytes_of(one), Chance(_logprob(one), _others(one))))
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                self._is_lost = True
                return

    def put_on(self, text: str) -> tuple[tuple[int, ...], Chances]:
        """Return the ids of a piece of the answer, and their chances; none where one is lost."""
        data = text.encode("utf-8", "replace")
        matched = None if self._is_lost else self._matched(data)
        if matched is None:
            self._is_lost = True
            return encode_bytes(data), ()
        pieces, self._tokens = matched
        self._has_begun = True
        ids: list[int] = []
        chances: list[Chance | None] = []
        for piece, chance in pieces:
            of_piece = encode_bytes(piece)
            ids += of_piece
            chances += [chance, *[None] * len(of_piece[1:])]
        return tuple(ids), tuple(chances)

    def _matched(self, data: bytes) -> tuple[list[_Sent], list[_Sent]] | None:
        """Put text on the tokens that it is made of: at once, or behind a thought."""
        if self._has_begun:
            return _put(data, self._tokens)
        starts: Iterable[int] = reversed(range(len(self._tokens)))
        if not self.has_more:
            blank = takewhile(lambda one: not one[0].strip(), self._tokens)
            starts = (0, len(list(blank)))
        for start in starts:
            tokens = self._tokens[start:]
            for first in dict.fromkeys((tokens[0][0], tokens[0][0].lstrip())) if tokens else ():
                if found := _put(data, [(first, tokens[0][1]), *tokens[1:]]):
                    return found
        return None


def _put(data: bytes, tokens: Sequence[_Sent]) -> tuple[list[_Sent], list[_Sent]] | None:
    """Cut text at the borders of tokens; return the pieces, and the tokens that are left.

    None stands for a text that these tokens don't make.
    """
    pieces: list[_Sent] = []
    silent: list[_Sent] = []
    for at, (token, chance) in enumerate(tokens):
        if not data:
            return pieces, [*silent, *tokens[at:]]
        if not token:
            silent.append((token, chance))
            continue
        if _begins(data, token):
            skipped = 0
        elif data[:1] == b" " and _begins(data[1:], token):
            skipped, chance = 1, _spaced(chance)
        elif silent and 0 < data.find(token) <= _MOST_BYTES * len(silent):
            skipped = data.find(token)
            pieces.append((data[:skipped], _together(silent)))
            data, skipped = data[skipped:], 0
        else:
            return None
        silent = []
        end = min(skipped + len(token), len(data))
        pieces.append((data[:end], chance))
        rest = token[end - skipped :]
        data = data[end:]
        if rest:
            return pieces, [(rest, None), *tokens[at + 1 :]]
    if data and silent:
        pieces.append((data, _together(silent)))
    elif data:
        return None
    return pieces, [] if data else silent


def _begins(data: bytes, token: bytes) -> bool:
    return data.startswith(token) or token.startswith(data)


def _spaced(chance: Chance | None) -> Chance | None:
    """Give words among the runners-up the blank that the chosen one was sent without."""
    if chance is None:
        return None
    texts = ((str(text), one) for text, one in chance.others)
    spaced = ((f" {text}" if text[:1].isalnum() else text, one) for text, one in texts)
    return Chance(chance.logprob, tuple(spaced))


def _together(tokens: Iterable[_Sent]) -> Chance:
    """Return the chance of a character that several tokens make."""
    return Chance(sum(chance.logprob for _, chance in tokens if chance is not None))


def _logprob(said: Mapping[str, Any]) -> float:
    """Read a logarithm. Raises ValueError for a number that is none."""
    found = float(said["logprob"])
    if math.isnan(found) or found > 0.01:
        raise ValueError("no logarithm of a probability")
    return min(0.0, max(found, _LOWEST))


def _others(said: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Return the texts that stood to be chosen instead; without halves of characters."""
    found: dict[str, float] = {}
    for one in said.get("top_logprobs") or ():
        if one["token"] == said["token"] or len(found) == OTHERS:
            continue
        text = "" if one["token"] in _ENDS else _bytes_of(one).decode("utf-8", "replace")
        if "\ufffd" not in text and (text or one["token"] in _ENDS):
            found.setdefault(text, _logprob(one))
    return tuple(found.items())


def _bytes_of(said: Mapping[str, Any]) -> bytes:
    """Return the bytes of a token; a number in their place would make as many zeros."""
    data = said.get("bytes")
    return str(said["token"]).encode() if data is None else bytes([*data])
