"""Products of bfloat16 and int8 by the tiles of AMX, on processors that have them."""

from __future__ import annotations

from typing import Any, cast

import pytest
import torch
from hypothesis import given, settings, strategies as st

from assistant.core.cpu import amx, kernels as row_kernels
from assistant.core.cpu.acceleration import CpuKernels
from assistant.core.weights import (
    Int8Linear,
    NarrowLinear,
    TiledLinear,
    in_steps,
    load_model,
    quantize_rows,
)
from tests.conftest import GOLDENS

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(not amx.is_here(), reason="this processor has no AMX")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def multiplied(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Multiply by tiles; a matrix of float32 is one of int8 first."""
    out = torch.full((len(x), len(matrix)), torch.nan)
    held = quantize_rows(matrix) if matrix.dtype == torch.float32 else (matrix, None)
    amx.multiply(*held, x, out)
    return out


shapes = given(
    s=st.integers(1, 90) | st.sampled_from((amx.PIECE + 1, 2 * amx.PIECE + 40)),
    n=st.integers(1, 20),
    k=st.sampled_from((1, 3, amx.CHUNK, 4 * amx.CHUNK + 1, 100)),
    seed=st.integers(0, 9),
)
few = settings(max_examples=20, deadline=None)


@few
@shapes
def test_products_keep_sixteen_bits_of_activations(s: int, n: int, k: int, seed: int) -> None:
    """Across the borders of blocks, of what is laid out at once, and of tiles of activations."""
    matrix = normal(n * amx.TOGETHER, k * amx.STEP // 2, seed=seed).bfloat16()
    x = normal(s, matrix.shape[1], seed=seed + 100) * torch.logspace(-6, 6, s)[:, None]
    wanted = x.double() @ matrix.double().t()
    most = x.double().abs() @ matrix.double().abs().t() * 2**-16
    assert bool(((multiplied(x, matrix) - wanted).abs() <= most).all())


@few
@shapes
def test_sums_of_whole_numbers_are_exact(s: int, n: int, k: int, seed: int) -> None:
    """Up to what float32 rounds, when the two terms' sums become one number."""
    matrix = normal(n * amx.TOGETHER, k * amx.STEP, seed=seed)
    x = normal(s, matrix.shape[1], seed=seed + 100) * torch.logspace(-6, 6, s)[:, None]
    numbers, scales = quantize_rows(matrix)
    whole, steps = in_steps(x)
    wanted = whole.double() @ numbers.double().t() * scales * steps[:, None]
    most = whole.double().abs() @ numbers.double().abs().t() * scales * steps[:, None] * 2**-21
    assert bool(((multiplied(x, matrix) - wanted).abs() <= most).all())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_row_does_not_depend_on_its_company(dtype: torch.dtype) -> None:
    matrix, x = normal(288, 3136).to(dtype), normal(130, 3136, seed=1)
    together = multiplied(x, matrix)
    for rows in (slice(0, 1), slice(3, 36), slice(40, 130)):
        assert torch.equal(multiplied(x[rows], matrix), together[rows])


def test_few_rows_of_float16_stay_with_the_kernels_that_read_it_once() -> None:
    held = {
        dtype: TiledLinear(normal(64, 64).to(dtype), "amx")
        for dtype in (torch.float16, torch.bfloat16)
    }
    assert held[torch.float16].most_rows == TiledLinear.most_rows > held[torch.bfloat16].most_rows


@pytest.mark.parametrize("shape", [(96, 64), (97, 64), (96, 32), (96, 48)])
def test_a_matrix_that_fills_no_tiles_goes_another_way(shape: tuple[int, int]) -> None:
    matrix = normal(*shape)
    int8 = Int8Linear(*quantize_rows(matrix), "amx")
    tiled = TiledLinear(matrix.bfloat16(), "amx")
    tiled.kernels = int8.kernels = CpuKernels(row_kernels)
    for rows in (1, 3, 4, 40):
        x = normal(rows, shape[1], seed=rows)
        assert torch.allclose(tiled(x), x @ tiled.weight.float().t(), atol=1e-3)
        wide = int8.weight.float() * int8.scales[:, None]
        assert torch.allclose(int8(x), x @ wide.t(), atol=0.02)


@pytest.mark.parametrize(("weights", "other"), [("float", "widened"), ("int8", "terms")])
def test_a_model_computes_the_same_by_either_way(weights: str, other: str) -> None:
    """And by tiles, not by what they are compared with."""
    first, second = (
        [m for m in loaded(weights, way).modules() if isinstance(m, NarrowLinear)]
        for way in ("amx", other)
    )
    by_tiles = 0
    for one, two in zip(first, second, strict=True):
        kernels = Counting(row_kernels)
        one.kernels = two.kernels = kernels
        x = normal(40, one.weight.shape[1])
        assert torch.allclose(one(x), two(x), atol=1e-4)
        by_tiles += kernels.multiplied
    assert by_tiles == len(first) > 0


class Counting(CpuKernels):
    """Kernels that count what they multiply by tiles."""

    multiplied = 0

    def multiply_by_tiles(self, *operands: Any) -> bool:
        done = super().multiply_by_tiles(*operands)
        self.multiplied += done
        return done


def loaded(weights: str, way: str) -> torch.nn.Module:
    folder = GOLDENS / "tiny-phi3v"
    model = load_model(folder, device=CPU, dtype=torch.bfloat16, weights=weights, way=way)
    return cast(torch.nn.Module, model)
