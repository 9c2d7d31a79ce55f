"""Words of a text as the search index has them, the same for every database.

ASCII text needs nothing: the databases themselves split it at everything that
is neither letter nor digit. Other text is indexed as what :func:`indexed`
makes of it, because they would not find it well:

- accents, vowel points and case are folded away (``Straße`` is ``strasse``);
- scripts that don't put spaces between words become overlapping pairs of
  characters (``今天天气`` is ``今天 天天 天气 气``), so that any piece is found;
- emoji and other symbols become words of their own.

A change of these words needs a migration that indexes all texts again. The released migration
m0003_search imports this module.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0edf"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17d3"  # Myanmar, Khmer
    "\u1100-\u11ff\uac00-\ud7ff"  # Hangul
    "\u3005-\u3007\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3105-\u312f\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"  # Han
)
"""Scripts without spaces between words; and Korean, whose words carry their endings with them."""

# Arrows, signs, dingbats and emoji, without lines and boxes, and without skin tones.
_SYMBOLS = "\u2190-\u24ff\u25a0-\u2bff\U0001f000-\U0001f3fa\U0001f400-\U0001faff"

_ASCII_WORD = re.compile("[A-Za-z0-9]+")

# Combining accents, and the points of Hebrew and Arabic, with the stroke that lengthens.
_FOLDED_AWAY = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640"
    "\u064b-\u065f\u0670\u06d6-\u06dc]"
)


@cache
def marks() -> str:
    """List accents, and vowels of Indian scripts: inside a word, though they are no letters."""
    categories = ((chr(code), unicodedata.category(chr(code))) for code in range(0x300, 0x1AFF))
    return "".join(character for character, category in categories if category[0] == "M")


@cache
def _run() -> re.Pattern[str]:
    """Compile the pattern of a run; when it is first needed, because most commands never do."""
    word = rf"(?:(?![{_UNSPACED}])[^\W_]|[{marks()}])+"
    return re.compile(rf"(?P<unspaced>[{_UNSPACED}]+)|(?P<symbol>[{_SYMBOLS}])|{word}")


@dataclass(frozen=True, slots=True)
class Run:
    """A word, a symbol, or a stretch of an unspaced script, at ``text[start:end]``."""

    start: int
    end: int
    folded: str
    unspaced: bool


def runs(text: str) -> Iterator[Run]:
    """Split a text into its runs, in order; characters between them are not searched."""
    if text.isascii():
        for match in _ASCII_WORD.finditer(text):
            yield Run(*match.span(), match.group().lower(), False)
        return
    for match in _run().finditer(text):
        if match["symbol"]:
            yield Run(*match.span(), f"u{ord(match.group()):x}", False)
        elif folded := _fold(match.group()):
            yield Run(*match.span(), folded, bool(match["unspaced"]))


def indexed(text: str) -> str | None:
    """Join the words of a text by spaces; None for ASCII, which is indexed as it is."""
    if text.isascii():
        return None
    words: list[str] = []
    for run in runs(text):
        words.append(run.folded) if not run.unspaced else words.extend(
            pairs(run.folded, whole=True)
        )
    return " ".join(words)


def pairs(run: str, *, whole: bool) -> list[str]:
    """List the overlapping pairs of characters of a run.

    The last character of a ``whole`` run follows them, so that every character begins a word.
    """
    found = [run[n : n + 2] for n in range(len(run) - 1)]
    return [*found, run[-1]] if whole or not found else found


def _fold(word: str) -> str:
    if word.isascii():
        return word.lower()
    apart = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", word).casefold())
    return unicodedata.normalize("NFC", _FOLDED_AWAY.sub("", apart))
