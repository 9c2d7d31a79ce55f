"""Base of the layers of a KV cache: length in use, and transformers' questions about it."""

from __future__ import annotations

from transformers.cache_utils import CacheLayerMixin


class CroppableLayer(CacheLayerMixin):  # type: ignore[misc]
    """``length`` positions are in use; ``reserved`` is what the next growth makes room for."""

    is_croppable = True
    by_channel = False
    """Whether positions are the last dimension, as the kernels read them."""

    def __init__(self) -> None:
        super().__init__()
        self.length = 0
        self.reserved = 0

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return (keys that a query of this length sees, offset of the first)."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Return the positions in use."""
        return self.length

    def get_max_length(self) -> int:
        """Return -1: there is no maximum."""
        return -1
