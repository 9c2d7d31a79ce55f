"""Files as a merge left them: half of a conflict is in no file that git keeps."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MARKS = ("<" * 7 + " ", ">" * 7 + " ")
"""Begin and end of what git could not merge, spelled so that this file has none."""


@pytest.mark.skipif(shutil.which("git") is None, reason="git lists the files")
def test_no_file_has_the_marks_of_a_conflict() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    words = [word for mark in MARKS for word in ("-e", f"^{mark}")]
    found = subprocess.run(
        ["git", "grep", "-lI", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1, f"merge these by hand:\n{found.stdout}{found.stderr}"
