"""Counts and sizes are put into words by assistant.values.words alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for folder in ("assistant", "storage", "tui")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != ROOT / "assistant/values/words.py"
]
NOUNS = (
    "characters|chats|conversations|cores|crops|items|messages|models|pictures|places|requests|"
    "sessions|terminals|tokens|turns|versions|words"
)
AFTER_A_NUMBER = re.compile(rf" ({NOUNS})\b(?!/s)| ?[kMG]i?B\b(?!/s)")
EXCUSED = {
    "assistant/phi3v/vision.py",  # an error for developers
    "assistant/pictures/decode.py",  # a limit that is a power of two
}


def hand_made(source: str) -> Iterator[str]:
    """Find ``f"{n} pictures"``, ``f"{n / 1e9} GB"`` and ``"s" if n > 1 else ""``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.IfExp) and "s" in (text_of(node.body), text_of(node.orelse)):
            yield f"line {node.lineno}: a plural s"
        if isinstance(node, ast.JoinedStr):
            parts = [ast.Constant(""), *node.values]
            for before, value, after in zip(parts, parts[1:], parts[2:], strict=False):
                found = AFTER_A_NUMBER.match(text_of(after))
                is_product = text_of(before).endswith(("×", "x"))  # 2×2 crops
                if found and is_number(value) and not is_product:
                    yield f"line {node.lineno}:{found[0]}"


def text_of(node: ast.AST) -> str:
    return str(node.value) if isinstance(node, ast.Constant) else ""


def is_number(node: ast.AST) -> bool:
    """A call may be of ``counted``, or of ``join``; what else stands in braces may be a number."""
    return isinstance(node, ast.FormattedValue) and (
        not isinstance(node.value, ast.Call) or ast.unparse(node.value.func) == "len"
    )


@pytest.mark.parametrize(
    "source",
    [
        'f"{n} pictures"',
        'f"all {len(found):,} tokens"',
        'f"{n / 1e9:.1f} GB"',
        "f\"{n} x{'s' if n > 1 else ''}\"",
    ],
)
def test_a_count_made_by_hand_is_found(source: str) -> None:
    assert list(hand_made(source))


@pytest.mark.parametrize(
    "source",
    ['f"{n:.1f} tokens/s"', "f\"{counted(n, 'picture')} here\"", 'f"{rows}×{columns} crops"'],
)
def test_what_is_no_count_is_not_found(source: str) -> None:
    assert not list(hand_made(source))


def test_no_count_is_put_into_words_by_hand() -> None:
    found = {
        str(path.relative_to(ROOT)): list(hand_made(path.read_text(encoding="utf-8")))
        for path in FILES
    }
    assert {name: lines for name, lines in found.items() if lines and name not in EXCUSED} == {}
