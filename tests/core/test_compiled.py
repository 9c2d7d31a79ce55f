"""The static step of CUDA, run uncompiled on the CPU; compilers that fail do no harm."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import pytest
import torch

from assistant.core.cache.kv_cache import KVCache
from assistant.core.cuda import Step
from assistant.core.decode import Decoder, prefill
from assistant.core.formats import KV_BLOCK
from assistant.phi3v.rope import Regime
from tests.core.tiny import LAYERS, tiny_phi3v


def uncompiled(step: Step) -> Step:
    return step


def embeddings(count: int) -> torch.Tensor:
    ids = torch.randint(0, 40, (count,), generator=torch.Generator().manual_seed(4))
    return tiny_phi3v().model.embed_tokens(ids)


@torch.inference_mode()
def test_the_static_step_is_prefill_of_one_token() -> None:
    """Over the border of a block, where the cache grows, and after a crop."""
    model, states = tiny_phi3v(), embeddings(KV_BLOCK + 9)
    decoder = Decoder(model, uncompiled)
    static, plain = KVCache(LAYERS, Regime.LONG), KVCache(LAYERS, Regime.LONG)
    first = KV_BLOCK - 6
    decoder(states[:first], static)
    prefill(model, states[:first], plain)
    for layer in static.layers:
        layer.keys[:, :, first:] = layer.values[:, :, first:] = float("nan")  # as fresh memory may
    for at in range(first, len(states)):
        found = decoder(states[at : at + 1], static)
        assert torch.allclose(found, prefill(model, states[at : at + 1], plain), atol=1e-5)
        assert static.length == at + 1
    static.crop(30)
    plain.crop(30)
    found = decoder(states[:1], static)
    assert torch.allclose(found, prefill(model, states[:1], plain), atol=1e-5)


@pytest.mark.long
@torch.inference_mode()
def test_the_static_step_is_traced_whole_and_seldom_again() -> None:
    """CUDA graphs need, as far as a CPU can tell, one graph without breaks, and once more when
    a cache first has another size; neither growth nor another conversation after that."""
    torch._dynamo.reset()
    graphs = []

    def compiler(step: Step) -> Step:
        def keep(graph: torch.fx.GraphModule, _: object) -> Any:
            graphs.append(graph)
            return graph

        return torch.compile(step, backend=keep, fullgraph=True)  # type: ignore[no-any-return]

    model, states = tiny_phi3v(), embeddings(4 * KV_BLOCK)
    decoder = Decoder(model, compiler)
    for first in (KV_BLOCK - 2, 2 * KV_BLOCK - 2, 3 * KV_BLOCK - 2):
        static, plain = KVCache(LAYERS, Regime.LONG), KVCache(LAYERS, Regime.LONG)
        decoder(states[:first], static)
        prefill(model, states[:first], plain)
        for at in range(first, first + 5):
            found = decoder(states[at : at + 1], static)
            assert torch.allclose(found, prefill(model, states[at : at + 1], plain), atol=5e-5)
    assert decoder._step is not None, "nothing failed"
    assert len(graphs) == 2


@pytest.mark.parametrize("kind", ["float", "int8"])
@torch.inference_mode()
def test_a_compiler_that_fails_is_logged_once_and_not_used_again(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def failing(step: Step) -> Step:
        def run(*_: object) -> NoReturn:
            asked.append(step)
            raise RuntimeError("no compiler here")

        return run

    model, states = tiny_phi3v(), embeddings(12)
    decoder = Decoder(model, failing)
    cache, plain = KVCache(LAYERS, Regime.LONG, kind), KVCache(LAYERS, Regime.LONG, kind)
    prefill(model, states[:10], cache)
    prefill(model, states[:10], plain)
    with caplog.at_level(logging.WARNING):
        for at in (10, 11):
            found = decoder(states[at : at + 1], cache)
            assert torch.equal(found, prefill(model, states[at : at + 1], plain))
    expected = 1 if kind == "float" else 0  # int8 never asks
    assert len(asked) == len(caplog.records) == expected


@torch.inference_mode()
def test_memory_that_runs_out_is_not_taken_for_a_compiler_that_fails() -> None:
    def exhausted(step: Step) -> Step:
        def run(*_: object) -> NoReturn:
            raise torch.OutOfMemoryError("CUDA out of memory")

        return run

    cache = KVCache(LAYERS, Regime.LONG)
    decoder = Decoder(tiny_phi3v(), exhausted)
    decoder(embeddings(3), cache)
    with pytest.raises(torch.OutOfMemoryError):
        decoder(embeddings(1), cache)
    assert cache.length == 3
