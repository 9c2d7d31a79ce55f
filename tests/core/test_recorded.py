"""The step of CUDA, computed on the CPU in place of a replay; recordings that fail do no harm."""

from __future__ import annotations

import logging
from typing import NoReturn

import pytest
import torch

from assistant.core.cache.kv_cache import KVCache
from assistant.core.cuda import Compute
from assistant.core.decode import Decoder, prefill
from assistant.core.formats import KV_BLOCK
from assistant.phi3v.rope import Regime
from tests.core.tiny import LAYERS, tiny_phi3v

KINDS = ["float", "int8", "int4"]
APART = {"float": 5e-5, "int8": 1e-3, "int4": 1e-3}
"""The distance that results may have: the last bit of a product decides to which of two steps a
number is rounded. On a processor with AMX one group of values got another low (6e-5)."""


class Computed:
    """Records nothing: computes again what a graph would replay. ``count``: recordings."""

    count = 0

    def __call__(self, compute: Compute) -> Compute:
        self.count += 1
        compute()  # as on a card: what is written twice is written once
        return compute


def embeddings(count: int) -> torch.Tensor:
    ids = torch.randint(0, 40, (count,), generator=torch.Generator().manual_seed(4))
    return tiny_phi3v().model.embed_tokens(ids)


def spoil(cache: KVCache) -> None:
    """Put NaN where memory is fresh, as it may be on a card."""
    for layer in cache.layers:
        if cache.kind == "float":
            for states in layer.places:
                states[:, :, layer.length :] = float("nan")
        else:
            begun = layer.length // 64 * 64
            for packed in (layer._keys, layer._values):
                for part, each in zip(packed.parts, packed._each, strict=True):
                    if part.is_floating_point():
                        part[:, :, begun // each :] = float("nan")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [2, 62, KV_BLOCK - 6])
@torch.inference_mode()
def test_the_step_is_prefill_of_one_token(first: int, kind: str) -> None:
    """Over borders of blocks, where the cache grows, after a crop, and with another cache."""
    model, states = tiny_phi3v(), embeddings(first + 140)
    record = Computed()
    decoder = Decoder(model, record)
    for _ in range(2):
        step, plain = (KVCache(LAYERS, Regime.LONG, kind) for _ in range(2))
        decoder(states[:first], step)
        prefill(model, states[:first], plain)
        spoil(step)
        for at in range(first, len(states)):
            found = decoder(states[at : at + 1], step)
            wanted = prefill(model, states[at : at + 1], plain)
            assert torch.allclose(found, wanted, atol=APART[kind])
            assert step.length == plain.length == at + 1
        kept = step.length - 7
        assert step.crop(kept) == plain.crop(kept)
        for part in (states[:1], states[3:9], states[9:10]):
            found, wanted = decoder(part, step), prefill(model, part, plain)
            assert torch.allclose(found, wanted, atol=APART[kind])
    assert decoder._step is not None, "nothing failed"


@torch.inference_mode()
def test_a_step_is_recorded_again_only_for_another_place() -> None:
    model, states = tiny_phi3v(), embeddings(KV_BLOCK + 20)
    record = Computed()
    decoder = Decoder(model, record)
    caches = [KVCache(LAYERS, Regime.LONG) for _ in range(2)]
    for cache in caches:
        decoder(states[: KV_BLOCK - 10], cache)

    def steps(cache: KVCache, count: int) -> int:
        for at in range(cache.length, cache.length + count):
            decoder(states[at : at + 1], cache)
        return record.count

    assert steps(caches[0], 10) == 1
    assert steps(caches[0], 10) == 2, "it grew"
    caches[0].crop(30)
    assert steps(caches[0], 3) == 2
    assert steps(caches[1], 3) == 3


@pytest.mark.parametrize("kind", KINDS)
@torch.inference_mode()
def test_a_recording_that_fails_is_logged_once_and_not_used_again(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def failing(compute: Compute) -> NoReturn:
        asked.append(compute)
        raise RuntimeError("no graphs here")

    model, states = tiny_phi3v(), embeddings(12)
    decoder = Decoder(model, failing)
    cache, plain = KVCache(LAYERS, Regime.LONG, kind), KVCache(LAYERS, Regime.LONG, kind)
    prefill(model, states[:10], cache)
    prefill(model, states[:10], plain)
    with caplog.at_level(logging.WARNING):
        for at in (10, 11):
            found = decoder(states[at : at + 1], cache)
            assert torch.equal(found, prefill(model, states[at : at + 1], plain))
    assert len(asked) == len(caplog.records) == 1


@torch.inference_mode()
def test_memory_that_runs_out_is_not_taken_for_a_recording_that_fails() -> None:
    def exhausted(_: Compute) -> NoReturn:
        raise torch.OutOfMemoryError("CUDA out of memory")

    cache = KVCache(LAYERS, Regime.LONG)
    decoder = Decoder(tiny_phi3v(), exhausted)
    decoder(embeddings(3), cache)
    with pytest.raises(torch.OutOfMemoryError):
        decoder(embeddings(1), cache)
    assert cache.length == 3
