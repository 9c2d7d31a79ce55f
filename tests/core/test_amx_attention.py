"""Attention of prompts by the tiles of AMX, on processors that have them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from assistant.core import attention, decode
from assistant.core.attention import attend_plainly, merge
from assistant.core.cpu import amx_attention, prompt_attention, tiles
from assistant.core.cpu.amx_attention import BLOCK
from tests.core.tiny import tiny_phi3v

pytestmark = pytest.mark.skipif(not tiles.is_here(), reason="this processor has no AMX")


def states(
    batch: int, heads: int, queries: int, keys: int, head_dim: int, seed: int = 0, size: float = 1
) -> list[torch.Tensor]:
    """Queries, and keys and values of a cache that has room for more."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (
        torch.randn((batch, heads, number, head_dim), generator=generator)
        for number in (queries, keys + 7, keys + 7)
    )
    return [q * size, k[:, :, :keys], v[:, :, :keys]]


def error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


@settings(max_examples=40, deadline=None)
@given(
    batch=st.integers(1, 2),
    heads=st.integers(1, 3),
    queries=st.integers(1, 100) | st.sampled_from((BLOCK, BLOCK + 1, 2 * BLOCK + 40)),
    more=st.integers(0, 80) | st.sampled_from((BLOCK, 3 * BLOCK - 5)),
    head_dim=st.sampled_from((32, 64, 96, 128)),
    causal=st.booleans(),
    seed=st.integers(0, 9),
)
def test_it_is_attention(
    batch: int, heads: int, queries: int, more: int, head_dim: int, causal: bool, seed: int
) -> None:
    """Across the borders of tiles and of blocks; rounding is that of sixteen bits."""
    keys = queries + more
    q, k, v = states(batch, heads, queries, keys, head_dim, seed, 3)
    out, lse = amx_attention.attend(q, k, v, causal=causal)
    wanted = attend_plainly(q.double(), k.double(), v.double(), causal=causal)
    assert error(out, wanted[0]) < 3e-5
    assert float((lse - wanted[1]).abs().max()) < 3e-4


def test_keys_beyond_those_of_a_causal_query_mean_nothing() -> None:
    q, k, v = states(1, 2, 70, 70, 32)
    once, _ = amx_attention.attend(q, k, v, causal=True)
    k[:, :, 40:], v[:, :, 40:] = 1e4, 1e30
    again, _ = amx_attention.attend(q, k, v, causal=True)
    assert torch.equal(once[:, :, :40], again[:, :, :40])


def test_any_layout_is_read() -> None:
    given = states(1, 2, 70, 300, 64)
    turned = [one.mT.contiguous().mT for one in given]
    spread = [torch.stack((one, one), -1)[..., 0] for one in given]
    once, *others = (amx_attention.attend(*one, causal=False)[0] for one in (given, turned, spread))
    assert all(torch.equal(once, other) for other in others)


@pytest.mark.parametrize("size", [1e-6, 100, 1e4])
def test_scores_of_any_size(size: float) -> None:
    q, k, v = states(1, 2, 64, 300, 32, size=size)
    out, lse = amx_attention.attend(q, k, v, causal=False)
    wanted = attend_plainly(q.double(), k.double(), v.double())
    assert bool(out.isfinite().all())
    assert float((lse / wanted[1] - 1).abs().max()) < 1e-4
    if size <= 100:
        assert error(out, wanted[0]) < 1e-5 * max(size, 1)


def test_parts_merge_to_the_whole() -> None:
    q, k, v = states(1, 2, 80, 700, 96)
    whole, lse = amx_attention.attend(q, k, v, causal=False)
    parts = (
        amx_attention.attend(q, k[:, :, cut], v[:, :, cut], causal=False)
        for cut in (slice(333), slice(333, None))
    )
    out, merged = merge(*parts)
    assert torch.allclose(out, whole, atol=1e-5)
    assert torch.allclose(merged, lse, atol=1e-4)


def test_it_is_taken_for_many_queries_where_it_is_quicker(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []

    def counted(q: torch.Tensor, *rest: Any, **more: Any) -> Any:
        taken.append(q.shape[2])
        return attend_plainly(q, *rest, **more)

    monkeypatch.setattr(amx_attention, "attend", counted)
    for quicker in (False, True):
        monkeypatch.setattr(prompt_attention, "is_quicker", lambda _, answer=quicker: answer)
        for q, k, v in (
            states(1, 8, 200, 300, 96),
            states(1, 8, 200, 300, 80),
            states(1, 8, 16, 9000, 96),
            states(1, 1, 64, 64, 32),
            [one.double() for one in states(1, 8, 200, 300, 96)],
        ):
            attention.attend(q, k, v)
    assert taken == [200]
    q, k, _ = states(1, 8, 200, 300, 96)
    assert prompt_attention.attention_for(q, k[:, :2], attend_plainly) is attend_plainly


def test_it_is_compiled_while_a_model_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(attention, "is_quicker", asked.append)
    monkeypatch.setattr("assistant.core.cpu.acceleration.SMALLEST_LAYERS", 0)
    decode.prepare(copy.deepcopy(tiny_phi3v()), "float")
    assert asked == [attention._attend_on_cpu]


def test_what_fails_to_compile_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("Cannot select: intrinsic %llvm.x86.tdpbf16ps")

    monkeypatch.setattr(amx_attention, "attend_heads", broken)
    assert not prompt_attention.is_quicker.__wrapped__(attention._attend_on_cpu)
