"""The tiny family, installed as a package of somebody else's would be: by its entry point."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT
from tests.second_family.checkpoint import MODEL_TYPE, write_checkpoint


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for sys.path with the metadata of the family's package."""
    folder = tmp_path_factory.mktemp("site")
    metadata = folder / "tiny_chatml-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-chatml\nVersion: 1.0\n")
    row = f"[phichat.families]\n{MODEL_TYPE} = tests.second_family.family:FAMILY\n"
    (metadata / "entry_points.txt").write_text(row)
    return folder


@pytest.fixture(autouse=True)
def _installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here and in the workers that tests start."""
    monkeypatch.syspath_prepend(str(package))
    paths = [str(package), str(ROOT), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    assert str(package) in sys.path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Repeatable sums; several threads of a tiny model wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
