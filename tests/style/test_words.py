"""The vocabulary check refuses bad samples and passes good ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.style import words
from tests.style.commit_subject import faults

BAD = {
    "opening": '"""What the worker does."""',
    "opening of a function": 'def f() -> None:\n    """How it ends."""',
    "opening below a constant": 'N = 1\n"""Where it ends."""',
    "docstring": '"""The cache. Each room has its own."""',
    "second line": '"""The cache.\n\nIt is told the length.\n"""',
    "comment": "x = 1  # counted anew",
    "function": "def told() -> None: ...",
    "class": "class DoorKeeper: ...",
    "argument": "def f(nobody: int) -> None: ...",
    "variable": "for whoever in (): ...",
    "attribute": "self.told_length = 1",
    "question": "def what_is_left() -> None: ...",
    "actor": '"""The chat that one wants to see."""',
    "life": "# for the life of the process",
}
GOOD = {
    "space": '"""Make room for ``needed`` positions: there is no room left, give more room."""',
    "lifetime": '"""The lifetime of a worker; live rows are alive."""',
    "literals are not checked": 'print("there is nobody behind this door")',
    "a name that is only used": "import tui\ntui.told()",
    "whatever inside": '"""Read the rest, whatever follows."""',
    "one as a pronoun": '"""The shipped model has one more layer than the trained one."""',
    "camel": "class Doorway: ...",
}


@pytest.mark.parametrize("source", BAD.values(), ids=BAD)
def test_a_bad_sample_is_found(source: str) -> None:
    assert words.check("assistant/x.py", source)


@pytest.mark.parametrize("source", GOOD.values(), ids=GOOD)
def test_a_good_sample_passes(source: str) -> None:
    assert words.check("assistant/x.py", source) == []


def test_the_line_of_a_finding() -> None:
    (found,) = words.check("assistant/x.py", '"""The cache.\n\nIt is told.\n"""\n')
    assert str(found).startswith("assistant/x.py:3: 'told'")


@pytest.mark.parametrize("name", ["reading", "chip_opening", "test_pulling", "_doing_x", "told"])
def test_a_file_name_is_refused(name: str) -> None:
    assert words.check(f"storage/{name}.py", "")


@pytest.mark.parametrize(
    "name", ["modeling", "image_processing", "test_sampling", "settings", "page"]
)
def test_a_file_name_passes(name: str) -> None:
    assert words.check(f"storage/{name}.py", "") == []


def test_pages_are_read_whole() -> None:
    assert words.check("docs/x.md", "# Page\n\nEach room is its own.\n")
    assert not words.check("docs/x.md", "What it does: there is room for it.\n")


def test_the_command_fails_on_a_repository_with_a_bad_file(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text('"""What it is."""\n')
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "bad.py"], check=True)
    command = [sys.executable, "-m", "tests.style.words"]
    done = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stdout == "bad.py:1: docstring begins with 'What'\n"


@pytest.mark.parametrize(
    "subject",
    [
        "cpu: fall back to torch when a kernel fails to compile",
        "storage/search: index titles",
        "docs, tests: name the new folders",
        'Revert "cpu: fall back"',
        "Merge branch 'x'",
    ],
)
def test_a_commit_subject_passes(subject: str) -> None:
    assert faults(subject) == []


@pytest.mark.parametrize(
    ("subject", "fault"),
    [
        ("What does not compile is done without", "area"),
        ("cpu: fall back; count numba", "semicolon"),
        ("cpu: fall back.", "period"),
        ("cpu: " + "x" * 70, "72"),
        ("cpu: Fall back", "lower case"),
        ("cpu: falls back", "imperative"),
        ("cpu: added a fallback", "imperative"),
    ],
)
def test_a_commit_subject_is_refused(subject: str, fault: str) -> None:
    assert [one for one in faults(subject) if fault in one]
