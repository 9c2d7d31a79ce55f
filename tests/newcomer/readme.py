"""The commands that a page tells a newcomer to type, in the order in which they stand there."""

from __future__ import annotations

import re
from pathlib import Path

_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"\s+#\s.*$")


def commands(page: Path) -> list[str]:
    """Return every command in a ```bash block of a page, without its comment."""
    text = page.read_text(encoding="utf-8")
    return [
        _COMMENT.sub("", line).strip()
        for block in _BLOCK.findall(text)
        for line in block.splitlines()
        if line.strip() and not line.startswith("#")
    ]
