"""The Phi-3-vision model family, native: no remote code anywhere.

    from assistant.phi3v import Phi3VForCausalLM, Phi3VProcessor

    model = Phi3VForCausalLM.from_pretrained(folder_or_hub_id)
    processor = Phi3VProcessor.from_pretrained(folder_or_hub_id)
    inputs = processor(text, images, return_tensors="pt")
    logits = model(**inputs).logits

The names are loaded on first use, because :mod:`assistant.phi3v.crops` and
:mod:`assistant.phi3v.vocabulary` serve the terminal app, which never imports torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from assistant.phi3v.config import Phi3VConfig
    from assistant.phi3v.image_processing import Phi3VImageProcessor
    from assistant.phi3v.modeling import Phi3VForCausalLM
    from assistant.phi3v.processing import Phi3VProcessor
    from assistant.phi3v.rope import Regime

__all__ = [
    "Phi3VConfig",
    "Phi3VForCausalLM",
    "Phi3VImageProcessor",
    "Phi3VProcessor",
    "Regime",
]

_HOME = {
    "Phi3VConfig": "config",
    "Phi3VForCausalLM": "modeling",
    "Phi3VImageProcessor": "image_processing",
    "Phi3VProcessor": "processing",
    "Regime": "rope",
}


def __getattr__(name: str) -> object:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
