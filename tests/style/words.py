"""Vocabulary check: docstrings, comments, identifiers and file names in the field's own words.

Run as ``python -m tests.style.words`` (part of ``make check``) in the root of the
repository. String literals are not checked: what a screen says may say "room".
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_WORDS = {
    r"doors?": "API, module or connection",
    r"(?:this|that|every|each|any|an?|one|other|own|common|its|cached|no other) rooms?|rooms": (
        "module or package"  # room in the sense of space is plain English: "room for 8 rows"
    ),
    r"ground floor|storeys?": "layer",
    r"anew": "again",
    r"nobody": "the actor: no user, no process, no caller",
    r"whoever": "the actor: the caller, the client",
    r"told": "shown, reported, notified, passed",
    r"lives|lived|life": "is, runs, stays, lifetime",
    r"comes? to be|came to be": "the verb: is generated, is built",
}
"""Patterns of the private vocabulary -> the words that a reader would search for."""
_ACTOR = re.compile(
    r"(?:^|\b(?:that|which|where|when|if|as|what)|[,;:(])\s+one "
    r"(?:can|can't|may|must|should|would|could|wants|sees|needs)\b",
    re.IGNORECASE,
)
_BANNED = [(re.compile(rf"\b(?:{p})\b", re.IGNORECASE), words) for p, words in _WORDS.items()]
_OPENING = re.compile(r"(?:What|How|Who|Where|Why|When|Which|Whatever|Whoever|Wherever)\b")
_PARTS = frozenset(
    {"anew", "door", "doors", "lived", "lives", "nobody", "rooms", "told", "whoever"}
)
"""Parts of identifiers and file names."""
_QUESTION = re.compile(r"_*(?:what|how|who|where|why)_")
_CAMEL = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")

NOUNS_IN_ING = frozenset(
    {
        "drawing", "embedding", "encoding", "hardening", "modeling", "processing", "sampling",
        "setting", "streaming", "string", "timing", "training",
    }
)  # fmt: skip
"""Words in -ing that file names may have: nouns of the field, and Hugging Face's own names."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A line that is not in the field's words; ``line`` counts from 1."""

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


def check(path: str, source: str) -> list[Finding]:
    """Find the private vocabulary in one file, its path included."""
    found = list(_file_name(path))
    if path.endswith(".py"):
        found += _python(path, source)
    else:
        found += _prose(path, 1, source)
    return sorted(found, key=lambda one: one.line)


def _file_name(path: str) -> Iterator[Finding]:
    if not path.endswith(".py"):
        return
    for part in re.split(r"[_/]", path.removesuffix(".py")):
        if part.endswith("ing") and part not in NOUNS_IN_ING:
            yield Finding(path, 1, f"file name with a gerund: {part} (name the thing or the verb)")
        if part in _PARTS:
            yield Finding(path, 1, f"file name with {part!r}")


def _python(path: str, source: str) -> Iterator[Finding]:
    tree = ast.parse(source)
    # 1. bare strings: docstrings of modules, classes and functions, and those below a constant
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            text = node.value.value
            if opening := _OPENING.match(text.lstrip()):
                yield Finding(path, node.lineno, f"docstring begins with {opening[0]!r}")
            yield from _prose(path, node.lineno, text)
        # 2. names, where they are bound
        for name in _bound(node):
            line = getattr(node, "lineno", 1)
            if banned := _PARTS & {part.lower() for part in _CAMEL.findall(name)}:
                yield Finding(path, line, f"identifier {name}: {', '.join(sorted(banned))}")
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _QUESTION.match(name):
                yield Finding(path, line, f"function {name} is named as a question")
    # 3. comments
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield from _prose(path, token.start[0], token.string.lstrip("# "))


def _bound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
            yield name
        case ast.Attribute(attr=name, ctx=ast.Store()):
            yield name


def _prose(path: str, first_line: int, text: str) -> Iterator[Finding]:
    for number, line in enumerate(text.splitlines(), first_line):
        for pattern, better in _BANNED:
            if match := pattern.search(line):
                yield Finding(path, number, f"{match[0]!r}: say {better}")
        if _ACTOR.search(line):
            yield Finding(path, number, "'one' as an actor: name the user, worker or screen")


def files() -> list[str]:
    """List the tracked files that hold prose of the project."""
    command = ["git", "ls-files", "*.py", "*.md", "*.toml", "*.tcss", "Makefile"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [path for path in listed.splitlines() if Path(path).exists()]


def main() -> int:
    """Print the findings; exit code 1 if there are any."""
    refused = 0
    for path in files():
        if path in ("tests/style/words.py", "tests/style/test_words.py"):
            continue  # the list itself, and its bad samples
        for finding in check(path, Path(path).read_text(encoding="utf-8")):
            refused += 1
            print(finding)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
