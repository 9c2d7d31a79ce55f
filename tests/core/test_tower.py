"""A tower's products in fewer bits: close to float32, taken where measured to be quicker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from assistant.core import formats, weights
from assistant.core.cpu import tower
from assistant.core.cpu.bfloat16 import BFloat16Linear
from assistant.core.cpu.tower import FixedPointLinear, has_int16
from assistant.core.feature_files import fingerprint
from assistant.core.formats import tower_format
from assistant.core.weights import load_model, tower_maker
from assistant.phi3v.clip_model import ClipLayer, attend, quick_gelu
from tests.core.one_processor import attention_error
from tests.core.test_instruction_sets import PROCESSORS, flags, on_x86, processor, switches

CPU = torch.device("cpu")

with_bfloat16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="oneDNN has no bfloat16 here"
)
with_int16 = pytest.mark.skipif(not has_int16(), reason="nothing can be compiled here")

NARROW = [
    pytest.param("bfloat16", "float", BFloat16Linear, marks=with_bfloat16),
    pytest.param("int16", "int8", FixedPointLinear, marks=with_int16),
]
"""A format of the tower, that of the decoder beside it, the module that holds a matrix."""

Gains = Callable[..., None]


@pytest.fixture
def gains(monkeypatch: pytest.MonkeyPatch) -> Gains:
    """Take matrices of any size, with these times float32's speed."""

    def measured(**found: float) -> None:
        monkeypatch.setattr(formats, "LEAST_TOWER_NUMBERS", 1)
        monkeypatch.setattr(weights, "gain", lambda held: found.get(held, 1.0))

    return measured


def loaded(folder: Path, kind: str = "float", dtype: torch.dtype = torch.bfloat16) -> Any:
    return load_model(folder, device=CPU, dtype=dtype, weights=kind)


def modules(model: Any, kind: type[nn.Module]) -> list[Any]:
    return [one for one in model.vision.modules() if isinstance(one, kind)]


def features(model: Any) -> torch.Tensor:
    crops = torch.randn(2, 3, 336, 336, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found: torch.Tensor = model.encode((crops, (336, 336)), lambda step: step())
    return found


@pytest.mark.parametrize(("held", "kind", "module"), NARROW)
def test_features_are_close_and_float32(
    tiny_folder: Path, gains: Gains, held: str, kind: str, module: type[nn.Module]
) -> None:
    gains(**{held: 2.0})
    whole, narrow = loaded(tiny_folder, dtype=torch.float32), loaded(tiny_folder, kind)
    assert not modules(whole, module)
    assert modules(narrow, module)
    assert not any(
        type(child) is nn.Linear
        for one in narrow.vision.modules()
        if getattr(one, "takes_narrow", False)
        for child in one.children()
    )
    found, wanted = features(narrow), features(whole)
    assert found.dtype == torch.float32
    assert not torch.equal(found, wanted)
    assert float(torch.cosine_similarity(found, wanted, dim=-1).min()) > 0.999


@pytest.mark.parametrize(("held", "kind", "module"), NARROW)
def test_kept_features_of_other_weights_are_not_taken(
    tiny_folder: Path, gains: Gains, held: str, kind: str, module: type[nn.Module]
) -> None:
    gains(**{held: 2.0})
    narrow, other = loaded(tiny_folder, kind), loaded(tiny_folder, kind)
    whole = loaded(tiny_folder, dtype=torch.float32)
    assert fingerprint(narrow.vision) == fingerprint(other.vision) != fingerprint(whole.vision)
    start = next(iter(modules(other, module)[0].buffers()))
    start.view(-1)[0] += 1
    assert fingerprint(narrow.vision) != fingerprint(other.vision)


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_a_small_tower_and_a_processor_that_gains_nothing_stay_float32(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, gains: Gains, kind: str
) -> None:
    gains()
    narrow = (BFloat16Linear, FixedPointLinear)
    assert not any(modules(loaded(tiny_folder, kind), one) for one in narrow)
    gains(bfloat16=2.0, int16=3.0)
    monkeypatch.setattr(formats, "LEAST_TOWER_NUMBERS", 2**20)
    assert not any(modules(loaded(tiny_folder, kind), one) for one in narrow)


@pytest.mark.parametrize(
    ("dtype", "kind", "gains", "held"),
    [
        ("bfloat16", "float", {"bfloat16": 2.2, "int16": 9.0}, "bfloat16"),
        ("float32", "float", {"bfloat16": 2.2, "int16": 9.0}, "float32"),
        ("float32", "int8", {"bfloat16": 2.2, "int16": 1.5}, "int16"),
        ("float32", "int8", {"bfloat16": 2.2}, "float32"),
        ("bfloat16", "int8", {"int16": 1.5}, "int16"),
        ("bfloat16", "int8", {"bfloat16": 2.2, "int16": 2.4}, "bfloat16"),
        ("bfloat16", "int8", {"bfloat16": 2.2, "int16": 2.6}, "int16"),
        ("float16", "int8", {}, "float32"),
    ],
)
def test_numbers_are_rounded_only_beside_int8_and_where_that_is_clearly_quicker(
    dtype: str, kind: str, gains: dict[str, float], held: str
) -> None:
    assert tower_format(dtype, kind, lambda one: gains.get(one, 1.0)) == held


@with_int16
@pytest.mark.parametrize("rows", [1, 5, 8, 41])
def test_a_packed_product_rounds_its_weights_and_no_more(rows: int) -> None:
    """Columns of activations that are a hundred times the others are CLIP's own habit."""
    generator = torch.Generator().manual_seed(rows)
    matrix = torch.randn(96, 1030, generator=generator)
    steps = matrix.double().abs().amax(-1) / 511
    numbers = (matrix / steps[:, None]).round()
    held = FixedPointLinear(matrix)
    held.bias = nn.Parameter(torch.randn(96, generator=generator), requires_grad=False)
    x = torch.randn(rows, 1030, generator=generator)
    x[:, ::300] *= 100
    exact = x.double() @ (numbers * steps[:, None]).t() + held.bias
    step = x.abs().amax(-1, keepdim=True) / 8191
    most = step / 2 * (numbers.abs().sum(-1) * steps)
    assert ((held(x) - exact).abs() <= most * 1.01 + 0.01).all()
    assert ((held(x) - exact).abs() / most).max() > 0.01


@with_int16
def test_the_largest_sums_stay_within_32_bits() -> None:
    held = FixedPointLinear(torch.full((32, 4096), -127.0))
    assert torch.allclose(held(torch.full((2, 4096), 3.0)), torch.tensor(-127.0 * 4096 * 3))


def attention_kernel(dtype: torch.dtype) -> Any:
    from assistant.core.cpu import packed_int16, tower_attention

    if dtype == torch.bfloat16 and not packed_int16.HAS_BFLOAT16:
        pytest.skip("no bfloat16 here")
    return tower_attention


def rows_of(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).to(dtype)


@with_int16
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("length", "largest"), [(8, 1.0), (9, 3.0), (64, 1.0), (129, 1.0), (577, 1.0), (577, 6.0)]
)
def test_attention_is_that_of_torch(dtype: torch.dtype, length: int, largest: float) -> None:
    """Queries that see all keys alike, and those that see one of them."""
    attention_kernel(dtype)
    q, k, v = rows_of(dtype, 3, length, 2 * 64)
    assert float(attention_error(q * largest, k, v)) < 0.003


@with_int16
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_many_keys_that_are_seen_little_are_not_lost(dtype: torch.dtype) -> None:
    kernel = attention_kernel(dtype)
    q, k, v = torch.zeros(3, 577, 32, dtype=dtype).unbind()
    q[:, 0], k[0, 0], v[1:] = 8.0, 6.25, 1.0  # the others have 1 / 6,897 of the first one's weight
    found = kernel.attend(q, k, v, 1)
    score = torch.tensor(8 * 6.25 / 32**0.5, dtype=torch.float64)
    assert torch.allclose(found, (576 / (score.exp() + 576)).float(), atol=0.009)


@with_int16
def test_attention_that_does_not_compile_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*of: object) -> torch.Tensor:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(attention_kernel(torch.float32), "attend", refuse)
    assert tower.quickest_attention.__wrapped__(torch.float32, attend) == "float32"


@with_int16
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_activation_is_clips_own(dtype: torch.dtype) -> None:
    kernel = attention_kernel(torch.float32)
    x = torch.cat(
        (rows_of(dtype, 7, 100) * 4, torch.tensor([[0.0, 100, -100, 300]]).expand(7, 4)), 1
    )
    x = x.to(dtype)
    wanted = quick_gelu(x.double())
    kernel.quick_gelu(x)
    exactness = 1e-6 if dtype == torch.float32 else 2**-8
    assert torch.allclose(x.double(), wanted, rtol=exactness, atol=1e-6)


@with_int16
@pytest.mark.parametrize(("held", "kind", "module"), NARROW)
@pytest.mark.parametrize("way", ["float32", "kernel", "bfloat16"])
def test_attention_is_computed_by_what_was_measured_to_be_quicker(
    monkeypatch: pytest.MonkeyPatch, held: str, kind: str, module: type[nn.Module], way: str
) -> None:
    sizes: Any = SimpleNamespace(
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=2,
        layer_norm_eps=1e-5,
        hidden_act="quick_gelu",
    )
    kernel = attention_kernel(torch.bfloat16 if held == "bfloat16" else torch.float32)
    layer = ClipLayer(sizes)
    hidden = rows_of(torch.float32, 2, 33, 64)
    with torch.inference_mode():
        wanted = layer(hidden)
        for part in (layer.self_attn, layer.mlp):
            for name, linear in list(part.named_children()):
                made: Any = module(linear.weight)  # type: ignore[arg-type]
                made.bias = linear.bias
                setattr(part, name, made)
        calls = []
        attend = kernel.attend
        monkeypatch.setattr(kernel, "attend", lambda *of: calls.append(of) or attend(*of))
        monkeypatch.setattr(tower, "quickest_attention", lambda dtype, plainly: way)
        tower.quicken(layer)
        found = layer(hidden)
        assert len(calls) == (2 if way == "kernel" else 0)
        assert layer.mlp.activation is not quick_gelu
        layer(hidden[:, :3])  # the kernel takes no fewer rows than it multiplies at once
        assert len(calls) == (2 if way == "kernel" else 0)
    assert found.dtype == torch.float32
    assert torch.allclose(found, wanted, atol=0.02)


@with_int16
def test_a_planned_format_is_taken_without_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(held: str) -> float:
        raise AssertionError(held)

    monkeypatch.setattr(weights, "gain", refuse)
    matrix = torch.ones(1024, 1024)
    make = tower_maker(torch.bfloat16, "int8", "int16")
    assert make is not None
    made = make(matrix)
    assert isinstance(made, FixedPointLinear)
    held = sum(one.nbytes for one in made.buffers())
    assert held == formats.matrix_bytes("int16", 1024, 1024, "float32")
    assert make(matrix[:1023]) is None
    assert tower_maker(torch.bfloat16, "int8", "float32") is None


def test_a_format_that_does_not_compile_is_left_out_of_a_plan(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(weights, "has_int16", lambda: False)
    monkeypatch.setattr(weights, "gain", lambda held: 1.0)
    assert tower_maker(torch.bfloat16, "int8", "int16") is None


def test_nothing_is_measured_of_what_the_processor_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tower, "has_int16", lambda: False)
    monkeypatch.setattr(tower, "has_bfloat16", lambda: False)
    for held in ("int16", "bfloat16"):
        assert tower.gain.__wrapped__(held) == 1


@pytest.mark.slow
@pytest.mark.skipif(not has_int16(), reason="no kernels here")
def test_threads_of_kernels_begin_without_a_change_of_torchs() -> None:
    """Numba set torch's number as it began: products were measured on all threads, as if on one."""
    program = (
        "import torch; from assistant.core.cpu import compiler, timing\n"
        "with timing.one_thread(): print(torch.get_num_threads())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "NUMBA_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["1"]


@on_x86
@pytest.mark.slow
@pytest.mark.parametrize("name", ["AVX2", "AVX-512", "VNNI"])
def test_a_tower_on_another_processor(name: str) -> None:
    """Bfloat16 is a plain loop there; whole numbers are as exact, and measured."""
    if PROCESSORS[name][0] not in flags():
        pytest.skip(f"this processor has no {name}")
    found = json.loads(processor("tower", switches(name)).splitlines()[-1])
    assert found["gains"]["bfloat16"] == 1
    assert found["gains"]["int16"] >= 1
    assert found["error"] <= 1.01
    assert found["attention"] < 0.002
    assert found["lanes"] == (8 if name == "AVX2" else 16)
