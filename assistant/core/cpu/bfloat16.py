"""Matrix products of a vision tower in bfloat16, by oneDNN.

The weights of a checkpoint in bfloat16 stay exact, activations are rounded to it before each
product, sums are float32. What is between the products stays float32 where a tower adds it up.
"""

from __future__ import annotations

import torch
from torch import nn

from assistant.core.formats import TOWER_ROWS

_NAMED = 2048
"""Numbers of a packed matrix that stay readable, for the fingerprint of features that are kept."""


class BFloat16Linear(nn.Module):
    """A matrix [N, K] packed for oneDNN: rows in any format -> bfloat16. A bias is set later."""

    bias: nn.Parameter | None

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        weight = matrix.bfloat16().contiguous()
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, TOWER_ROWS)
        self.register_parameter("bias", None)
        self.register_buffer("start", weight.flatten()[:_NAMED].clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = x.bfloat16().contiguous()
        bias = None if self.bias is None else self.bias.bfloat16()
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self._packed, bias, "none", [], ""
        )
        return out
