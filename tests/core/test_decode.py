"""Our own pass over the layers gives what transformers' modules give."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import pytest
import torch

from assistant.core import layers
from assistant.core.attention import attend, merge
from assistant.core.cache.kv_cache import KVCache
from assistant.core.decode import decode_one_token, logits_of, prefill
from assistant.core.layers import layers_of
from assistant.phi3v.rope import Regime
from tests.core.tiny import LAYERS, tiny_phi3v


@pytest.fixture(params=["torch", "kernels"])
def _one_token_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """One token is computed by torch, as in small models, or by the compiled kernels."""
    monkeypatch.setattr(layers, "_known", WeakKeyDictionary())
    smallest = 0 if request.param == "kernels" else 2**62
    monkeypatch.setattr("assistant.core.cpu.acceleration.SMALLEST_LAYERS", smallest)


@pytest.mark.usefixtures("_one_token_by")
@pytest.mark.parametrize("regime", list(Regime))
@pytest.mark.parametrize("chunk", [1, 7, 64, 200])
def test_hidden_states_are_those_of_the_plain_model(chunk: int, regime: Regime) -> None:
    model = tiny_phi3v()
    ids = torch.randint(0, 40, (200,), generator=torch.Generator().manual_seed(1))
    cache = KVCache(LAYERS, regime)
    with torch.inference_mode():
        embeddings = model.model.embed_tokens(ids)
        expected = model.model(embeddings[None], regime=regime)[0]
        pieces = [prefill(model, piece, cache) for piece in embeddings.split(chunk)]
    assert torch.allclose(torch.cat(pieces), expected, atol=1e-4)


@pytest.mark.usefixtures("_one_token_by")
def test_greedy_ids_are_those_of_the_plain_model(tiny_model: Any) -> None:
    prompt = torch.randint(3, 32000, (30,), generator=torch.Generator().manual_seed(2))
    cache = KVCache(tiny_model.config.num_hidden_layers, Regime.SHORT)
    with torch.inference_mode():
        hidden = prefill(tiny_model, tiny_model.model.embed_tokens(prompt), cache)
        ours = [int(logits_of(tiny_model, hidden)[-1].argmax())]
        plain = prompt.tolist()
        for _ in range(40):
            ours.append(int(decode_one_token(tiny_model, ours[-1], cache).argmax()))
        for _ in range(41):
            logits = tiny_model(torch.tensor([plain]), logits_to_keep=1).logits
            plain.append(int(logits[0, -1].argmax()))
    assert ours == plain[30:]


@pytest.mark.parametrize("head_dim", [16, 80, 96])
@pytest.mark.parametrize("border", [1, 37, 99])
def test_merged_parts_are_the_whole(head_dim: int, border: int) -> None:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(1, 3, 5, head_dim, generator=generator)
    k, v = torch.randn(2, 1, 3, 100, head_dim, generator=generator)
    whole, lse = attend(q, k, v)
    parts = [attend(q, k[:, :, s], v[:, :, s]) for s in (slice(border), slice(border, None))]
    out, merged_lse = merge(*parts)
    assert torch.allclose(out, whole, atol=1e-5)
    assert torch.allclose(merged_lse, lse, atol=1e-5)


def test_a_chunk_never_makes_a_mask_of_its_own_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest thing that a suffix of 64 over 4,000 positions makes is the scores' tile."""
    model = tiny_phi3v()
    cache = KVCache(LAYERS, Regime.LONG)
    embeddings = torch.randn(4064, model.config.hidden_size)
    with torch.inference_mode():
        prefill(model, embeddings[:4000], cache)
        with torch.profiler.profile(profile_memory=True) as profile:
            prefill(model, embeddings[4000:], cache)
    largest = max(event.cpu_memory_usage for event in profile.events())
    grown = max(layer.keys.nbytes for layer in cache.layers)
    assert largest <= max(grown, 64 * 3 * model.config.hidden_size * 4 * 4)


@pytest.mark.parametrize("kind", ["float", "int8"])
@torch.inference_mode()
def test_a_long_pass_can_be_ended_between_layers_and_begun_again(kind: str) -> None:
    model = tiny_phi3v()
    ids = torch.randint(0, 40, (170,), generator=torch.Generator().manual_seed(6))
    states = model.model.embed_tokens(ids)
    cache, whole = KVCache(LAYERS, Regime.LONG, kind), KVCache(LAYERS, Regime.LONG, kind)
    prefill(model, states[:70], cache)
    calls = []

    def stop_before_the_last_layer() -> None:
        calls.append(None)
        if len(calls) == LAYERS:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prefill(model, states[70:], cache, stop_before_the_last_layer)
    assert cache.crop(70) == 70
    found = prefill(model, states[70:], cache)
    prefill(model, states[:70], whole)
    assert torch.equal(found, prefill(model, states[70:], whole))


@pytest.mark.parametrize("kind", ["float", "int8", "int4"])
@torch.inference_mode()
def test_the_kernels_give_what_torch_gives_over_every_cache(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Across blocks of a quantized cache, the layout that a float one changes to, and growth."""
    model = tiny_phi3v()
    ids = torch.randint(0, 40, (300,), generator=torch.Generator().manual_seed(8))
    states = model.model.embed_tokens(ids)
    found = {}
    for smallest in (2**62, 0):
        monkeypatch.setattr(layers, "_known", WeakKeyDictionary())
        monkeypatch.setattr("assistant.core.cpu.acceleration.SMALLEST_LAYERS", smallest)
        assert (layers_of(model).layers[0].token is not None) == (smallest == 0)
        cache = KVCache(LAYERS, Regime.LONG, kind)
        prefill(model, states[:120], cache)
        found[smallest] = torch.cat([prefill(model, one, cache) for one in states[120:].split(1)])
    assert torch.allclose(found[0], found[2**62], atol=1e-3 if kind == "float" else 0.1)


@torch.inference_mode()
def test_a_token_leaves_what_it_is_given_as_it_was() -> None:
    model = tiny_phi3v()
    states = model.model.embed_tokens(torch.arange(30))
    before = states.clone()
    cache = KVCache(LAYERS, Regime.LONG)
    for one in states.split(1):
        prefill(model, one, cache)
    assert torch.equal(states, before)
