"""Installation: the lock agrees with pyproject.toml, and a failed step is one sentence."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
UNLOCKED = {"torch"}
"""Installed beside the lock: its builds, and so its hashes, differ by machine."""


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins(lines: list[str]) -> dict[str, str]:
    """Name -> version of every exact pin; extras and markers are left out."""
    found = (re.match(r"([\w.-]+)(?:\[[\w,]+\])?==([^\s;\\]+)", line) for line in lines)
    return {_canonical(match[1]): match[2] for match in found if match}


@pytest.fixture(scope="module")
def install() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install", ROOT / ".ci" / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["install"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PROJECT["dependencies"]),
        (
            "requirements-test.lock",
            [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]],
        ),
    ],
)
def test_the_lock_has_every_pin_and_hashes(lock: str, wanted: list[str]) -> None:
    text = (ROOT / lock).read_text(encoding="utf-8")
    locked = _pins(text.splitlines())
    pinned = _pins(wanted)
    assert len(pinned) == len(wanted), "every dependency is pinned exactly"
    assert {name: locked.get(name) for name in pinned.keys() - UNLOCKED} == {
        name: pinned[name] for name in pinned.keys() - UNLOCKED
    }, "run: make lock"
    assert not UNLOCKED & locked.keys()
    assert text.count("--hash=sha256:") >= len(locked)


@pytest.mark.parametrize("uv", [None, "/usr/bin/uv"])
def test_a_cpu_build_comes_from_pytorchs_index(install: ModuleType, uv: str | None) -> None:
    pin = next(line for line in PROJECT["dependencies"] if line.startswith("torch=="))
    for torch, index in (("cpu", [install.CPU_INDEX]), ("", [])):
        commands = [step.command for step in install.steps(test=False, torch=torch, uv=uv)]
        (command,) = [command for command in commands if pin in command]
        assert [word for word in command if word.startswith("https:")] == index
        assert any("--require-hashes" in command for command in commands)


@pytest.mark.slow
def test_a_step_that_fails_is_one_sentence(tmp_path: Path) -> None:
    for name in (".ci/install.py", "pyproject.toml", "requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    plain = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, tmp_path / ".ci" / "install.py"],
        env={**plain, "PIP_NO_INDEX": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.fullmatch(
        r"Installing \d+ packages failed: there is no build for this machine or this Python; "
        r"see \.venv/install\.log\.\n",
        done.stderr,
    ), done.stderr
    assert "[1/4] a virtual environment in .venv" in done.stdout
    assert "[2/4]" in done.stdout
    assert "[3/4]" not in done.stdout


def test_a_line_that_counts_its_seconds_fits_in_the_terminal(
    install: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A wrapped line would stand there once more each second."""
    monkeypatch.setattr(install, "VENV", tmp_path)
    monkeypatch.setattr(install, "LOG", tmp_path / "install.log")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    command = [sys.executable, "-c", "pass"]
    titles = [step.title for step in install.steps(test=True, torch="cpu", uv=None)]
    for title in titles:
        install.run(install.Step(title, command), "[3/4]")
    lines = re.split(r"[\r\n]", capsys.readouterr().out)
    assert "without CUDA" in "".join(lines)
    assert max(map(len, lines)) < 60
    assert max(len(f"[3/4] {title} ... 59 min 59 s") for title in titles) < 80
