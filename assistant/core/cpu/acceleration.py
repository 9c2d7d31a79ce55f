"""The kernels of :mod:`assistant.core.cpu.kernels` for a model's tensors: views, no copies.

Where the kernels can't be used (no CPU, shapes they don't read, a machine on which nothing can be
compiled) torch computes, more slowly.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from assistant.core.kernels import TokenLayer
from assistant.core.scratch import Scratch
from assistant.core.weights import NarrowLinear
from assistant.families.runtime import VisionLanguageModel

if TYPE_CHECKING:
    from assistant.core.cpu.kernels import LayerArrays

_log = logging.getLogger(__name__)

SMALLEST_LAYERS = 2**25
"""Bytes of a model's float32 layers from which on they are worth seconds of compiling: smaller ones
stay in the processor's caches, and torch is fast enough."""

_gated, _rotated = Scratch(), Scratch()

_SEEN_AS = {torch.bfloat16: torch.uint16, torch.float16: torch.int16}

_failed: list[Exception] = []


def accelerate(model: VisionLanguageModel) -> CpuKernels | None:
    """Return the kernels for ``model`` and let its narrow matrices use them.

    None for a model that is not on the CPU or small, and where kernels fail to compile.
    """
    narrow = [module for module in model.modules() if isinstance(module, NarrowLinear)]
    layers = model.fused_layers
    matrices = [m.weight for layer in layers or () for m in _matrices(layer)]
    is_worth_it = narrow or sum(matrix.nbytes for matrix in matrices) >= SMALLEST_LAYERS
    kernels = loose_kernels() if is_worth_it and model.embed_tokens.weight.is_cpu else None
    for module in narrow:
        module.kernels = kernels
    if kernels is not None and layers is not None:
        kernels.token_layers = kernels.layers_for_tokens(layers)
    return kernels


def loose_kernels() -> CpuKernels | None:
    """Return kernels for matrices without a model; None where numba can't be used.

    They run on as many threads as torch has now.
    """
    library = _library()
    if library is None:
        return None
    library.use_threads(torch.get_num_threads())
    return CpuKernels(library)


def threading_layer() -> str:
    """Return numba's name of the threads that kernels run on; "" before the first, and without.

    “omp” are torch's own: numba's library asks for the file ``libgomp.so.1.0.0`` of the system,
    and the OpenMP that torch has loaded under another name answers the calls. Without that file
    numba starts threads of its own (“workqueue”) beside torch's.
    """
    if _library() is None:
        return ""
    import numba

    try:
        return str(numba.threading_layer())
    except ValueError:  # none has run yet
        return ""


def _library() -> ModuleType | None:
    """Import the kernels; None where numba can't be used."""
    return None if _failed else _imported()


@cache
def _imported() -> ModuleType | None:
    try:
        from assistant.core.cpu import kernels
    except Exception as error:  # no library for this platform, no folder to keep the result in
        _fail(error)
        return None
    return kernels


def _fail(error: Exception) -> None:
    _log.warning("decoding is not compiled: %s", str(error).strip().splitlines()[:1])
    _failed.append(error)


class CpuKernels:
    """:class:`assistant.core.kernels.Kernels` by a library of compiled functions."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.token_layers: Sequence[TokenLayer] | None = None

    def use_threads(self, count: int) -> None:
        self._library.use_threads(count)

    def multiply(
        self, matrix: torch.Tensor, scales: torch.Tensor | None, rows: torch.Tensor
    ) -> torch.Tensor | None:
        """Multiply few ``rows`` [S, K]: see :class:`assistant.core.kernels.Kernels`."""
        if not (_readable(matrix, rows.dtype) and self._has_shape(matrix)):
            return None
        out = rows.new_empty(len(rows), len(matrix))
        arrays = _arrays(matrix, scales)
        self._library.multiply(*arrays, rows.contiguous().numpy(), out.numpy())
        return out

    def multiply_many(
        self,
        matrix: torch.Tensor,
        scales: torch.Tensor,
        rows: torch.Tensor,
        out: torch.Tensor,
    ) -> bool:
        from assistant.core.cpu import many_rows, whole_steps  # numba is here

        if len(rows) < many_rows.ROWS or not self._has_shape(matrix):
            return False
        whole, steps = torch.empty(rows.shape, dtype=torch.int16), rows.new_empty(len(rows))
        arrays = [one.numpy() for one in (whole, steps, matrix, scales, out)]
        numbers = rows.contiguous().numpy()
        whole_steps.round_rows(numbers, arrays[0], arrays[1], whole_steps.STEPS, whole_steps.ZERO)
        many_rows.multiply_rows(*arrays)
        return True

    def multiply_by_tiles(
        self,
        matrix: torch.Tensor,
        scales: torch.Tensor | None,
        rows: torch.Tensor,
        out: torch.Tensor,
    ) -> bool:
        from assistant.core.cpu import amx  # numba is here

        if not amx.can_multiply(matrix):
            return False
        amx.multiply(matrix, scales, rows, out)
        return True

    def split(self, rows: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
        from assistant.core.cpu.whole_steps import split

        steps = rows.new_empty(len(rows))
        split(rows.contiguous().numpy(), terms.numpy(), steps.numpy())
        return steps

    def join(
        self, products: torch.Tensor, scales: torch.Tensor, steps: torch.Tensor, out: torch.Tensor
    ) -> None:
        from assistant.core.cpu.whole_steps import join

        join(products.numpy(), scales.numpy(), steps.numpy(), out.numpy())

    def gate(self, gate_up: torch.Tensor) -> torch.Tensor:
        out = _gated.tensor(len(gate_up), gate_up.shape[1] // 2)
        self._library.gate_rows(gate_up.numpy(), out.numpy())
        return out

    def rotate(self, qkv: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        S, D = len(qkv), cos.shape[-1]
        out = _rotated.tensor(qkv.shape[1] // D, S, D)
        angles = (one.view(S, D).numpy() for one in (cos, sin))
        self._library.rotate_rows(qkv.numpy(), *angles, out.numpy())
        return out

    def fail(self, error: Exception) -> None:
        _fail(error)

    def layers_for_tokens(self, modules: nn.ModuleList) -> list[TokenLayer] | None:
        """Return the kernel of each fused layer; None where torch has to compute them."""
        attentions: list[Any] = [module.self_attn for module in modules]
        first: Any = modules[0]
        dtype = first.input_layernorm.weight.dtype
        matrices = [m.weight for module in modules for m in _matrices(module)]
        if (
            all(_readable(matrix, dtype) and self._has_shape(matrix) for matrix in matrices)
            and all(attention.num_key_value_groups == 1 for attention in attentions)
            and all(self._library.can_attend(attention.head_dim) for attention in attentions)
        ):
            return [self._layer(module) for module in modules]
        return None

    def _layer(self, module: Any) -> _CompiledLayer:
        qkv, o, gate_up, down = (
            _arrays(m.weight, getattr(m, "scales", None)) for m in _matrices(module)
        )
        before, after = module.input_layernorm, module.post_attention_layernorm
        norms = [norm.weight.detach().numpy() for norm in (before, after)]
        arrays = self._library.LayerArrays(norms[0], *qkv, *o, norms[1], *gate_up, *down)
        return _CompiledLayer(arrays, np.float32(before.variance_epsilon), self._library)

    def _has_shape(self, matrix: torch.Tensor) -> bool:
        return bool(self._library.can_multiply(*matrix.shape, matrix.itemsize))


@dataclass(frozen=True, slots=True)
class _CompiledLayer:
    """One decoder layer for one token, over any cache."""

    arrays: LayerArrays
    eps: np.float32
    library: Any

    def __call__(
        self, hidden: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor], cached: Any
    ) -> torch.Tensor:
        """[1, hidden] -> [1, hidden]; a float cache laid out by channel takes one call."""
        x = hidden.view(-1).numpy()
        cos, sin = (one.view(-1).numpy() for one in rotation)
        run, arrays, eps = self.library, self.arrays, self.eps
        if cached.by_channel:
            keys, values, at = cached.next_place()
            out = run.decode_layer(arrays, x, eps, cos, sin, keys.numpy(), values.numpy(), at)
        else:
            qkv = run.until_attention(arrays, x, eps, cos, sin)
            q, k, v = torch.from_numpy(qkv).view(3, 1, -1, 1, len(cos))
            attended = cached.attend(q, k, v).reshape(-1)
            out = run.after_attention(arrays, x, attended.numpy(), eps)
        return torch.from_numpy(out)[None]


def _matrices(module: Any) -> list[Any]:
    attention, mlp = module.self_attn, module.mlp
    return [attention.qkv_proj, attention.o_proj, mlp.gate_up_proj, mlp.down_proj]


def _readable(matrix: Any, rows: torch.dtype) -> bool:
    """Whether the kernels know the format: a matrix of torch's own on a CPU, rows in float32."""
    formats = (torch.float32, torch.int8, *_SEEN_AS)
    plain = type(matrix) in (torch.Tensor, nn.Parameter) and matrix.is_cpu
    return plain and matrix.dtype in formats and rows == torch.float32


def _arrays(matrix: torch.Tensor, scales: torch.Tensor | None) -> tuple[Any, Any]:
    """Return a matrix and its scales, an empty array for all but int8."""
    seen = matrix.detach().view(_SEEN_AS.get(matrix.dtype, matrix.dtype)).numpy()
    return seen, np.empty(0, np.float32) if scales is None else scales.numpy()
