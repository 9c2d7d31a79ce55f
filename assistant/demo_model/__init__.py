"""Bundled demo model: a tiny Phi-3-vision for coloured shapes (see ``training/demo_model``)."""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """Return the folder of the shipped model, in the layout of the official checkpoint.

    It may be missing in a source tree where the model was never trained.
    """
    return Path(__file__).parent / "model"
