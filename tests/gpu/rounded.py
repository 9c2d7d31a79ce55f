"""A model in float32 whose matrices have the numbers that a format keeps."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from assistant.core.weights import INT4_GROUP, quantize_rows
from assistant.phi3v.modeling import Phi3VForCausalLM


def rounded(model: Phi3VForCausalLM, weights: str) -> Phi3VForCausalLM:
    """A copy of ``model``, its decoder's matrices and language head rounded to int8 or int4."""
    copy = deepcopy(model)
    round_matrix = _int8 if weights == "int8" else _int4
    for module in (*copy.model.layers.modules(), copy.lm_head):
        if isinstance(module, nn.Linear):
            kept = round_matrix(module.weight.detach().bfloat16().float())
            module.weight = nn.Parameter(kept, requires_grad=False)
    return copy


def _int8(matrix: torch.Tensor) -> torch.Tensor:
    numbers, scales = quantize_rows(matrix)
    return numbers * scales[:, None]


def _int4(matrix: torch.Tensor) -> torch.Tensor:
    """16 levels between the least and the largest number of each group; scale, zero in bfloat16."""
    groups = matrix.view(len(matrix), -1, INT4_GROUP)
    low, high = groups.aminmax(dim=-1, keepdim=True)
    scale = ((high - low) / 15).clamp(min=1e-6)
    numbers = ((groups - low) / scale).round().clamp(0, 15)
    zero = (low + scale * 8).bfloat16().float()
    return ((numbers - 8) * scale.bfloat16().float() + zero).view_as(matrix)
