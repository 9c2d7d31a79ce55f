"""In which format the decoder's matrices are held, and how each is multiplied with.

| held as | on a CPU: one row (decode) | more rows (prefill) |
|---|---|---|
| float32 | float32 | float32 |
| bfloat16, float16 | in that format | widened to float32, a tile of rows at a time |
| int8 | integer products (VNNI), activations as two int8 terms | the same |

Activations, embeddings, norms and the vision tower are float32 on a CPU. Only the decoder's
matrices and the language head have a format of their own: they are what a token streams.
The CUDA formats come from torchao where it is installed. They have never been run by us.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import linear

from assistant.core.formats import TILE_NUMBERS, compute_dtype, weight_kinds
from assistant.errors import ModelError
from assistant.phi3v.loading import MakeLinear, Progress
from assistant.phi3v.modeling import Phi3VForCausalLM

PIECE = 256
"""Rows of activations that are turned into integers at once: what comes between stays small."""

_STEPS = 127 * 256
"""Steps of an activation from zero to the largest of its row: two int8 terms, 256 a + b."""


def load_model(
    folder: Path,
    *,
    device: torch.device,
    dtype: torch.dtype,
    weights: str = "float",
    attention: str = "sdpa",
    progress: Progress | None = None,
) -> Phi3VForCausalLM:
    """The checkpoint with its matrices held as ``weights``: "float" (in ``dtype``), "int8", "int4".

    Every tensor is read into its final place and format; peak memory is that of
    the result and one tensor. Raises ModelError.
    """
    name = compute_dtype(str(dtype).removeprefix("torch."), device.type)
    return Phi3VForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, name),
        device=device,
        attn_implementation=attention,
        local_files_only=True,
        make_linear=linear_maker(device, dtype, weights),
        progress=progress,
    )


def linear_maker(device: torch.device, dtype: torch.dtype, weights: str) -> MakeLinear | None:
    """How matrices are held as ``weights`` on ``device``; None leaves them to ``nn.Linear``.

    Raises ModelError for a format that the device does not have.
    """
    if weights not in weight_kinds(device.type):
        raise ModelError(
            f"There are no {weights} weights on {device.type}: "
            f"use {' or '.join(weight_kinds(device.type))}."
        )
    if device.type == "cuda" and weights != "float":
        return _torchao(weights, dtype)
    if weights == "int8":
        return Int8Linear.from_float if integer_products_are_exact() else TiledLinear.in_int8
    if device.type == "cpu" and dtype != torch.float32:
        return lambda matrix: TiledLinear(matrix.to(dtype, copy=True))
    return None


class TiledLinear(nn.Module):
    """A matrix [N, K] in a narrow format, for float32 rows.

    Several rows are multiplied in float32, the matrix widened a tile at a time,
    so the result is that of the widened matrix. One row is multiplied in the
    matrix's own 16-bit format (its numbers are rounded to it): that reads
    the matrix once and widens nothing.
    """

    weight: torch.Tensor
    scales: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, scales: torch.Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    @classmethod
    def in_int8(cls, matrix: torch.Tensor) -> TiledLinear:
        """For CPUs whose integer products are not exact: smaller, and slower than float."""
        return cls(*quantize_rows(matrix))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` [..., K] float32 -> [..., N] float32."""
        weight, rows = self.weight, x.reshape(-1, x.shape[-1])
        if len(rows) == 1 and weight.is_floating_point():
            return linear(x.to(weight.dtype), weight).to(x.dtype)
        N, K = weight.shape
        out = x.new_empty(len(rows), N)
        height = _tile_rows(weight)
        tile = x.new_empty(height, K)
        for start in range(0, N, height):
            part = weight[start : start + height]
            wide = tile[: len(part)].copy_(part)
            torch.mm(rows, wide.t(), out=out[:, start : start + height])
        if self.scales is not None:
            out.mul_(self.scales)
        return out.view(*x.shape[:-1], N)


class Int8Linear(nn.Module):
    """A matrix [N, K] in int8 with a scale for each row, multiplied in integers.

    A row of activations becomes two int8 terms, x = s (256 a + b): 16 bits, an
    error of 1/65,000 of its largest number. Sums of integers are exact, so the
    result for a row does not depend on how many rows come with it: with these
    weights warm and cold runs agree to the bit up to attention.
    """

    scales: torch.Tensor

    def __init__(self, numbers: torch.Tensor, scales: torch.Tensor) -> None:
        """``numbers`` int8 [N, K], ``scales`` float32 [N]."""
        super().__init__()
        self.out_features, self.in_features = numbers.shape
        # oneDNN's own layout; the plain copy is not kept
        self._packed = torch.ops.onednn.qlinear_prepack(numbers, None)
        self.register_buffer("scales", scales, persistent=False)
        self.register_buffer("_zero", torch.zeros(1, dtype=torch.int64), persistent=False)

    @classmethod
    def from_float(cls, matrix: torch.Tensor) -> Int8Linear:
        """Quantize a matrix [N, K] of any float format."""
        return cls(*quantize_rows(matrix))

    @property
    def nbytes(self) -> int:
        """Bytes of the matrix and its scales."""
        return self.out_features * self.in_features + self.scales.nbytes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` [..., K] float32 -> [..., N] float32."""
        rows = x.reshape(-1, self.in_features)
        out = x.new_empty(len(rows), self.out_features)
        for piece, into in zip(torch.split(rows, PIECE), torch.split(out, PIECE), strict=True):
            self._multiply(piece, into)
        return out.view(*x.shape[:-1], self.out_features)

    def _multiply(self, rows: torch.Tensor, out: torch.Tensor) -> None:
        steps = rows.abs().amax(-1, keepdim=True).clamp_(min=1e-30).div_(_STEPS)
        # 128 is added to either term, as the product wants it; cut off: rounded
        numbers = (rows / steps).add_(128 * 256 + 128.5).to(torch.int32)
        unsigned = torch.empty(2, *rows.shape, dtype=torch.uint8)
        unsigned[1].copy_(numbers)  # the low byte
        unsigned[0].copy_(numbers.bitwise_right_shift_(8))
        coarse, fine = self._product(unsigned.flatten(0, 1)).chunk(2)
        torch.mul(fine.add_(coarse, alpha=256), steps, out=out)

    def _product(self, unsigned: torch.Tensor) -> torch.Tensor:
        """(``unsigned`` - 128) [R, K] times the matrix, with its scales: [R, N] float32."""
        product: torch.Tensor = torch.ops.onednn.qlinear_pointwise(
            unsigned, 1.0, 128, self._packed, self.scales, self._zero, None, 1.0, 0,
            torch.float32, "none", [], "",
        )  # fmt: skip
        return product


def quantize_rows(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix [N, K] -> int8 [N, K] and a float32 scale for each row [N], symmetric.

    A tile at a time: beside the result only a tile exists in float32.
    """
    numbers = torch.empty(matrix.shape, dtype=torch.int8, device=matrix.device)
    scales = torch.empty(len(matrix), dtype=torch.float32, device=matrix.device)
    height = _tile_rows(matrix)
    for start in range(0, len(matrix), height):
        tile = matrix[start : start + height].float()
        steps = tile.abs().amax(-1).clamp_(min=1e-30).div_(127)
        scales[start : start + height] = steps
        numbers[start : start + height] = (tile / steps[:, None]).round_()
    return numbers, scales


def _tile_rows(matrix: torch.Tensor) -> int:
    """Rows of a matrix [N, K] in a tile, at least one."""
    rows, columns = matrix.shape
    return min(rows, max(1, TILE_NUMBERS // columns))


@cache
def integer_products_are_exact() -> bool:
    """Whether this CPU multiplies 8-bit integers without saturating, found out by trying.

    Those without VNNI add two products in 16 bits, which the largest numbers overflow.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x = torch.randint(-127, 128, (3, 1024), generator=torch.Generator().manual_seed(0))
    x[0] = 127
    matrix = torch.randint(-127, 128, (64, 1024), generator=torch.Generator().manual_seed(1))
    matrix[:2] = torch.tensor([[127], [-127]])
    try:
        tried = Int8Linear(matrix.to(torch.int8), torch.ones(64))
        found = tried._product((x + 128).to(torch.uint8))
    except RuntimeError:
        return False
    return torch.equal(found, (x @ matrix.t()).float())


def _torchao(weights: str, dtype: torch.dtype) -> MakeLinear:
    """Weight-only formats of torchao, quantized on the GPU matrix by matrix. Never run by us."""
    if importlib.util.find_spec("torchao") is None:
        raise ModelError(f"{weights} weights on CUDA need torchao: pip install torchao.")
    if weights == "int4" and dtype != torch.bfloat16:
        raise ModelError("int4 weights on CUDA are multiplied in bfloat16: leave --dtype at auto.")
    from torchao.quantization import Int4WeightOnlyConfig, Int8WeightOnlyConfig, quantize_

    # int4 in torch's own kernel's layout (compute capability 8.0): torchao's default needs another
    # package. Autotuning of compiled code, which takes minutes, is not asked for.
    config = (
        Int8WeightOnlyConfig(set_inductor_config=False)
        if weights == "int8"
        else Int4WeightOnlyConfig(
            group_size=32, int4_packing_format="tile_packed_to_4d", set_inductor_config=False
        )
    )

    def make(matrix: torch.Tensor) -> nn.Module:
        N, K = matrix.shape
        module = nn.Linear(K, N, bias=False, device="meta")
        module.weight = nn.Parameter(matrix.to(dtype), requires_grad=False)
        quantize_(module, config)
        return module

    return make
