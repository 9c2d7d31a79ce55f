"""The KV cache behaves as transformers' own, without copies per token."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from assistant.core.cache import BLOCK, KVCache
from assistant.phi3v import Regime


def states(positions: int, seed: int, head_dim: int = 96) -> torch.Tensor:
    return torch.randn(1, 2, positions, head_dim, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(steps=st.lists(st.integers(1, 700) | st.integers(-700, -1), min_size=1, max_size=12))
def test_appends_and_crops_are_concatenation_and_slices(steps: list[int]) -> None:
    cache = KVCache(2, Regime.SHORT)
    expected = [torch.empty(1, 2, 0, 96) for _ in range(2)]
    for seed, step in enumerate(steps):
        if step < 0:
            length = max(0, cache.length + step)
            cache.crop(length)
            expected = [e[:, :, :length] for e in expected]
            continue
        for layer in range(2):
            new = states(step, seed * 2 + layer)
            expected[layer] = torch.cat((expected[layer], new), dim=2)
            keys, values = cache.update(new, -new, layer)
            assert torch.equal(keys, expected[layer])
            assert torch.equal(values, -expected[layer])
        assert cache.get_seq_length() == cache.length == expected[0].shape[2]


def test_a_token_is_written_in_place() -> None:
    cache = KVCache(1, Regime.LONG)
    cache.update(states(5, 0), states(5, 1), 0)
    memory = cache.layers[0].keys.data_ptr()
    for seed in range(BLOCK - 5):
        cache.update(states(1, seed), states(1, seed), 0)
    assert cache.layers[0].keys.data_ptr() == memory
    cache.update(states(1, 0), states(1, 0), 0)
    assert cache.layers[0].keys.shape[2] % BLOCK == 0


def test_a_crop_can_only_forget() -> None:
    cache = KVCache(1, Regime.SHORT)
    cache.update(states(5, 0), states(5, 1), 0)
    for wrong in (6, -1):
        with pytest.raises(ValueError, match="can't crop"):
            cache.crop(wrong)
