"""The bundled demo model: a tiny Phi-3-vision that knows coloured shapes.

It is a folder of the official layout. How it was made is in ``training/demo_model``.
"""

from __future__ import annotations

from pathlib import Path


def folder() -> Path:
    """Return the folder of the shipped model, in the layout of the official checkpoint.

    It holds ``config.json``, ``preprocessor_config.json``, ``tokenizer.json``,
    ``tokenizer_config.json`` and ``model.safetensors``. The folder of a source
    tree that was never trained may be missing: check before use.
    """
    return Path(__file__).parent / "model"
