"""The KV cache behaves as transformers' own, without copies per token."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st

from assistant.core.cache.float_layer import FloatLayer
from assistant.core.cache.kv_cache import KVCache
from assistant.core.formats import KV_BLOCK as BLOCK
from assistant.phi3v.rope import Regime


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


@settings(max_examples=30, deadline=None)
@given(
    steps=st.lists(
        st.integers(1, 90) | st.integers(-300, -1) | st.sampled_from(["turn", "copy"]),
        min_size=1,
        max_size=12,
    ),
    head_dim=st.sampled_from([16, 96]),
)
def test_attention_does_not_depend_on_the_layout(steps: list[int | str], head_dim: int) -> None:
    """Whenever a layer changes over, whatever is appended, cropped or copied then."""
    turned, plain = FloatLayer(), FloatLayer()
    for seed, step in enumerate(steps):
        if step == "turn":
            turned.lay_out(by_channel=True)
        elif step == "copy":
            turned = turned.copy(turned.length)
        elif isinstance(step, int) and step < 0:
            for layer in (turned, plain):
                layer.crop(max(0, layer.length + step))
        elif isinstance(step, int):
            q, k, v = (states(step, 3 * seed + n, head_dim) for n in range(3))
            assert torch.allclose(turned.attend(q, k, v), plain.attend(q, k, v), atol=1e-5)
    assert turned.length == plain.length


def test_a_long_chunk_changes_the_layout_back() -> None:
    layer = FloatLayer()
    layer.attend(states(9, 0), states(9, 1), states(9, 2))
    layer.lay_out(by_channel=True)
    layer.attend(states(1, 3), states(1, 4), states(1, 5))
    assert layer.by_channel
    layer.attend(states(300, 6), states(300, 7), states(300, 8))
    assert not layer.by_channel
    assert torch.equal(layer.keys[:, :, 1:9], states(9, 1)[:, :, 1:])


@pytest.mark.parametrize("by_channel", [False, True])
def test_memory_that_runs_out_between_keys_and_values_is_asked_for_again(
    by_channel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = FloatLayer()
    keys, values = torch.randn(2, 1, 2, BLOCK + 9, 8)
    layer.update(keys[:, :, :BLOCK], values[:, :, :BLOCK])
    layer.lay_out(by_channel=by_channel)
    new_empty, calls = torch.Tensor.new_empty, []

    def once(self: torch.Tensor, *shape: Any, **options: Any) -> torch.Tensor:
        calls.append(shape)
        if len(calls) == 2:
            raise MemoryError
        return new_empty(self, *shape, **options)

    with monkeypatch.context() as full:
        full.setattr(torch.Tensor, "new_empty", once)
        with pytest.raises(MemoryError):
            layer.grow(BLOCK + 9)
    layer.grow(BLOCK + 9)
    found = layer.update(keys[:, :, BLOCK:], values[:, :, BLOCK:])
    assert torch.equal(found[0], keys)
    assert torch.equal(found[1], values)
