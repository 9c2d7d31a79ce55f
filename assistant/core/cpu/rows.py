"""Single rows of activations, through the compiled kernels of :mod:`assistant.core.cpu.kernels`.

Here is decided where they are used, and what torch holds becomes what they read: views, no copies.
Where they can't be (no CPU, shapes they don't read, a machine on which nothing can be compiled)
torch computes, more slowly.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from assistant.core.scratch import KeptMemory

if TYPE_CHECKING:
    from assistant.core.cpu.kernels import LayerArrays

_log = logging.getLogger(__name__)

SMALLEST_LAYERS = 2**25
"""Bytes of a model's float32 layers from which on they are worth seconds of compiling: smaller ones
stay in the processor's caches, and torch is quick enough."""

_gated, _rotated = KeptMemory(), KeptMemory()

_SEEN_AS = {torch.bfloat16: torch.uint16, torch.float16: torch.int16}


_failed: list[Exception] = []


def kernels() -> ModuleType | None:
    """The compiled kernels, on as many threads as torch has; None where numba can't be used."""
    return None if _failed else _imported()


def do_without(error: Exception) -> None:
    """Something does not compile here: torch computes from now on. Told once, in the log."""
    _log.warning("decoding is not compiled: %s", str(error).strip().splitlines()[:1])
    _failed.append(error)


@cache
def _imported() -> ModuleType | None:
    try:
        from assistant.core.cpu import kernels as row_kernels

        row_kernels.use_threads(torch.get_num_threads())
    except Exception as error:  # no library for this platform, no folder to keep the result in
        do_without(error)
        return None
    return row_kernels


def multiply_few(
    matrix: torch.Tensor, scales: torch.Tensor | None, rows: torch.Tensor, most: int
) -> torch.Tensor | None:
    """``rows`` [S, K] float32 times ``matrix`` [N, K] -> [S, N], the matrix read once.

    None where torch has to do it: more rows than ``most``, another device or shape, no kernels.
    """
    if len(rows) > most or not _readable(matrix, rows.dtype):
        return None
    found = kernels()
    if found is None or not found.can_multiply(*matrix.shape, is_int8=scales is not None):
        return None
    out = rows.new_empty(len(rows), len(matrix))
    found.multiply(*_arrays(matrix, scales), rows.contiguous().numpy(), out.numpy())
    return out


def split(rows: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
    """``rows`` [S, K] float32 in whole steps, two int8 terms: n = 256 a + b in ``terms`` [2, S, K].

    Returns the size of a step of each row, [S].
    """
    if (found := kernels()) is not None:
        steps = rows.new_empty(len(rows))
        found.split(rows.contiguous().numpy(), terms.numpy(), steps.numpy())
        return steps
    steps = rows.abs().amax(-1).clamp_(min=1e-30).div_(127 * 256)
    numbers = (rows / steps[:, None]).add_(128 * 256 + 128.5).to(torch.int32)  # cut off: rounded
    terms[0].copy_(numbers.bitwise_right_shift(8).sub_(128))
    terms[1].copy_(numbers.bitwise_and_(255).sub_(128))
    return steps


def join(
    products: torch.Tensor, scales: torch.Tensor, steps: torch.Tensor, out: torch.Tensor
) -> None:
    """``out`` [S, N] from the products [2, S, N] int32 of the two terms, ``scales`` [N] of the
    matrix and ``steps`` [S] of the rows.
    """
    if (found := kernels()) is not None:
        found.join(*(one.numpy() for one in (products, scales, steps, out)))
        return
    whole = products[1].float().add_(products[0], alpha=256)
    torch.mul(whole.mul_(scales), steps[:, None], out=out)


def gated(gate_up: torch.Tensor) -> torch.Tensor:
    """silu(gate) * up: [S, 2 M] -> [S, M], in one pass over them. Where there are kernels.

    The result is overwritten by the next call.
    """
    out = _gated.room(len(gate_up), gate_up.shape[1] // 2)
    _needed().gate_rows(gate_up.numpy(), out.numpy())
    return out


def rotated(qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """``qkv`` [S, 3 H D] -> [3 H, S, D], queries and keys rotated. Where there are kernels.

    The result is overwritten by the next call.
    """
    S, D = len(qkv), cos.shape[-1]
    out = _rotated.room(qkv.shape[1] // D, S, D)
    _needed().rotate_rows(qkv.numpy(), cos.view(S, D).numpy(), sin.view(S, D).numpy(), out.numpy())
    return out


def _needed() -> Any:
    found = kernels()
    assert found is not None
    return found


@dataclass(frozen=True, slots=True)
class RowLayer:
    """One decoder layer for one token, over any cache."""

    arrays: LayerArrays
    eps: np.float32
    _kernels: Any

    @property
    def gate_up_width(self) -> int:
        """Numbers of a gate and its up projection together."""
        return len(self.arrays.gate_up)

    def __call__(
        self, hidden: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor], cached: Any
    ) -> torch.Tensor:
        """[1, hidden] -> [1, hidden]; a float cache laid out by channel takes one call."""
        x = hidden.view(-1).numpy()
        cos, sin = (one.view(-1).numpy() for one in rotation)
        run, arrays, eps = self._kernels, self.arrays, self.eps
        if cached.by_channel:
            keys, values, at = cached.next_place()
            out = run.decode_layer(arrays, x, eps, cos, sin, keys.numpy(), values.numpy(), at)
        else:
            qkv = run.until_attention(arrays, x, eps, cos, sin)
            q, k, v = torch.from_numpy(qkv).view(3, 1, -1, 1, len(cos))
            attended = cached.attend(q, k, v).reshape(-1)
            out = run.after_attention(arrays, x, attended.numpy(), eps)
        return torch.from_numpy(out)[None]


def row_layers(modules: nn.ModuleList) -> list[RowLayer] | None:
    """For each Phi3DecoderLayer what computes one token in it; None where torch has to."""
    matrices = [m for module in modules for m in _matrices(module)]
    attentions: list[Any] = [module.self_attn for module in modules]
    norms: list[Any] = [module.input_layernorm for module in modules]
    if not all(_readable(m.weight, norms[0].weight.dtype) for m in matrices):
        return None
    if any(attention.num_key_value_groups != 1 for attention in attentions):
        return None
    narrow = any(m.weight.dtype != torch.float32 for m in matrices)
    if not narrow and sum(m.weight.nbytes for m in matrices) < SMALLEST_LAYERS:
        return None
    if (found := kernels()) is None:
        return None
    for m in matrices:
        if not found.can_multiply(*m.weight.shape, is_int8=m.weight.dtype == torch.int8):
            return None
    if not all(found.can_attend(attention.head_dim) for attention in attentions):
        return None
    return [_row_layer(module, found) for module in modules]


def _row_layer(module: Any, found: Any) -> RowLayer:
    qkv, o, gate_up, down = (
        _arrays(m.weight, getattr(m, "scales", None)) for m in _matrices(module)
    )
    before, after = module.input_layernorm, module.post_attention_layernorm
    norms = [norm.weight.detach().numpy() for norm in (before, after)]
    arrays = found.LayerArrays(norms[0], *qkv, *o, norms[1], *gate_up, *down)
    return RowLayer(arrays, np.float32(before.variance_epsilon), found)


def _matrices(module: Any) -> list[Any]:
    attention, mlp = module.self_attn, module.mlp
    return [attention.qkv_proj, attention.o_proj, mlp.gate_up_proj, mlp.down_proj]


def _readable(matrix: Any, rows: torch.dtype) -> bool:
    """Whether the kernels know the format: a matrix of torch's own on a CPU, rows in float32."""
    formats = (torch.float32, torch.int8, *_SEEN_AS)
    plain = type(matrix) in (torch.Tensor, nn.Parameter) and matrix.is_cpu
    return plain and matrix.dtype in formats and rows == torch.float32


def _arrays(matrix: torch.Tensor, scales: torch.Tensor | None) -> tuple[Any, Any]:
    """A matrix and its scales, which are none for all but int8."""
    seen = matrix.detach().view(_SEEN_AS.get(matrix.dtype, matrix.dtype)).numpy()
    return seen, np.empty(0, np.float32) if scales is None else scales.numpy()
