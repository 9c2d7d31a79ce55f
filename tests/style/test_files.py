"""Files of the repository: none that a command left behind by mistake."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tests.conftest import ROOT


@pytest.mark.skipif(shutil.which("git") is None, reason="git lists the files")
def test_every_file_has_a_plain_name() -> None:
    listed = ["git", "ls-files", "-z"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    odd = [
        name for name in names.split("\0") if not re.fullmatch(r"[\w.\-+/\[\]]*", name, re.ASCII)
    ]
    assert not odd
    assert "pyproject.toml" in names
