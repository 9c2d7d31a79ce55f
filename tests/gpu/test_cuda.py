"""CUDA paths, on a device."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import NoReturn

import pytest
import torch

from assistant.core.attention import attend, merge
from assistant.core.cache.kv_cache import KVCache
from assistant.core.card_int8 import CardInt8Linear, _kernel
from assistant.core.decode import Decoder, logits_of, prefill
from assistant.core.formats import kv_bytes_per_token
from assistant.core.generate import ResidentModel
from assistant.core.memory.devices import plan_memory
from assistant.core.memory.values import Wanted
from assistant.core.weights import load_model, quantize_rows
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from assistant.values.errors import ModelError
from assistant.values.generation import GenerationEnded, TokensGenerated
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from tests.conftest import GOLDENS
from tests.gpu.rounded import rounded

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]
CUDA = torch.device("cuda")
TINY = GOLDENS / "tiny-phi3v"
LAYERS = 3


def tokens(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 32000, (count,), generator=generator)


@pytest.fixture(scope="module")
def model() -> Iterator[Phi3VForCausalLM]:
    tf32 = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    yield load_model(TINY, device=CUDA, dtype=torch.float32)
    torch.backends.cuda.matmul.allow_tf32 = tf32


def read(model: Phi3VForCausalLM, ids: torch.Tensor, chunk: int, kind: str) -> torch.Tensor:
    cache = KVCache(LAYERS, Regime.LONG, kind)
    states = model.model.embed_tokens(ids.to(CUDA))
    with torch.inference_mode():
        hidden = torch.cat([prefill(model, part, cache) for part in states.split(chunk)])
        return logits_of(model, hidden)


@pytest.mark.parametrize("chunk", [1, 7, 64, 300])
def test_float32_logits_are_the_cpus(
    chunk: int, model: Phi3VForCausalLM, tiny_model: Phi3VForCausalLM
) -> None:
    ids = tokens(300)
    with torch.inference_mode():
        expected = tiny_model(ids[None], regime=Regime.LONG).logits[0]
    found = read(model, ids, chunk, "float").cpu()
    assert torch.allclose(found, expected, atol=2e-3)
    assert torch.equal(found.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("chunk", [7, 64, 300])
def test_int8_kv_does_not_depend_on_chunks(chunk: int, model: Phi3VForCausalLM) -> None:
    one = read(model, tokens(300), 1, "int8")
    off = (read(model, tokens(300), chunk, "int8") - one).pow(2).mean().sqrt()
    assert off < 0.01 * one.std(), "a number between two steps may fall to the other, rarely"


def test_bfloat16_stays_within_its_noise(tiny_model: Phi3VForCausalLM) -> None:
    held = load_model(TINY, device=CUDA, dtype=torch.bfloat16)
    ids = tokens(300)
    with torch.inference_mode():
        expected = tiny_model(ids[None], regime=Regime.LONG).logits[0]
    off = (read(held, ids, 64, "float").cpu() - expected).pow(2).mean().sqrt()
    assert off < 0.06 * expected.std()  # as the goldens' README measured


@pytest.mark.parametrize("kind", ["float", "int8", "int4"])
@torch.inference_mode()
def test_the_recorded_step_is_the_eager_one(kind: str, model: Phi3VForCausalLM) -> None:
    """Over the growth of the cache, a crop and a second conversation."""
    decoder = Decoder.for_device(model)
    assert decoder._step is not None
    states = model.model.embed_tokens(tokens(300).to(CUDA))
    for _ in range(2):
        recorded, eager = (KVCache(LAYERS, Regime.LONG, kind) for _ in range(2))
        decoder(states[:250], recorded)
        prefill(model, states[:250], eager)
        for at in range(250, 270):
            found = decoder(states[at : at + 1], recorded)
            expected = prefill(model, states[at : at + 1], eager)
            assert torch.allclose(found, expected, atol=1e-4)
        for cache in (recorded, eager):
            cache.crop(100)
        found = decoder(states[:1], recorded)
        assert torch.allclose(found, prefill(model, states[:1], eager), atol=1e-4)
    assert decoder._step is not None, "it was recorded all the time"


@torch.inference_mode()
def test_recording_again_takes_no_more_memory(model: Phi3VForCausalLM) -> None:
    decoder = Decoder.for_device(model)
    states = model.model.embed_tokens(tokens(300).to(CUDA))
    taken = []
    for _ in range(8):
        cache = KVCache(LAYERS, Regime.LONG)
        decoder(states[:100], cache)
        decoder(states[:1], cache)
        torch.cuda.synchronize()
        taken.append(torch.cuda.memory_allocated())
    assert max(taken[2:]) == min(taken[2:])


@pytest.mark.parametrize(("rows", "columns"), [(3072, 3072), (101, 8192), (64, 64), (64, 40)])
@pytest.mark.parametrize("asked", [1, 3, 8, 100])
@torch.inference_mode()
def test_int8_products_are_those_of_the_numbers(asked: int, rows: int, columns: int) -> None:
    """Also where the width is none that the kernel reads."""
    generator = torch.Generator().manual_seed(asked)
    matrix = torch.randn(rows, columns, generator=generator)
    x = torch.randn(asked, columns, generator=generator).bfloat16()
    numbers, scales = quantize_rows(matrix)
    expected = (x.double() @ numbers.double().t() * scales).float()
    held = CardInt8Linear(numbers.to(CUDA), scales.to(CUDA))
    assert _kernel() is not None
    off = (held(x.to(CUDA)).float().cpu() - expected).abs().max()
    assert off < 2**-7 * expected.abs().max()


@pytest.mark.parametrize("kind", ["float", "int8"])
@torch.inference_mode()
def test_kv_takes_the_memory_of_the_arithmetic(kind: str) -> None:
    layers, heads, head_dim, positions = 4, 8, 96, 16384
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    cache = KVCache(layers, Regime.LONG, kind)
    cache.reserve(positions)
    states = torch.randn(1, heads, 1024, head_dim, device=CUDA, dtype=torch.bfloat16)
    for _ in range(0, positions, 1024):
        for layer in cache.layers:
            layer.attend(states, states, states)
    taken = torch.cuda.memory_allocated() - before - states.nbytes
    expected = positions * kv_bytes_per_token(kind, layers, heads, head_dim, "bfloat16")
    assert expected <= taken < 1.1 * expected


@torch.inference_mode()
def test_a_suffix_makes_no_mask() -> None:
    """512 queries over 65,536 keys: a mask would be 64 MiB in bfloat16, the scores 1 GiB."""
    config = load_model(TINY, device=CUDA, dtype=torch.bfloat16)
    cache = KVCache(LAYERS, Regime.LONG)
    width = config.config.hidden_size
    cache.reserve(66048)
    states = torch.randn(8192, width, device=CUDA, dtype=torch.bfloat16)
    for _ in range(8):
        prefill(config, states, cache)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    prefill(config, states[:512], cache)
    assert torch.cuda.max_memory_allocated() - before < 32 * 2**20


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_merged_parts_are_the_whole(dtype: torch.dtype) -> None:
    q = torch.randn(1, 3, 5, 96, device=CUDA, dtype=dtype)
    k, v = torch.randn(2, 1, 3, 100, 96, device=CUDA, dtype=dtype)
    whole, _ = attend(q, k, v)
    out, _ = merge(attend(q, k[:, :, :37], v[:, :, :37]), attend(q, k[:, :, 37:], v[:, :, 37:]))
    assert torch.allclose(out, whole, atol=1e-5 if dtype is torch.float32 else 2e-2)


def replies(resident: ResidentModel, first: int) -> tuple[list[int], int]:
    """(ids, positions that were cached) of a reply to a prompt that begins with ``first``."""
    prompt = Prompt(((first, *range(10, 310)),))
    events = list(resident.generate(prompt, Sampling(max_new_tokens=8), no_crops, lambda: False))
    assert isinstance(events[-1], GenerationEnded)
    said = [i for event in events if isinstance(event, TokensGenerated) for i in event.ids]
    return said, events[-1].usage.cached_tokens


def no_crops(_: object) -> NoReturn:
    raise AssertionError("there is no picture")


def test_what_leaves_the_card_waits_in_main_memory(
    model: Phi3VForCausalLM, tiny_model: Phi3VForCausalLM
) -> None:
    """And the replies are the CPU's, from the card and after the way there and back."""
    here = ResidentModel(tiny_model, frozenset(), 1024)
    there = ResidentModel(model, frozenset(), 1024, kv_budget=1, host_budget=2**30)
    expected = {first: replies(here, first)[0] for first in (1, 2)}
    for first, cached in ((1, 0), (2, 0), (1, 300), (2, 300)):
        assert replies(there, first) == (expected[first], cached)


def test_the_card_that_is_full_ends_one_turn(model: Phi3VForCausalLM) -> None:
    resident = ResidentModel(model, frozenset(), 131_072)
    expected, _ = replies(resident, 1)
    huge = Prompt((tuple(3 + i % 3000 for i in range(100_000)),))
    total = torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 100 * 2**20) / total)
    try:
        with pytest.raises(ModelError) as refused:
            list(resident.generate(huge, Sampling(), no_crops, lambda: False))
        assert refused.value.code == "memory"
        assert replies(resident, 1)[0] == expected
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_the_plan_sees_the_card() -> None:
    plan, _ = plan_memory(TINY, CUDA, Wanted())
    free, _ = torch.cuda.mem_get_info()
    assert plan.device.startswith("cuda")
    assert plan.available == pytest.approx(free, rel=0.05)


@pytest.mark.skipif(
    importlib.util.find_spec("flash_attn") is None, reason="flash-attn is not installed"
)
def test_flash_attention_is_sdpa_up_to_rounding() -> None:
    ids = tokens(300)
    found, expected = (
        read(
            load_model(TINY, device=CUDA, dtype=torch.bfloat16, attention=attention),
            ids,
            64,
            "float",
        )
        for attention in ("flash_attention_2", "sdpa")
    )
    assert (found - expected).pow(2).mean().sqrt() < 0.06 * expected.std()


@pytest.mark.parametrize("weights", ["int8", "int4"])
@torch.inference_mode()
def test_quantized_weights_are_the_formats_own(weights: str, tiny_model: Phi3VForCausalLM) -> None:
    """The card's model is, up to bfloat16's noise, the CPU's with the format's numbers in float32.

    int4 is far from the exact model: 64 numbers a row are two groups.
    """
    if weights == "int4" and importlib.util.find_spec("torchao") is None:
        pytest.skip("torchao is not installed")
    held = load_model(TINY, device=CUDA, dtype=torch.bfloat16, weights=weights)
    ids = tokens(50)
    expected = rounded(tiny_model, weights)(ids[None], regime=Regime.LONG).logits[0]
    off = (read(held, ids, 50, "float").cpu() - expected).pow(2).mean().sqrt()
    assert off < 0.06 * expected.std()
