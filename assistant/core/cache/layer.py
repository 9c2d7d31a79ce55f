"""Base of the layers of a KV cache: the length in use."""

from __future__ import annotations


class CroppableLayer:
    """``length`` positions are in use; ``reserved`` is what the next growth makes room for."""

    by_channel = False
    """Whether positions are the last dimension, as the kernels read them."""

    def __init__(self) -> None:
        self.is_initialized = False
        self.length = 0
        self.reserved = 0
