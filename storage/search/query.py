"""Search queries: parsed, and matched with texts for scores and snippets."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from assistant.values.conversation import Snippet
from assistant.values.text import one_line
from storage.words import marks, pairs, runs

_MOST = 16
"""Words of a query and of a phrase, and characters of an unspaced piece, that are looked for: who
pastes a page looks for its beginning."""

_LONGEST = 200
"""Characters of a word; a longer one is looked for by its beginning: PostgreSQL takes 2 kB."""

_QUOTES = str.maketrans("“”„«»", '"' * 5)
_PIECE = re.compile(r'"(?P<quoted>[^"]*)(?P<closed>"?)|(?P<bare>[^\s"]+)')

_BEFORE, _SHOWN = 60, 160  # characters of a snippet before the first match, and in all
_K1, _B = 1.2, 0.75  # the customary constants of BM25 (Robertson and Zaragoza 2009, 3.2)


@dataclass(frozen=True)
class Wanted:
    """Words that follow one another, or a piece of a script without spaces.

    ``prefix``: the last word may go on.
    """

    words: tuple[str, ...]
    prefix: bool = False
    unspaced: bool = False

    @cached_property
    def terms(self) -> tuple[str, ...]:
        """The words as they are indexed."""
        if not self.unspaced:
            return self.words
        return tuple(pairs(self.words[0], whole=False))

    @property
    def open_ended(self) -> bool:
        """Whether the last term may go on: a single character begins a pair."""
        return self.prefix or (self.unspaced and len(self.words[0]) == 1)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Finds it in words with anything between; group 1 is how the last one goes on."""
        inner = rf"[^\W_]|[{marks()}]"
        words = r"[\W_]+".join(map(re.escape, self.terms))
        rest = f"((?:{inner})*)" if self.open_ended else f"()(?!{inner})"
        return re.compile(rf"(?<![^\W_]){words}{rest}")


def parse(typed: str) -> tuple[Wanted, ...]:
    """Parse a query; empty when nothing in it can be searched for.

    ``"quoted words"`` must follow one another, ``word*`` may go on, and so may
    the last word as long as nothing is typed after it.
    """
    typed = typed.translate(_QUOTES)
    found: dict[Wanted, None] = {}
    for piece in _PIECE.finditer(typed):
        at_end = piece.end() == len(typed)
        if (bare := piece["bare"]) is not None:
            wanted = _together(bare, prefix=at_end or bare.endswith("*"))
        else:
            wanted = _together(piece["quoted"], prefix=at_end and not piece["closed"])
        found |= dict.fromkeys(wanted)
    return tuple(found)[:_MOST]


def _together(text: str, *, prefix: bool) -> list[Wanted]:
    found: list[Wanted] = []
    end = 0
    for run in islice(runs(text), _MOST):
        end = run.end
        word = run.folded[: _MOST if run.unspaced else _LONGEST]
        if run.unspaced or not found or found[-1].unspaced or found[-1].prefix:
            found.append(Wanted((word,), unspaced=run.unspaced))
        else:
            found[-1] = Wanted((*found[-1].words, word))
        if not run.unspaced and word != run.folded:
            found[-1] = replace(found[-1], prefix=True)
    # "word!" is complete: something was typed after the word.
    if found and prefix and not found[-1].unspaced and end == len(text.rstrip("*")):
        found[-1] = replace(found[-1], prefix=True)
    return found


def scores(wanted: Sequence[Wanted], texts: Sequence[str]) -> list[float]:
    """Score each text by BM25, without the rarity of words: every text has all of them.

    ``texts`` are ASCII, or the words of :func:`storage.words.indexed`. A word
    that only begins as wanted counts half.
    """
    average = sum(map(len, texts)) / max(len(texts), 1) or 1.0
    found = []
    for text in texts:
        lower = text.lower()
        length = _K1 * (1 - _B + _B * len(text) / average)
        score = 0.0
        for each in wanted:
            count = sum(0.5 if rest else 1.0 for rest in each.pattern.findall(lower))
            score += count * (_K1 + 1) / (count + length)
        found.append(score)
    return found


def snippet(text: str, wanted: Sequence[Wanted]) -> Snippet:
    """Cut one line of ``text`` around the first match, and mark every match in it."""
    first = min(_first_matches(text, wanted), default=0)
    start = max(0, first - _BEFORE)
    if start > 0:  # at the beginning of a word, where there is one
        space = re.search(r"\s", text[start:first])
        start += 0 if space is None else space.end()
    end = start + _SHOWN
    if end < len(text):
        end = max(text.rfind(" ", first, end), end - _SHOWN // 4)
    line = one_line(text[start:end])
    line = ("…" if start > 0 else "") + line + ("…" if end < len(text) else "")
    return Snippet(line, _joined(_matches(line, wanted)))


def _first_matches(text: str, wanted: Sequence[Wanted]) -> Iterator[int]:
    if text.isascii():  # the long logs that people paste; this is much faster
        lower = text.lower()
        yield from (match.start() for each in wanted if (match := each.pattern.search(lower)))
    else:
        yield from (start for start, _ in [next(_matches(text, wanted), (0, 0))])


def _matches(text: str, wanted: Sequence[Wanted]) -> Iterator[tuple[int, int]]:
    """Find the matches in a text as [start, end), in the order of their ends."""
    recent: deque[tuple[int, str]] = deque(maxlen=max((len(w.words) for w in wanted), default=1))
    for run in runs(text):
        if run.unspaced:
            recent.clear()
            exact = len(run.folded) == run.end - run.start
            for each in wanted:
                for found in re.finditer(re.escape(each.words[0]), run.folded * each.unspaced):
                    start, end = found.span() if exact else (0, run.end - run.start)
                    yield run.start + start, run.start + end
            continue
        recent.append((run.start, run.folded))
        for each in wanted:
            n = len(each.words)
            if each.unspaced or len(recent) < n:
                continue
            words = [word for _, word in recent][-n:]
            if each.prefix and words[-1].startswith(each.words[-1]):
                words[-1] = each.words[-1]
            if tuple(words) == each.words:
                yield recent[-n][0], run.end


def _joined(marks: Iterator[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sort marks, and join those that touch or overlap."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(marks):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return tuple(joined)
