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
    """Round as torchao 0.18.0 quantizes for torch's kernel: every step of it is in bfloat16.

    16 levels between the least and the largest number of each group. A quotient of 8 to 15 has
    steps of 1/16 in bfloat16: one number in forty falls to another level than in float32, and
    with such an oracle logits were off 0.705 of 2.43 on an H200. Without a card this oracle is
    0.702 off that one, and equal to what torchao's own functions make of a matrix. The exact
    model is 1.186 off, 1.187 on the card. The kernel widens with one rounding, to bfloat16.
    """
    groups = matrix.bfloat16().view(len(matrix), -1, INT4_GROUP)
    low, high = groups.aminmax(dim=-1, keepdim=True)
    scale = ((high - low) / 15).clamp(min=torch.finfo(torch.bfloat16).smallest_normal)
    zero = low + scale * 8
    numbers = ((groups - (zero - scale * 8)) / scale).round().clamp(0, 15)
    kept = (numbers.float() - 8) * scale.float() + zero.float()
    return kept.bfloat16().float().view_as(matrix)
