"""The compiled kernels, one by one: against torch, at their edges, and where there are none."""

from __future__ import annotations

import logging
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch.nn.functional import scaled_dot_product_attention, silu

from assistant.core import decode as decoding, layers, weights
from assistant.core.cache.kv_cache import KVCache
from assistant.core.cpu import acceleration, compiler, kernels as row_kernels
from assistant.core.cpu.acceleration import CpuKernels
from assistant.core.decode import decode_one_token
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from tests.core.tiny import LAYERS, tiny_phi3v


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=25, deadline=None)
@given(
    length=st.sampled_from([0, 1, 14, 15, 16, 30, 31, 100, row_kernels.TILE + 3]),
    heads=st.integers(1, 5),
    head_dim=st.sampled_from([8, 12, 16, 96]),
    seed=st.integers(0, 9),
)
def test_attention_of_one_token(length: int, heads: int, head_dim: int, seed: int) -> None:
    """Memory beyond the new position is never read: it may be anything."""
    capacity = length + 40
    keys, values = torch.full((2, heads, head_dim, capacity), torch.nan)
    keys[:, :, :length] = 3 * normal(heads, head_dim, length, seed=seed)
    values[:, :, :length] = normal(heads, head_dim, length, seed=seed + 1)
    qkv = normal(3, heads, head_dim, seed=seed + 2)
    out = row_kernels.attend(qkv.view(-1).numpy(), keys.numpy(), values.numpy(), length)
    used = length + 1
    assert torch.equal(keys[:, :, length], qkv[1])
    assert torch.equal(values[:, :, length], qkv[2])
    expected = scaled_dot_product_attention(
        qkv[0][:, None], keys[:, :, :used].mT, values[:, :, :used].mT
    )
    assert torch.allclose(torch.from_numpy(out), expected.flatten(), atol=1e-5)


def test_scores_far_apart_and_alike_are_no_trouble() -> None:
    keys, values = torch.zeros(2, 1, 16, 64)
    values[0, 0] = torch.arange(64)
    qkv = torch.zeros(3, 16)
    qkv[2, 0] = 1000
    out = row_kernels.attend(qkv.view(-1).numpy(), keys.numpy(), values.numpy(), 39)
    assert out[0] == pytest.approx((sum(range(39)) + 1000) / 40, rel=1e-6)
    qkv[0], qkv[1] = 1e4, 1e4  # the new position's score is beyond all others by 4 * 10^8
    out = row_kernels.attend(qkv.view(-1).numpy(), keys.numpy(), values.numpy(), 39)
    assert out[0] == pytest.approx(1000, rel=1e-6)


def test_the_exponential_is_exact_to_a_unit_in_the_last_place() -> None:
    x = -torch.linspace(0, 86.9, 100_001)
    found = np.array([row_kernels._exp(one) for one in x.numpy()])
    expected = np.exp(x.double().numpy())
    assert np.max(np.abs(found - expected) / np.spacing(expected.astype(np.float32))) <= 1
    assert 0 <= row_kernels._exp(np.float32(-1e30)) < 1e-37


@settings(max_examples=20, deadline=None)
@given(s=st.integers(1, 20), half=st.integers(1, 70), seed=st.integers(0, 9))
def test_gates(s: int, half: int, seed: int) -> None:
    both = 30 * normal(s, 2 * half, seed=seed)
    expected = silu(both[:, :half]) * both[:, half:]
    assert torch.allclose(CpuKernels(row_kernels).gate(both), expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def _own_state(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Findings about the kernels here are forgotten afterwards."""
    monkeypatch.setattr(acceleration, "_failed", [])
    monkeypatch.setattr(layers, "_known", WeakKeyDictionary())
    monkeypatch.setattr(acceleration, "SMALLEST_LAYERS", 0)
    acceleration._imported.cache_clear()
    yield
    acceleration._imported.cache_clear()


@torch.inference_mode()
def tokens_of(model: Phi3VForCausalLM) -> torch.Tensor:
    cache = KVCache(LAYERS, Regime.SHORT)
    return torch.stack([decode_one_token(model, token, cache) for token in range(6, 12)])


@pytest.mark.usefixtures("_own_state")
@pytest.mark.parametrize("kind", ["float", "int8"])
def test_a_model_is_prepared_for_its_first_token(
    kind: str,
) -> None:
    model = tiny_phi3v()
    assert decoding.is_compiled(model)
    decoding.prepare(model, kind)
    assert decoding.is_compiled(model)
    assert not acceleration._failed


@pytest.mark.usefixtures("_own_state")
def test_where_there_is_no_numba_torch_computes_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_phi3v()
    expected = tokens_of(model)
    acceleration._imported.cache_clear()
    layers._known.clear()
    monkeypatch.setitem(sys.modules, "assistant.core.cpu.kernels", None)
    monkeypatch.delattr("assistant.core.cpu.kernels")
    with caplog.at_level(logging.WARNING):
        assert not decoding.is_compiled(model)
        assert torch.allclose(tokens_of(model), expected, atol=1e-4)
    assert [r.message[:27] for r in caplog.records] == ["decoding is not compiled: ["]


@pytest.mark.usefixtures("_own_state")
def test_a_kernel_that_fails_to_compile_is_replaced_by_torch(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*arguments: object) -> None:
        raise RuntimeError("LLVM ERROR: no such instruction\nand more")

    model = tiny_phi3v()
    expected = tokens_of(model)
    monkeypatch.setattr(row_kernels, "until_attention", refused)
    with caplog.at_level(logging.WARNING):
        decoding.prepare(model, "float")
    assert "['LLVM ERROR: no such instruction']" in caplog.text
    assert not decoding.is_compiled(model)
    assert torch.allclose(tokens_of(model), expected, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(s=st.integers(1, 20), k=st.integers(1, 90), seed=st.integers(0, 9))
def test_rows_are_rounded_the_same_with_kernels_and_without(s: int, k: int, seed: int) -> None:
    rows = normal(s, k, seed=seed) * torch.logspace(-5, 5, s)[:, None]
    products = torch.randint(-(2**26), 2**26, (2, s, 9), dtype=torch.int32)
    scales = normal(9, seed=seed).abs()
    found = []
    for library in (CpuKernels(row_kernels), weights):
        terms, out = torch.empty(2, s, k, dtype=torch.int8), torch.empty(s, 9)
        steps = library.split(rows, terms)
        library.join(products, scales, steps, out)
        found.append((terms, steps, out))
    (terms, steps, out), (other_terms, other_steps, other_out) = found
    assert torch.equal(terms, other_terms)
    assert torch.allclose(steps, other_steps, rtol=1e-6)
    assert torch.allclose(out, other_out, rtol=1e-5)
    whole = 256 * terms[0].float() + terms[1].float()
    assert bool(((whole * steps[:, None] - rows).abs() <= steps[:, None] * 0.51).all())


def test_what_is_kept_is_compiled_again_when_a_file_beside_it_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "kept.py"
    file.write_text("def double(x):\n    return 2 * x\n")
    functions = []  # numba would import the module of one that was collected, and it has none

    def found() -> int:
        """Return how often a new process would find the function compiled."""
        function = compiler.compiled(runpy.run_path(str(file))["double"])
        functions.append(function)
        assert function(21.0) == 42.0
        return sum(function.stats.cache_hits.values())

    assert (found(), found()) == (0, 1)
    monkeypatch.setattr(compiler, "_sources", lambda: b"others")
    assert (found(), found()) == (0, 1)
