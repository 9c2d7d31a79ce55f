"""The bundled demo model: a tiny Phi-3-vision that knows coloured shapes.

Importing this package is cheap (no torch): the rest of the room, which draws
the scenes, trains, exports and evaluates the model, is imported by name.
"""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """The shipped model, in the layout of the official checkpoint.

    It holds ``config.json``, ``preprocessor_config.json``, ``tokenizer.json``,
    ``tokenizer_config.json`` and ``model.safetensors``. The folder of a source
    tree that was never trained may be missing: check before use.
    """
    return Path(__file__).parent / "model"
