"""A new sampling parameter or setting is declared once, and every layer has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FILE = Path(__file__).parent / "each_layer.py"


def test_a_subclass_adds_a_parameter_and_a_setting_to_every_layer() -> None:
    plugins = ["-p", "tests.settings.more_values", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, str(FILE)],
        cwd=FILE.parents[2],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "7 passed" in done.stdout
