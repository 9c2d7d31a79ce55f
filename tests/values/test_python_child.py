"""Processes that phichat starts import nothing of the folder that the terminal is in."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from assistant.values import python_child


def test_a_file_of_the_current_folder_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "dataclasses.py").write_text("raise SystemExit(3)")
    command = python_child.command("assistant.values.conversation")
    done = subprocess.run(command, env=python_child.environment(), cwd=tmp_path, check=False)
    assert done.returncode == 0


def test_paths_of_the_environment_are_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", f"here{os.pathsep}{os.pathsep}/there")
    found = python_child.environment(OWN="1")
    assert found["PYTHONPATH"].split(os.pathsep)[1:] == [str(tmp_path / "here"), "/there"]
    assert found["OWN"] == "1"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
    ids=["none", "turns", "policy"],
)
def test_threads_wait_a_short_time_by_computing_unless_the_user_chose(
    given: dict[str, str], wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    found = python_child.environment()
    assert found.get("GOMP_SPINCOUNT") == wanted
    assert {name: found[name] for name in given} == given
