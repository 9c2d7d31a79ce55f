"""Formats of weights: as exact as they say, as small as they say, the same for every row."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st

from assistant.core import weights
from assistant.core.cache.kv_cache import KVCache
from assistant.core.cpu import kernels as row_kernels
from assistant.core.cpu.acceleration import CpuKernels
from assistant.core.cpu.llvm import LINE
from assistant.core.cpu.many_rows import LONGEST, multiply_rows
from assistant.core.decode import decode_one_token, logits_of, prefill
from assistant.core.formats import matrix_bytes
from assistant.core.weights import (
    INT8_WAYS,
    Int8Linear,
    NarrowLinear,
    TiledLinear,
    integer_products_are_exact,
    linear_maker,
    load_model,
    quantize_rows,
)
from assistant.families import load as loading
from assistant.phi3v.rope import Regime
from assistant.values.errors import ModelError
from tests.conftest import GOLDENS
from tests.tiers import few_quick

CPU = torch.device("cpu")
TINY = GOLDENS / "tiny-phi3v"
WAYS = [
    pytest.param(
        way,
        marks=pytest.mark.skipif(
            way == "terms" and not integer_products_are_exact(),
            reason="this CPU's integer products are not exact",
        ),
    )
    for way in INT8_WAYS
]


def in_int8(matrix: torch.Tensor, way: str) -> Int8Linear:
    held = Int8Linear(*quantize_rows(matrix), way)
    held.kernels = KERNELS
    return held


KERNELS = CpuKernels(row_kernels)


def accelerated(held: NarrowLinear) -> NarrowLinear:
    """Let a matrix use the kernels, as :func:`assistant.core.cpu.acceleration.accelerate` does."""
    held.kernels = KERNELS
    return held


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 50), k=st.integers(1, 90), seed=st.integers(0, 9))
def test_quantized_rows_are_half_a_step_off_at_most(n: int, k: int, seed: int) -> None:
    matrix = normal(n, k, seed=seed) * torch.logspace(-6, 6, n)[:, None]
    numbers, scales = quantize_rows(matrix)
    assert numbers.abs().max() <= 127
    error = (numbers * scales[:, None] - matrix).abs()
    assert bool((error <= scales[:, None] * 0.5001).all())


def test_a_row_of_zeros_stays_zero() -> None:
    numbers, scales = quantize_rows(torch.zeros(3, 8))
    assert not numbers.any()
    assert not (numbers * scales[:, None]).isnan().any()


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=20, deadline=None)
@given(s=st.integers(1, 40), n=st.integers(1, 70), k=st.integers(2, 200), seed=st.integers(0, 9))
def test_int8_products_differ_only_by_what_rounding_takes(
    way: str, s: int, n: int, k: int, seed: int
) -> None:
    k = k // 64 * 64 or k  # with the kernels, and where they have to be done without
    matrix, x = normal(n, k, seed=seed), normal(s, k, seed=seed + 100) * 30
    numbers, scales = quantize_rows(matrix)
    expected = x.double() @ (numbers * scales[:, None]).double().t()
    most = x.abs().amax(-1, keepdim=True).double() / (127 * 508)  # half a step of the second term
    bound = most * (numbers.abs() * scales[:, None]).double().sum(-1) * 1.01 + 1e-3
    assert bool(((in_int8(matrix, way)(x) - expected).abs() <= bound).all())


@pytest.mark.parametrize("way", WAYS)
def test_int8_results_of_a_row_do_not_depend_on_its_company(way: str) -> None:
    held = in_int8(normal(300, 256), way)
    x = normal(70, 256, seed=1)
    together = held(x)  # one row goes through the kernels for few
    for i in range(len(x)):
        alone = held(x[i : i + 1])
        assert torch.allclose(alone, together[i : i + 1], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("shape", [(4, 8), (5, 33), (9, 64), (300, 40)])
@pytest.mark.parametrize("k", [64, LONGEST, LONGEST + 64, 2 * LONGEST])
def test_sums_of_the_largest_numbers_are_exact(shape: tuple[int, int], k: int) -> None:
    """Lanes that leave 32 bits would be far off; the last tiles overlap those before them."""
    S, N = shape
    whole = torch.randint(-32512, 32513, (S, k), generator=torch.Generator().manual_seed(k))
    matrix = torch.randint(-127, 128, (N, k), generator=torch.Generator().manual_seed(S))
    whole[0], matrix[0], matrix[1] = 32512, 127, -127
    out = torch.full((S, N), torch.nan)
    arrays = whole.to(torch.int16), torch.ones(S), matrix.to(torch.int8), torch.ones(N), out
    multiply_rows(*(one.numpy() for one in arrays))
    assert torch.allclose(out, (whole @ matrix.t()).float(), rtol=1e-6, atol=4.0 * k)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_several_rows_are_multiplied_as_if_the_matrix_were_float32(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "TILE_NUMBERS", 1000 * 64)  # three tiles
    matrix = normal(2500, 64).to(dtype)
    for held in (TiledLinear(matrix), accelerated(TiledLinear(matrix))):
        for rows in (5, 30):  # few rows: the kernels, where there are any
            x = normal(rows, 64, seed=rows)
            assert torch.allclose(held(x), x @ matrix.float().t(), atol=1e-4)


def test_bytes_are_the_arithmetic() -> None:
    whole = in_int8(normal(96, 64), "pairs")
    assert whole.weight.nbytes + whole.scales.nbytes == matrix_bytes("int8", 96, 64, "")
    held = TiledLinear(normal(96, 64).bfloat16())
    assert held.weight.nbytes == matrix_bytes("float", 96, 64, "bfloat16")


@pytest.mark.parametrize(
    ("form", "dtype", "relative_rms"),
    few_quick(
        [
            ("int8", torch.float32, 0.05),  # all of it from the weights
            ("float", torch.bfloat16, 3e-5),  # AMX takes 16 bits of activations: 1.6e-5
            ("float", torch.float32, 1e-5),
        ]
    ),
)
def test_logits_stay_close_to_float32(
    form: str, dtype: torch.dtype, relative_rms: float, tiny_model: torch.nn.Module
) -> None:
    model = load_model(TINY, device=CPU, dtype=dtype, weights=form)
    ids = torch.randint(3, 32000, (40,), generator=torch.Generator().manual_seed(0))
    expected = tiny_model(ids[None]).logits[0]
    with torch.inference_mode():
        cache = KVCache(model.config.num_hidden_layers, Regime.SHORT)
        hidden = prefill(model, model.model.embed_tokens(ids[:-1]), cache)
        found = torch.stack(
            (logits_of(model, hidden)[-1], decode_one_token(model, int(ids[-1]), cache))
        )
    off = (found - expected[-2:]).pow(2).mean().sqrt() / expected[-2:].std()
    assert off < relative_rms


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.int8])
@settings(max_examples=30, deadline=None)
@given(s=st.integers(1, 17), n=st.integers(8, 70), k=st.integers(1, 14), seed=st.integers(0, 9))
def test_few_rows_are_multiplied_as_if_the_matrix_were_float32(
    dtype: torch.dtype, s: int, n: int, k: int, seed: int
) -> None:
    k *= LINE // dtype.itemsize
    matrix, x = normal(n, k, seed=seed), normal(s, k, seed=seed + 100)
    numbers, scales = quantize_rows(matrix) if dtype == torch.int8 else (matrix.to(dtype), None)
    wide = numbers.float() if scales is None else numbers * scales[:, None]
    found = KERNELS.multiply(numbers, scales, x)
    assert found is not None
    most = x.abs().amax() * wide.abs().sum(-1).amax() / (127 * 508) if scales is not None else 1e-4
    assert bool(((found - x @ wide.t()).abs() <= most).all())


@pytest.mark.parametrize("k", [64, LONGEST, LONGEST + 64, 3 * LONGEST])
def test_a_token_of_the_largest_numbers_is_multiplied_exactly(k: int) -> None:
    whole = torch.randint(-32512, 32513, (3, k), generator=torch.Generator().manual_seed(k))
    matrix = torch.randint(-127, 128, (20, k), generator=torch.Generator().manual_seed(1))
    whole[0], whole[:, 0], matrix[0], matrix[1] = 32512, 32512, 127, -127  # a step is 1
    found = KERNELS.multiply(matrix.to(torch.int8), torch.ones(20), whole.float())
    assert found is not None
    assert torch.allclose(found, (whole @ matrix.t()).float(), rtol=1e-6, atol=4.0 * k)


def test_what_the_kernels_do_not_read_is_left_to_torch() -> None:
    x = normal(1, 48)
    assert KERNELS.multiply(normal(8, 48), None, x) is not None
    assert KERNELS.multiply(normal(7, 48), None, x) is None
    assert KERNELS.multiply(normal(8, 40), None, normal(1, 40)) is None
    assert KERNELS.multiply(normal(8, 48).double(), None, x.double()) is None
    assert KERNELS.multiply(normal(8, 48).to("meta"), None, x) is None


@pytest.mark.parametrize("k", [32, 40, 48])
def test_one_row_is_not_rounded_where_kernels_do_not_read_the_matrix(k: int) -> None:
    held = accelerated(TiledLinear(normal(40, k).bfloat16()))
    x = normal(1, k, seed=1)
    assert torch.allclose(held(x), x @ held.weight.float().t(), atol=1e-5)


@pytest.mark.parametrize("form", ["int4", "int2"])
def test_a_format_that_a_cpu_does_not_have_is_refused_in_words(form: str) -> None:
    with pytest.raises(ModelError, match=f"no {form} weights on cpu: use float or int8"):
        linear_maker(CPU, torch.float32, form)


def test_int4_on_a_card_is_refused_in_words_for_another_format(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: name)  # torchao is here
    with pytest.raises(ModelError, match="multiplied in bfloat16"):
        weights.linear_maker(torch.device("cuda"), torch.float16, "int4")


def test_quantized_weights_are_the_decoders_only(random_folder: Path) -> None:
    model = load_model(random_folder, device=CPU, dtype=torch.bfloat16, weights="float")
    kinds = {type(m).__name__ for m in model.model.layers.modules()}
    assert "TiledLinear" in kinds
    assert "Linear" not in kinds
    assert isinstance(model.lm_head, TiledLinear)
    assert all(p.dtype is torch.float32 for p in model.parameters())


def mappings(folder: Path) -> list[range]:
    """Return the addresses at which this process has files of a folder mapped."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if str(folder) in line:
            start, end = line.split()[0].split("-")
            found.append(range(int(start, 16), int(end, 16)))
    return found


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what is mapped")
@pytest.mark.parametrize("large", [0, 2**30], ids=["opened for each", "opened once"])
def test_matrices_kept_as_they_are_stay_in_a_file_that_is_mapped_once(
    large: int, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "_LARGE", large)
    for others in (
        load_model(tiny_folder, device=CPU, dtype=torch.bfloat16, weights="int8"),
        load_model(tiny_folder, device=CPU, dtype=torch.float32),
    ):
        assert not mappings(tiny_folder), others
    model = load_model(tiny_folder, device=CPU, dtype=torch.bfloat16)
    matrices = [one.weight for one in model.modules() if isinstance(one, TiledLinear)]
    (mapped,) = mappings(tiny_folder)
    assert matrices
    assert all(one.data_ptr() in mapped for one in matrices)
    before = [one.clone() for one in matrices]
    (tiny_folder / "model.safetensors").unlink()  # as an update does, which renames a new one
    assert all(map(torch.equal, matrices, before))
