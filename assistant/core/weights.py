"""Formats of the decoder's matrices and their products.

| held as | on a CPU: few rows (decode) | more rows (prefill) |
|---|---|---|
| float32 | float32 | float32 |
| bfloat16, float16 | widened in the processor's registers | one of :data:`BFLOAT16_WAYS` |
| int8 | the same, activations rounded to 16 bits | one of :data:`INT8_WAYS`, all of 16 bits |

Activations, embeddings, norms and the vision tower are float32 on a CPU. Only the decoder's
matrices and the language head have a format of their own: they are what a token streams. Of a
checkpoint in bfloat16 the tower's products are bfloat16 where that is quicker, and beside int8
matrices they are of whole numbers where that is clearly quicker (``cpu/tower``).
On CUDA int8 is :mod:`assistant.core.card_int8`, int4 comes from torchao where it is installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import linear

from assistant.core import large_pages
from assistant.core.attention import leave_out_cudnn
from assistant.core.card_int8 import CardInt8Linear
from assistant.core.cpu.bfloat16 import BFloat16Linear
from assistant.core.cpu.tower import FixedPointLinear, gain, has_int16, quicken
from assistant.core.formats import (
    INT8_PIECE,
    TILE_NUMBERS,
    compute_dtype,
    is_narrowed,
    tower_format,
    weight_kinds,
)
from assistant.core.kernels import Kernels
from assistant.core.scratch import Scratch
from assistant.families.registry import family_of
from assistant.families.runtime import Linears, MakeLinear, Progress, VisionLanguageModel
from assistant.values.errors import ModelError
from assistant.values.words import pip_install

MOST_ROWS = 24
"""Rows for which a 16-bit matrix is read once by the kernels: a proposal, a short question. More
are quicker widened (16384 x 3072: 8 rows 13 ms for 31, 24 rows 43 for 46)."""

MOST_AMX_ROWS = 3
"""The same where AMX multiplies more (8192 x 3072: 2 rows 4.5 ms for 6.7, 4 rows 7.4 for 5.3)."""

_tile = Scratch()

_QUANTIZED_NUMBERS = 2**22
"""Numbers of a matrix that are quantized at once, or widened from int8 where integer products are
not exact: what comes between stays small."""

MOST_INT8_ROWS = 3
"""The same for int8, whose integer products pay sooner: 2 rows 3.1 ms for 4.5, 4 rows 5.2, 4.7."""

INT4_GROUP = 32
"""Numbers of a row that share a scale and a zero in torchao's int4."""

BFLOAT16_WAYS = ("amx", "widened")
"""Ways to multiply many rows with bfloat16: the kernels' tiles of AMX, float32 products of widened
tiles, which is the only one with float16. Both keep 16 bits of activations at least."""

INT8_WAYS = ("amx", "terms", "pairs", "widened")
"""Ways to multiply many rows with int8: the kernels' tiles of AMX and torch's integer products
(quick with VNNI), both of two 8-bit terms, the kernels' of 16 bits (quick with AVX2), float32
products of widened tiles."""


def load_model(
    folder: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    weights: str = "float",
    attention: str = "sdpa",
    way: str | None = None,
    tower: str | None = None,
    progress: Progress | None = None,
) -> VisionLanguageModel:
    """Load a checkpoint with its matrices in a format: "float" (that is ``dtype``), "int8", "int4".

    ``way`` to multiply many rows was measured to be the quickest here; None chooses by the
    processor's instructions.
    ``tower`` is the format of the vision tower that was planned for; None chooses by a measurement.
    Every tensor is read into its final place and format; peak memory is that of
    the result and one tensor. Raises ModelError.
    """
    if device.type == "cuda":
        leave_out_cudnn()
    name = compute_dtype(str(dtype).removeprefix("torch."), device.type)
    runtime = family_of(folder).runtime()
    model = runtime.load(
        folder,
        dtype=getattr(torch, name),
        device=device,
        attention=attention,
        linears=Linears(
            linear_maker(device, dtype, weights, way),
            tower_maker(dtype, weights, tower) if device.type == "cpu" else None,
        ),
        progress=progress,
    )
    if device.type == "cpu":
        quicken(model.vision)
    return model


def linear_maker(
    device: torch.device, dtype: torch.dtype, weights: str, way: str | None = None
) -> MakeLinear | None:
    """Return the maker of matrices held as ``weights`` on ``device``; None is ``nn.Linear``.

    Raises ModelError for a format that the device does not have.
    """
    if weights not in weight_kinds(device.type):
        raise ModelError(
            f"There are no {weights} weights on {device.type}: "
            f"use {' or '.join(weight_kinds(device.type))}."
        )
    if weights == "int4":
        return _torchao_int4(dtype)
    if weights == "int8" and device.type == "cuda":
        return lambda matrix: CardInt8Linear(*quantize_rows(matrix))
    if weights == "int8":
        chosen = way or likely_int8_way()
        return lambda matrix: Int8Linear(*quantize_rows(matrix), chosen)
    if device.type == "cpu" and dtype != torch.float32:
        chosen = way or likely_bfloat16_way()
        return lambda matrix: TiledLinear(matrix.to(dtype), chosen)
    return None


def tower_maker(dtype: torch.dtype, weights: str, held: str | None = None) -> MakeLinear | None:
    """Return the maker of a vision tower's matrices on a CPU, held as ``held``."""
    if held is None or (held == "int16" and not has_int16()):
        held = tower_format(str(dtype).removeprefix("torch."), weights, gain)

    def make(matrix: torch.Tensor) -> nn.Module | None:
        if not is_narrowed(*matrix.shape):
            return None
        return FixedPointLinear(matrix) if held == "int16" else BFloat16Linear(matrix)

    return make if held != "float32" else None


class NarrowLinear(nn.Module):
    """A matrix [N, K] in fewer than 32 bits, for float32 rows; int8 has ``scales`` [N], float32."""

    most_rows = MOST_ROWS
    """Rows that the kernels multiply; for more the products of many rows are faster."""
    weight: torch.Tensor
    scales: torch.Tensor | None
    kernels: Kernels | None = None
    """Set by :func:`assistant.core.cpu.acceleration.accelerate`."""

    def __init__(self, weight: torch.Tensor, scales: torch.Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, x: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """``x`` [..., K] float32 -> [..., N] float32, in ``out`` [rows, N] if rows are many."""
        rows = x.reshape(-1, x.shape[-1])
        found: torch.Tensor | None = None
        if self.kernels is not None and len(rows) <= self.most_rows:
            found = self.kernels.multiply(self.weight, self.scales, rows)
        if found is None:
            found = self._multiply(rows, out)
        return found.view(*x.shape[:-1], len(self.weight))

    def _multiply(self, rows: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
        raise NotImplementedError

    def _by_tiles(self, rows: torch.Tensor, out: torch.Tensor, numbers: int) -> None:
        """Write ``rows`` times the matrix, ``numbers`` of it widened at a time."""
        N, K = self.weight.shape
        height = _tile_rows(self.weight, numbers)
        tile = _tile.tensor(height, K)
        for start in range(0, N, height):
            part = self.weight[start : start + height]
            wide = tile[: len(part)].copy_(part)
            torch.mm(rows, wide.t(), out=out[:, start : start + height])


class TiledLinear(NarrowLinear):
    """A matrix of 16 bits that is multiplied as if it were widened to float32.

    Few rows by kernels that widen each weight after reading it, else by ``way``, one of
    :data:`BFLOAT16_WAYS`. Without kernels one row is multiplied in the matrix's own 16-bit format,
    its numbers rounded to it.
    """

    def __init__(self, weight: torch.Tensor, way: str = "widened") -> None:
        super().__init__(weight)
        self._kernels_take_many = way == "amx" and weight.dtype == torch.bfloat16
        if self._kernels_take_many:
            self.most_rows = MOST_AMX_ROWS

    def _multiply(self, rows: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
        weight = self.weight
        if len(rows) == 1 and self.kernels is None:
            return linear(rows.to(weight.dtype), weight).to(rows.dtype)
        if out is None:
            out = rows.new_empty(len(rows), len(weight))
        kernels = self.kernels if self._kernels_take_many else None
        if kernels is None or not kernels.multiply_by_tiles(weight, None, rows, out):
            self._by_tiles(rows, out, TILE_NUMBERS)
        return out


class Int8Linear(NarrowLinear):
    """A matrix in int8 with a scale for each row, for rows rounded to 16 bits.

    A row of activations becomes whole numbers, x = s n, an error of 1/65,000 of its largest
    number. What is summed up is n times the matrix, in integers or in float32, so all ways give
    the same up to the rounding of float32. ``way`` is one of :data:`INT8_WAYS`.
    """

    scales: torch.Tensor

    def __init__(self, weight: torch.Tensor, scales: torch.Tensor, way: str) -> None:
        super().__init__(weight, scales)
        self._way = way
        if way != "widened":
            self.most_rows = MOST_INT8_ROWS

    def _multiply(self, rows: torch.Tensor, out: torch.Tensor | None) -> torch.Tensor:
        if out is None:
            out = rows.new_empty(len(rows), len(self.weight))
        if not self._by_kernels(rows, out):
            self._by_torch(rows, out)
        return out

    def _by_kernels(self, rows: torch.Tensor, out: torch.Tensor) -> bool:
        """Multiply by the kernels; False where they can't."""
        kernels, held = self.kernels, (self.weight, self.scales)
        if kernels is not None and self._way == "amx":
            return kernels.multiply_by_tiles(*held, rows, out)
        if kernels is not None and self._way == "pairs":
            return all(kernels.multiply_many(*held, *part) for part in _pieces(rows, out))
        return False

    def _by_torch(self, rows: torch.Tensor, out: torch.Tensor) -> None:
        if self._way in ("amx", "terms") and integer_products_are_exact():
            for part, into in _pieces(rows, out):
                self._by_terms(part, into)
        else:
            whole, steps = in_steps(rows)
            self._by_tiles(whole, out, _QUANTIZED_NUMBERS)
            out.mul_(self.scales).mul_(steps[:, None])

    def _by_terms(self, rows: torch.Tensor, out: torch.Tensor) -> None:
        # A function of its own, because its tensors are freed before the next piece: that one gets
        # the same memory, which is still in the processor's caches (a tenth of the time).
        terms = torch.empty(2, *rows.shape, dtype=torch.int8)
        steps = (self.kernels.split if self.kernels is not None else split)(rows, terms)
        products = integer_product(terms.flatten(0, 1), self.weight)
        combine = self.kernels.join if self.kernels is not None else join
        combine(products.view(2, *out.shape), self.scales, steps, out)


def _pieces(rows: torch.Tensor, out: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Return INT8_PIECE ``rows`` at most at a time, and their part of ``out``."""
    pieces = -(-len(rows) // INT8_PIECE)
    return zip(rows.tensor_split(pieces), out.tensor_split(pieces), strict=True)


def in_steps(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``rows`` [S, K] in whole steps, at most 127 x 256, and the size of each row's [S]."""
    steps = rows.abs().amax(-1).clamp_(min=1e-30).div_(127 * 256)
    zero = 128 * 256 + 128
    return (rows / steps[:, None]).add_(zero + 0.5).floor_().sub_(zero), steps


def split(rows: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
    """Write ``rows`` [S, K] in whole steps as two int8 terms, n = 256 a + b: ``terms`` [2, S, K].

    Returns the size of each row's step, [S].
    """
    whole, steps = in_steps(rows)
    numbers = whole.add_(128 * 256 + 128).to(torch.int32)
    terms[0].copy_(numbers.bitwise_right_shift(8).sub_(128))
    terms[1].copy_(numbers.bitwise_and_(255).sub_(128))
    return steps


def join(
    products: torch.Tensor, scales: torch.Tensor, steps: torch.Tensor, out: torch.Tensor
) -> None:
    """Write ``out`` [S, N] from the products [2, S, N] int32 of the two terms.

    ``scales`` [N] are the matrix's, ``steps`` [S] those of the rows.
    """
    whole = products[1].float().add_(products[0], alpha=256)
    torch.mul(whole.mul_(scales), steps[:, None], out=out)


def integer_product(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """int8 [R, K] times int8 [N, K] -> int32 [R, N]; K > 1 (torch 2.13 is wrong for one column)."""
    return torch._int_mm(rows, matrix.t())


def quantize_rows(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Quantize a matrix [N, K] to int8 [N, K] and a float32 scale for each row [N], symmetric.

    A tile at a time: beside the result only a tile exists in float32.
    """
    numbers = large_pages.empty(matrix.shape, torch.int8, matrix.device)
    scales = torch.empty(len(matrix), dtype=torch.float32, device=matrix.device)
    height = _tile_rows(matrix, _QUANTIZED_NUMBERS)
    for start in range(0, len(matrix), height):
        tile = matrix[start : start + height].float()
        steps = tile.abs().amax(-1).clamp_(min=1e-30).div_(127)
        scales[start : start + height] = steps
        numbers[start : start + height] = (tile / steps[:, None]).round_()
    return numbers, scales


def _tile_rows(matrix: torch.Tensor, numbers: int) -> int:
    """Rows of a matrix [N, K] in a tile of ``numbers`` at most, at least one."""
    rows, columns = matrix.shape
    return min(rows, max(1, numbers // columns))


def likely_int8_way() -> str:
    """Choose one of :data:`INT8_WAYS` by the processor's instructions, where none was measured."""
    if torch.cpu._is_amx_tile_supported():
        return "amx"
    has_vnni = torch.cpu._is_vnni_supported() and integer_products_are_exact()
    return "terms" if has_vnni else "pairs"


def likely_bfloat16_way() -> str:
    """Choose one of :data:`BFLOAT16_WAYS` in the same way."""
    return "amx" if torch.cpu._is_amx_tile_supported() else "widened"


@cache
def integer_products_are_exact() -> bool:
    """Whether this CPU multiplies 8-bit integers without saturating, found out by trying.

    Those without VNNI add two products in 16 bits, which the largest numbers overflow, or take a
    plain loop, which is exact and fifty times as slow as a float32 product.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x = torch.randint(-127, 128, (3, 1024), generator=torch.Generator().manual_seed(0))
    x[0] = 127
    matrix = torch.randint(-127, 128, (64, 1024), generator=torch.Generator().manual_seed(1))
    matrix[:2] = torch.tensor([[127], [-127]])
    try:
        found = integer_product(x.to(torch.int8), matrix.to(torch.int8))
    except RuntimeError:
        return False
    return torch.equal(found.long(), x @ matrix.t())


def _torchao_int4(dtype: torch.dtype) -> MakeLinear:
    """Return the maker of torchao's weight-only int4, quantized on the GPU matrix by matrix."""
    if importlib.util.find_spec("torchao") is None:
        raise ModelError(f"int4 weights on CUDA need torchao: run {pip_install('torchao')}.")
    if dtype != torch.bfloat16:
        raise ModelError("int4 weights on CUDA are multiplied in bfloat16: leave --dtype at auto.")
    from torchao.quantization import Int4WeightOnlyConfig, quantize_

    # The layout of torch's own kernel (compute capability 8.0): torchao's default needs another
    # package. Autotuning of compiled code, which takes minutes, is not asked for.
    config = Int4WeightOnlyConfig(
        group_size=INT4_GROUP, int4_packing_format="tile_packed_to_4d", set_inductor_config=False
    )

    def make(matrix: torch.Tensor) -> nn.Module:
        N, K = matrix.shape
        module = nn.Linear(K, N, bias=False, device="meta")
        module.weight = nn.Parameter(matrix.to(dtype), requires_grad=False)
        quantize_(module, config)
        return module

    return make
