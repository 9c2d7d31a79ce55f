"""Install lines of the pages and of the program's sentences: pinned as the project is, and real."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from assistant.cli.doctor import FLASH, FLASH_BUILD
from tests.conftest import ROOT

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
FOLDERS = ("assistant", "storage", "tui")
SOURCES = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
FLAGS = {"--no-build-isolation", "--no-cache-dir", "--no-deps"}
VLLM = ROOT / "phichat-vllm"
COPIES = {"/source": ROOT, "/phichat-vllm": VLLM, "./phichat-vllm": VLLM}
"""Folders that the pages' lines install from, some of them in an image, and what they are here."""


def in_pages() -> list[str]:
    """Every command in a page that installs something, from its ``pip install`` on."""
    texts = [path.read_text(encoding="utf-8") for path in PAGES]
    found = (re.findall(r"pip install ([^`#\n]+?) *(?:[`#\n])", text) for text in texts)
    return [line for lines in found for line in lines]


def in_sentences() -> list[str]:
    """The arguments of every ``pip_install`` call in the program."""
    constants = {"FLASH": FLASH, "*FLASH_BUILD": shlex.join(FLASH_BUILD)}
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    calls = [
        node
        for text in texts
        if "pip_install(" in text  # to parse all takes a second, before any test is run
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "pip_install"
    ]
    return [
        " ".join(
            constants.get(ast.unparse(word)) or shlex.quote(ast.literal_eval(word))
            for word in call.args
        )
        for call in calls
    ]


LINES = sorted({*in_pages(), *in_sentences()})


def name_of(requirement: str) -> str:
    name = re.split(r"[\[=]", requirement)[0]
    return str(project_in(COPIES[name])["name"]) if name in COPIES else name


def requirements(line: str) -> list[str]:
    words = shlex.split(re.sub(r"--extra-index-url \S+", "", line))
    return [word for word in words if word not in FLAGS]


def from_here(word: str) -> str:
    """Return a word of a line with this checkout's folder for the one that it installs from."""
    folder, bracket, extras = word.partition("[")
    return f"{COPIES.get(folder, folder)}{bracket}{extras}"


def project_in(folder: Path) -> dict[str, Any]:
    pyproject = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    project: dict[str, Any] = pyproject["project"]
    return project


def project_pins() -> dict[str, str]:
    project = project_in(ROOT)
    optional = project["optional-dependencies"].values()
    listed = [*project["dependencies"], *(one for extra in optional for one in extra)]
    return {name_of(one): one for one in listed}


def test_there_are_lines_in_pages_and_in_sentences() -> None:
    assert len(in_pages()) >= 6
    assert len(in_sentences()) >= 6
    assert {FLASH, *FLASH_BUILD} <= {word for line in in_pages() for word in shlex.split(line)}


@pytest.mark.parametrize("line", LINES)
def test_a_line_names_what_the_project_pins(line: str) -> None:
    pins = project_pins()
    for requirement in requirements(line):
        name = name_of(requirement)
        is_here = from_here(requirement) != requirement
        assert is_here or name != "phichat", "that name on PyPI is another project's"
        assert pins.get(name, requirement) == requirement
    if "flash-attn" in line:
        assert "--no-build-isolation" in line


def test_no_sentence_of_the_program_spells_pip_itself() -> None:
    """The pip on the PATH is seldom the one beside phichat; ``pip_install`` knows where that is."""
    spelled = [path for path in SOURCES if "pip install" in path.read_text(encoding="utf-8")]
    assert not spelled


@pytest.fixture(scope="module")
def index() -> None:
    """PyPI, or what pip uses in its place."""
    options = ["--timeout", "10", "--retries", "0"]
    asked = [sys.executable, "-m", "pip", "index", "versions", *options, "wheel"]
    if subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("no package index can be reached from here")


@pytest.mark.long  # it asks a package index
@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("line", [line for line in LINES if "/" not in line])  # else of a checkout
def test_a_line_can_be_installed_as_far_as_its_metadata(line: str) -> None:
    """Nothing is built: flash-attn's own switch leaves its kernels out of what it describes."""
    words = ["--dry-run", "--ignore-installed", "--no-deps", "--quiet", "--report", "-"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", *words, *map(from_here, shlex.split(line))],
        env={**os.environ, "FLASH_ATTENTION_SKIP_CUDA_BUILD": "TRUE"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = {
        one["metadata"]["name"].replace("_", "-") for one in json.loads(done.stdout)["install"]
    }
    assert found == {name_of(one) for one in requirements(line)}
