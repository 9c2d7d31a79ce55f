"""The commands that the README tells a newcomer to type, in the order in which they stand there."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s+#\s.*$")


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a block of shell commands, without its comment."""

    line: str
    section: str


def commands(readme: Path) -> list[Command]:
    """Every command in a ```bash block of the README."""
    text = readme.read_text(encoding="utf-8")
    found = []
    for block in _BLOCK.finditer(text):
        section = re.findall(r"^## (.*)$", text[: block.start()], re.MULTILINE)[-1]
        found += [
            Command(_COMMENT.sub("", line).strip(), section)
            for line in block[1].splitlines()
            if line.strip() and not line.startswith("#")
        ]
    return found
