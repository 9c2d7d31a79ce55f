"""Sample pictures: drawn by their script, small, and the first is known to the demo model."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from assistant.samples import SAMPLES
from docs import draw_samples
from tests.conftest import ROOT, Phichat


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.title)
def test_a_sample_is_as_its_script_draws_it(sample, tmp_path: Path) -> None:
    draw_samples.main(tmp_path)
    with Image.open(sample.path) as kept, Image.open(tmp_path / sample.path.name) as drawn:
        assert kept.size == drawn.size
        pair = [np.asarray(one.convert("RGB"), dtype=float) for one in (kept, drawn)]
    assert np.abs(pair[0] - pair[1]).mean() < 2  # machines differ in a JPEG's last bits


def test_there_are_no_others_and_they_are_small() -> None:
    files = {path for path in draw_samples.FOLDER.iterdir() if path.suffix in (".png", ".jpg")}
    assert files == {sample.path for sample in SAMPLES}
    assert {path.name for path in files} == set(draw_samples.DRAWN)
    assert sum(path.stat().st_size for path in files) < 150_000


def test_the_demo_model_answers_the_first_rightly(phichat: Phichat) -> None:
    first = SAMPLES[0]
    options = ("--model", "demo", "--max-new-tokens", "40")
    done = phichat("ask", *options, "-i", first.path, first.question)
    assert done.stdout == "I see a yellow star.\n", done.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="git lists the files")
def test_every_file_of_the_packages_is_in_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    data = project["tool"]["setuptools"]["package-data"]
    packed = {
        str(path.relative_to(ROOT))
        for package, patterns in data.items()
        for pattern in patterns
        for path in (ROOT / package.replace(".", "/")).glob(pattern)
    }
    listed = ["git", "ls-files", "assistant", "storage", "tui"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    left_out = {name for name in files.stdout.splitlines() if not name.endswith(".py")} - packed
    assert not {name for name in left_out if not name.endswith("README.md")}
