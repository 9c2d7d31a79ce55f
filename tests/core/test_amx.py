"""Products of bfloat16 by the tiles of AMX, on processors that have them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from assistant.core.cpu import amx, kernels as row_kernels
from assistant.core.cpu.acceleration import CpuKernels
from assistant.core.weights import TiledLinear, load_model
from tests.conftest import GOLDENS

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(not amx.is_here(), reason="this processor has no AMX")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def multiplied(x: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    out = torch.full((len(x), len(matrix)), torch.nan)
    amx.multiply(matrix, x, out)
    return out


@settings(max_examples=20, deadline=None)
@given(
    s=st.integers(1, 90),
    n=st.integers(1, 9),
    k=st.sampled_from((1, 3, 96, 97, 200)),
    seed=st.integers(0, 9),
)
def test_products_keep_sixteen_bits_of_activations(s: int, n: int, k: int, seed: int) -> None:
    """Across the borders of blocks, of what is laid out at once, and of tiles of activations."""
    matrix = normal(n * amx.TOGETHER, k * amx.DEPTH, seed=seed).bfloat16()
    x = normal(s, matrix.shape[1], seed=seed + 100) * torch.logspace(-6, 6, s)[:, None]
    wanted = x.double() @ matrix.double().t()
    most = x.double().abs() @ matrix.double().abs().t() * 2**-16
    assert bool(((multiplied(x, matrix) - wanted).abs() <= most).all())


def test_a_row_does_not_depend_on_its_company() -> None:
    matrix, x = normal(288, 3136).bfloat16(), normal(130, 3136, seed=1)
    together = multiplied(x, matrix)
    for rows in (slice(0, 1), slice(3, 36), slice(40, 130)):
        assert torch.equal(multiplied(x[rows], matrix), together[rows])


def test_few_rows_of_float16_stay_with_the_kernels_that_read_it_once() -> None:
    held = {
        dtype: TiledLinear(normal(64, 64).to(dtype), "amx")
        for dtype in (torch.float16, torch.bfloat16)
    }
    assert held[torch.float16].most_rows == TiledLinear.most_rows > held[torch.bfloat16].most_rows


@pytest.mark.parametrize("shape", [(96, 64), (97, 64), (96, 48)])
def test_a_matrix_that_fills_no_tiles_is_widened(shape: tuple[int, int]) -> None:
    held = TiledLinear(normal(*shape).bfloat16(), "amx")
    held.kernels = CpuKernels(row_kernels)
    for rows in (1, 3, 4, 40):
        x = normal(rows, shape[1], seed=rows)
        assert torch.allclose(held(x), x @ held.weight.float().t(), atol=1e-3)


def test_a_model_computes_the_same_by_either_way() -> None:
    """And by tiles, not by what they are compared with."""
    models = {
        way: load_model(GOLDENS / "tiny-phi3v", device=CPU, dtype=torch.bfloat16, way=way)
        for way in ("amx", "widened")
    }
    narrow = [m for m in models["amx"].modules() if isinstance(m, TiledLinear)]
    assert narrow
    for module in narrow:
        module.kernels = CpuKernels(row_kernels)
        other = TiledLinear(module.weight)
        x = normal(40, module.weight.shape[1])
        tiles, wide = module(x), other(x)
        assert torch.allclose(tiles, wide, atol=1e-4)
        assert not torch.equal(tiles, wide)
