"""The int8 and int4 KV caches: pure functions of the sequence, small, and close to float."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings, strategies as st

from assistant.core.cache.kv_cache import KVCache
from assistant.core.cache.packed import Int4Keys, Int4Values, Int8
from assistant.core.cache.quantized_layer import Int4Layer, Int8Layer, QuantizedLayer
from assistant.core.decode import prefill
from assistant.core.formats import TAIL_BLOCK, kv_bytes_per_token, kv_fixed_bytes
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from tests.core.tiny import HEAD_DIM, HEADS, LAYERS, tiny_phi3v

LENGTH = 330
CLOSE = 1e-4
"""Most that other chunk sizes may change by rounding; a query that saw float where it should see
int8 changes 0.01 and more (see the test that says so). The model computes in float64 here, so
that a number between two steps of int8 does not fall to the other by rounding."""


def model() -> Phi3VForCausalLM:
    return tiny_phi3v(torch.float64)


@pytest.fixture(scope="module")
def embeddings() -> torch.Tensor:
    ids = torch.randint(0, 40, (LENGTH,), generator=torch.Generator().manual_seed(3))
    return model().model.embed_tokens(ids)


def read(cache: KVCache, embeddings: torch.Tensor, end: int, chunk: int) -> torch.Tensor:
    outs = []
    while cache.length < end:
        start = cache.length
        with torch.inference_mode():
            piece = embeddings[start : min(start + chunk, end)]
            outs.append(prefill(model(), piece, cache))
    return torch.cat(outs)


@pytest.fixture(scope="module", params=["int8", "int4"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def by_token(kind: str, embeddings: torch.Tensor) -> torch.Tensor:
    """Compute one token at a time."""
    return read(KVCache(LAYERS, Regime.LONG, kind), embeddings, LENGTH, 1)


@pytest.mark.parametrize("chunk", [2, 7, 64, 100, LENGTH])
def test_chunks_change_nothing(
    chunk: int, kind: str, embeddings: torch.Tensor, by_token: torch.Tensor
) -> None:
    cache = KVCache(LAYERS, Regime.LONG, kind)
    assert (read(cache, embeddings, LENGTH, chunk) - by_token).abs().max() < CLOSE


@settings(max_examples=30, deadline=None)
@given(
    histories=st.lists(
        st.tuples(st.integers(0, LENGTH), st.integers(0, LENGTH), st.integers(1, 150)),
        min_size=1,
        max_size=5,
    ),
    copied=st.booleans(),
)
def test_history_leaves_no_trace(
    histories: list[tuple[int, int, int]],
    copied: bool,
    kind: str,
    embeddings: torch.Tensor,
    by_token: torch.Tensor,
) -> None:
    """Grown and cropped (or copied) in any way, what follows is what a cold run gives.

    Chunks of a few positions grow it by 80: over a border of blocks, in a fraction of the time.
    """
    cache = KVCache(LAYERS, Regime.LONG, kind)
    for end, cut, chunk in [*histories, (LENGTH, 0, 64)]:
        start = cache.length
        end = min(end, start + max(80, 20 * chunk))
        if end > start:
            found = read(cache, embeddings, end, chunk)
            assert (found - by_token[start:end]).abs().max() < CLOSE
        if end == LENGTH:
            break
        wanted = min(cut, cache.length)
        if copied:
            cache = cache.copy(wanted)
            kept = cache.length
        else:
            kept = cache.crop(wanted)
        assert kept == cache.length
        assert wanted - TAIL_BLOCK < kept <= wanted


@pytest.mark.parametrize("cached", [1, 63, 64, 65, 127, 128, 200])
@pytest.mark.parametrize("more", [1, 9, 64, 130])
def test_what_was_appended_last_can_be_taken_back(
    cached: int, more: int, kind: str, embeddings: torch.Tensor, by_token: torch.Tensor
) -> None:
    """As a proposal that was wrong, or a pass that ran out of memory, needs it."""
    cache = KVCache(LAYERS, Regime.LONG, kind)
    read(cache, embeddings, cached, 64)
    read(cache, embeddings.flip(0), cached + more, more)
    assert cache.crop(cached) == cached
    found = read(cache, embeddings, cached + 5, 5)
    assert (found - by_token[cached : cached + 5]).abs().max() < CLOSE


def test_a_pass_that_failed_half_way_can_be_taken_back(
    kind: str, embeddings: torch.Tensor, by_token: torch.Tensor
) -> None:
    cache = KVCache(LAYERS, Regime.LONG, kind)
    read(cache, embeddings, 70, 70)
    states = torch.randn(1, HEADS, 100, HEAD_DIM, dtype=torch.float64)
    with torch.inference_mode():
        cache.layers[0].attend(states, states, states)  # the second layer never got there
    assert cache.crop(70) == 70
    found = read(cache, embeddings, 90, 20)
    assert (found - by_token[70:90]).abs().max() < CLOSE


def test_the_past_is_seen_quantized_and_the_own_block_in_float(
    kind: str, embeddings: torch.Tensor
) -> None:
    cold = KVCache(LAYERS, Regime.LONG)
    exact = read(cold, embeddings, LENGTH, LENGTH)
    found = read(KVCache(LAYERS, Regime.LONG, kind), embeddings, LENGTH, LENGTH)
    off = (found - exact).abs().amax(-1)
    assert off[:TAIL_BLOCK].max() < CLOSE
    assert off[TAIL_BLOCK:].max() > 50 * CLOSE, "otherwise nothing was quantized"
    assert off.max() < {"int8": 0.3, "int4": 3}[kind]


@pytest.mark.parametrize(("packing", "levels"), [(Int8, 254), (Int4Keys, 15), (Int4Values, 15)])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 99), scale=st.floats(1e-3, 1e3), head_dim=st.sampled_from([16, 96]))
def test_an_entry_is_half_a_step_off_at_most(
    packing: type[Int8 | Int4Keys | Int4Values],
    levels: int,
    seed: int,
    scale: float,
    head_dim: int,
) -> None:
    """A step is at most the range of all numbers over the levels, rounded to float16."""
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn(1, 2, 2 * TAIL_BLOCK, head_dim, generator=generator) * scale
    packed = packing.empty(states).resized(2 * TAIL_BLOCK, 0)
    packed.write(0, states[:, :, :TAIL_BLOCK])
    packed.write(TAIL_BLOCK, states[:, :, TAIL_BLOCK:])
    step = 2 * float(states.abs().max()) / levels
    assert (packed.widened(0, 2 * TAIL_BLOCK, torch.float32) - states).abs().max() < 0.51 * step


@pytest.mark.parametrize("packing", [Int8, Int4Keys, Int4Values])
@pytest.mark.parametrize("number", [0.0, 1.0, -3.0])
def test_what_is_all_the_same_stays_what_it_is(
    packing: type[Int8 | Int4Keys | Int4Values], number: float
) -> None:
    states = torch.full((1, 2, TAIL_BLOCK, 16), number)
    packed = packing.empty(states).resized(TAIL_BLOCK, 0)
    packed.write(0, states)
    assert torch.allclose(packed.widened(0, TAIL_BLOCK, torch.float32), states)


def test_a_channel_of_large_keys_does_not_drown_the_others() -> None:
    """The reason why int4 packs keys by channel."""
    states = torch.randn(1, 2, TAIL_BLOCK, 32, generator=torch.Generator().manual_seed(5))
    states[..., 3] += 100
    found = {}
    for packing in (Int4Keys, Int4Values):
        packed = packing.empty(states).resized(TAIL_BLOCK, 0)
        packed.write(0, states)
        found[packing] = (packed.widened(0, TAIL_BLOCK, torch.float32) - states)[..., 4:].std()
    assert found[Int4Keys] < found[Int4Values] / 5


@pytest.mark.parametrize(("kind", "share"), [("float", 1), ("int8", 0.27), ("int4", 0.16)])
def test_bytes_are_the_arithmetic(kind: str, share: float) -> None:
    positions, heads, head_dim, layers = 2048, 8, 96, 2
    cache = KVCache(layers, Regime.LONG, kind)
    cache.reserve(positions)
    for layer in cache.layers:
        for _ in range(0, positions, 512):
            layer.update(*torch.randn(2, 1, heads, 512, head_dim))
    numbers = layers, heads, head_dim, "float32"
    expected = positions * kv_bytes_per_token(kind, *numbers) + kv_fixed_bytes(kind, *numbers)
    assert cache.nbytes == expected
    fixed = kv_fixed_bytes(kind, *numbers)
    assert cache.nbytes - fixed <= share * positions * kv_bytes_per_token("float", *numbers)


def test_it_moves_and_stays_what_it_was(
    kind: str, embeddings: torch.Tensor, by_token: torch.Tensor
) -> None:
    cache = KVCache(LAYERS, Regime.LONG, kind)
    read(cache, embeddings, 200, 64)
    assert cache.to(torch.device("cpu")) is cache
    found = read(cache, embeddings, 220, 20)
    assert (found - by_token[200:220]).abs().max() < CLOSE


@pytest.mark.parametrize(("layer", "close"), [(Int8Layer, 0.02), (Int4Layer, 0.25)])
def test_transformers_own_interface_appends_and_widens(
    layer: type[QuantizedLayer], close: float
) -> None:
    cached = layer()
    states = torch.randn(1, 2, 150, 16, generator=torch.Generator().manual_seed(7))
    for start in range(0, 150, 50):
        keys, values = cached.update(states[:, :, start : start + 50], -states[:, :, :50])
    assert keys.shape == values.shape == (1, 2, 150, 16)
    assert (keys - states).abs().max() < close
    assert torch.equal(keys[:, :, 64:], states[:, :, 64:]), "its last block was not complete"
