"""The memory plan as arithmetic: machines of all kinds, and what must hold on every one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, replace

import pytest
from hypothesis import given, strategies as st

from assistant import demo_model as demo
from assistant.core.formats import KV_KINDS, weight_kinds
from assistant.core.memory.hardware import Cpu, Gpu, Hardware, Memory, TorchBuild
from assistant.core.memory.places import Place, choose_place, cuda_place
from assistant.core.memory.plan import (
    KEPT_CONVERSATIONS,
    MAX_CONTEXT,
    SMALLEST_CONTEXT,
    make_plan,
)
from assistant.core.memory.sizes import kv_sizes, weights_bytes
from assistant.core.memory.speed_estimate import estimate
from assistant.core.memory.speeds import FormatSpeed
from assistant.core.memory.values import MemoryPlan, Wanted
from assistant.families.registry import open_checkpoint
from assistant.models.known import KNOWN

GIB = 2**30
PHI3V = replace(KNOWN[0].size, name="Phi-3-vision")


def hardware(
    total: int, free: int, gpu: Gpu | None = None, cuda: str | None = None, *, apple: bool = False
) -> Hardware:
    gpus = (gpu,) if gpu else ()
    torch = TorchBuild("2.13.0", cuda, mps=apple)
    return Hardware("Linux x86_64", Cpu("a CPU", 8), Memory(total, free), gpus, torch, torchao=True)


CARD_24 = Gpu(0, "RTX 4090", 24564 * 2**20, 24100 * 2**20, "580", "8.9")
CARD_8 = Gpu(0, "RTX 4060", 8188 * 2**20, 7900 * 2**20, "580", "8.9")
H100 = Gpu(0, "H100", 81559 * 2**20, 81000 * 2**20, "580", "9.0")


def planned(found: Hardware, **wanted: object) -> MemoryPlan:
    place, _ = choose_place(found)
    return make_plan(PHI3V, place, Wanted(**wanted))  # type: ignore[arg-type]


def on_card(card: Gpu, **wanted: object) -> MemoryPlan:
    return planned(hardware(64 * GIB, 60 * GIB, card, "13.0"), **wanted)


# What the formats take


def test_keys_and_values_of_the_official_model() -> None:
    """PHI3V.md: 384 KiB in bfloat16. int8 with a scale for each token and head: 200 KiB."""
    assert kv_sizes(PHI3V.decoder, "bfloat16", "float", "cuda")[0] == 384 * 1024
    assert kv_sizes(PHI3V.decoder, "bfloat16", "int8", "cuda")[0] == 200 * 1024
    assert kv_sizes(PHI3V.decoder, "bfloat16", "float", "cpu")[0] == 768 * 1024, "float32 on CPUs"


def test_weights_of_the_official_model() -> None:
    assert weights_bytes(PHI3V, "bfloat16", "float", "cuda") == 2 * 4_134_023_168
    assert weights_bytes(PHI3V, "float32", "float", "cpu") == 4 * 4_134_023_168
    int8 = weights_bytes(PHI3V, "bfloat16", "int8", "cuda")
    # 3.72 billion numbers of the decoder in one byte, the rest in two
    assert int8 == pytest.approx(3.722e9 + 2 * (4.134e9 - 3.722e9), rel=0.005)
    int4 = weights_bytes(PHI3V, "bfloat16", "int4", "cuda")
    assert 0.55 * int8 < int4 < 0.75 * int8


# Machines


def test_a_large_card_holds_the_whole_context_in_float() -> None:
    plan = on_card(H100)
    assert (plan.weights, plan.kv, plan.context_tokens) == ("float", "float", 131_072)
    assert plan.dtype == "bfloat16"
    assert "Float KV was chosen: 131,072 tokens of it fit here." in plan.sentences
    assert plan.host_budget > 0


def test_what_a_card_of_24_gb_holds() -> None:
    """131,072 tokens of int8 KV alone are 26.8 GB: they do not fit beside int8 weights in 24 GB.

    That card holds about 87,000 of them; the whole context takes int4 KV.
    """
    assert 131_072 * kv_sizes(PHI3V.decoder, "bfloat16", "int8", "cuda")[0] > CARD_24.total
    plan = on_card(CARD_24, weights="int8", kv="int8")
    assert plan.problem is None
    assert 84_000 < plan.context_tokens < 90_000
    as_it_comes = on_card(CARD_24)
    assert (as_it_comes.weights, as_it_comes.kv) == ("float", "int8")
    assert 66_000 < as_it_comes.context_tokens < 72_000
    floating = on_card(CARD_24, kv="float")
    assert as_it_comes.sentences[1] == (
        f"Float KV holds {floating.context_tokens:,} tokens here; int8 KV was chosen, which holds "
        f"{as_it_comes.context_tokens:,}. --kv int4 would hold "
        f"{on_card(CARD_24, kv='int4').context_tokens:,}, less exactly."
    )
    whole = on_card(CARD_24, weights="int8", kv="int4")
    assert (whole.problem, whole.context_tokens) == (None, 131_072)
    assert on_card(CARD_24, weights="int8").kv == "int8", "int4 KV is never taken without asking"


def test_int8_throughout_holds_the_whole_context_from_40_gb() -> None:
    card = Gpu(0, "A100", 40536 * 2**20, 40000 * 2**20)
    assert on_card(card, weights="int8", kv="int8").context_tokens == 131_072
    card = Gpu(0, "RTX 5090", 32607 * 2**20, 32000 * 2**20)
    assert on_card(card, weights="int8", kv="int8").context_tokens > 120_000


def test_a_card_of_8_gb_gets_smaller_weights_without_asking() -> None:
    plan = on_card(CARD_8)
    assert plan.problem is None
    assert plan.weights in ("int8", "int4")
    assert plan.context_tokens > SMALLEST_CONTEXT
    assert "were chosen" in plan.sentences[0]


def test_a_laptop_of_16_gb_without_a_card() -> None:
    plan = planned(hardware(16 * GIB, 12 * GIB))
    assert (plan.device, plan.weights, plan.kv) == ("cpu", "int8", "int8")
    assert plan.context_tokens > 8192


def test_a_cpu_keeps_the_checkpoints_own_format_and_computes_in_float32() -> None:
    plan = planned(hardware(256 * GIB, 240 * GIB))
    assert (plan.dtype, plan.kv, plan.context_tokens) == ("bfloat16", "float", 131_072)
    assert plan.kv_bytes_per_token == 768 * 1024


def test_a_small_model_is_held_in_float32_on_a_cpu() -> None:
    place, _ = choose_place(hardware(16 * GIB, 12 * GIB))
    small = open_checkpoint(demo.folder()).size("demo")
    assert small.dtype == "bfloat16"
    assert make_plan(small, place).dtype == "float32"


def test_a_container_of_2_gb_is_shown_what_would_help() -> None:
    found = hardware(2 * GIB, 2 * GIB - 200 * 2**20)
    plan = planned(found)
    assert plan.context_tokens == 0
    assert plan.problem is not None
    assert "does not fit" in plan.problem
    assert "--model demo" in plan.problem
    place, _ = choose_place(found)
    little = make_plan(open_checkpoint(demo.folder()).size("demo"), place)
    assert little.problem is None, "the demo runs there"
    assert little.context_tokens == 8192


def test_an_apple_machine_of_16_gb() -> None:
    place, why = choose_place(hardware(16 * GIB, 14 * GIB, apple=True))
    assert place.device == "mps"
    assert place.available == 16 * GIB * 2 // 3
    assert "Apple" in why
    plan = make_plan(PHI3V, place)
    assert plan.problem is None
    assert plan.context_tokens < 10_000


def test_a_card_that_pytorch_cannot_use_is_not_used() -> None:
    place, why = choose_place(hardware(64 * GIB, 60 * GIB, CARD_24, None))
    assert place.device == "cpu"
    assert "no GPU that PyTorch can use" in why
    place, why = choose_place(hardware(64 * GIB, 60 * GIB, CARD_24, "13.0"), "cuda:1")
    assert place.device == "cpu"
    assert "no cuda:1" in why


# Formats that are slow on a processor


def on_cpu(free: float, costs: dict[str, float], **wanted: object) -> MemoryPlan:
    """Plan Phi-3-vision; ``costs`` are times float32's seconds of a prompt."""
    speeds = {name: FormatSpeed(1e11 / cost, 3e10) for name, cost in costs.items()}
    found = replace(
        hardware(64 * GIB, int(free * GIB)), speeds={"float32": FormatSpeed(1e11, 3e10), **speeds}
    )
    return planned(found, **wanted)


def test_a_tower_that_is_quicker_in_bfloat16_is_estimated_so() -> None:
    size, quick = PHI3V, asdict(FormatSpeed(2e11, 3e10, tower_gain=2.0))
    probe = {"bytes_per_s": 3e10, "flop_per_s": 2e11, "formats": {"bfloat16": quick}}
    own = estimate(size, on_cpu(60, {"bfloat16": 1.1}), probe, 17)
    wide = estimate(size, on_cpu(60, {"bfloat16": 1.1}, dtype="float32"), probe, 17)
    assert own is not None
    assert wide is not None
    assert wide.picture_s == 2 * own.picture_s == 17 * size.view_flop / 2e11


def test_a_tower_of_whole_numbers_is_planned_and_estimated_so() -> None:
    gains = {"bfloat16": 1.0, "int8": 1.5}
    speeds = {name: FormatSpeed(1e11, 3e10, tower_gain=gain) for name, gain in gains.items()}
    speeds["float32"] = FormatSpeed(1e11, 3e10)
    there = replace(hardware(64 * GIB, 60 * GIB), speeds=speeds)
    whole = planned(hardware(64 * GIB, 60 * GIB), weights="int8")
    own, narrow = planned(there), planned(there, weights="int8")
    assert (whole.tower, own.tower, narrow.tower) == (None, "float32", "int16")
    rows = 23 * (5 * 1024 + 4096)
    numbers = 23 * (4 * 1024**2 + 2 * 1024 * 4096)
    assert whole.weights_bytes - narrow.weights_bytes == 2 * numbers - 4 * rows
    formats = {name: asdict(speed) for name, speed in speeds.items()}
    found = estimate(
        PHI3V, narrow, {"bytes_per_s": 3e10, "flop_per_s": 1e11, "formats": formats}, 1
    )
    assert found is not None
    assert found.picture_s == pytest.approx(PHI3V.view_flop / 1.5e11)


@pytest.mark.parametrize(
    ("free", "costs", "held", "words"),
    [
        (60, {"bfloat16": 1.1, "int8": 0.7}, "bfloat16", ""),
        (12.5, {"bfloat16": 1.1, "int8": 0.7}, "int8", "so int8 weights were chosen"),
        (
            12.5,
            {"bfloat16": 1.1, "int8": 50},
            "bfloat16",
            "int8 weights were not considered: prompts take 50",
        ),
        (9, {"bfloat16": 1.1, "int8": 50}, "int8", "Nothing quicker fits: prompts take 50.0 times"),
        (60, {"bfloat16": 2, "int8": 0.7}, "float32", "bfloat16 weights were not considered"),
        (14, {"bfloat16": 2, "int8": 0.7}, "int8", "bfloat16 weights were not considered"),
        (
            14,
            {"bfloat16": 2, "int8": 9},
            "bfloat16",
            "Nothing quicker fits: prompts take 2.0",
        ),
    ],
)
def test_a_slow_format_is_chosen_only_where_nothing_else_fits(
    free: float, costs: dict[str, float], held: str, words: str
) -> None:
    plan = on_cpu(free, costs)
    assert plan.problem is None
    assert plan.held == held
    assert words in " ".join(plan.sentences)
    assert bool(words) or "times as long" not in " ".join(plan.sentences)


def test_a_slow_format_that_is_asked_for_is_taken_and_said() -> None:
    plan = on_cpu(60, {"bfloat16": 1.1, "int8": 50}, weights="int8")
    assert plan.held == "int8"
    assert plan.sentences[-1].startswith("With int8 weights prompts take 50.0 times as long")


# What is asked for


def test_a_context_that_is_asked_for_decides_the_kv() -> None:
    plan = on_card(CARD_24, context=16_384)
    assert (plan.kv, plan.context_tokens) == ("float", 16_384)
    assert plan.sentences[-1].endswith("all that is asked for.")


@pytest.mark.parametrize(("weights", "device"), [("int4", "cpu"), ("int8", "mps")])
def test_weights_that_a_device_has_no_product_for(weights: str, device: str) -> None:
    place = Place(device, "something", 64 * GIB, 60 * GIB, 0, 0, weight_kinds(device))
    problem = make_plan(PHI3V, place, Wanted(weights=weights)).problem
    assert problem is not None
    assert "can't be used" in problem
    assert "--weights auto" in problem


def test_a_card_without_torchao_says_what_is_missing() -> None:
    place = cuda_place(CARD_8, replace(hardware(64 * GIB, 60 * GIB, CARD_8, "13.0"), torchao=False))
    assert make_plan(PHI3V, place).weights == "int8"
    problem = make_plan(PHI3V, place, Wanted(weights="int4")).problem
    assert problem is not None
    assert "pip install torchao" in problem


def test_a_smaller_format_is_offered_where_it_helps() -> None:
    problem = on_card(CARD_8, weights="float").problem
    assert problem is not None
    assert "give --weights int8" in problem


# Everywhere

machines = st.builds(
    Place,
    device=st.sampled_from(["cpu", "cuda:0", "mps"]),
    title=st.just("a machine"),
    total=st.just(128 * GIB),
    available=st.integers(0, 128 * GIB),
    libraries=st.integers(0, 2 * GIB),
    reserve=st.integers(0, 2 * GIB),
    weights=st.just(("float", "int8")),
    host=st.integers(0, 64 * GIB),
)
wishes = st.builds(
    Wanted,
    kv=st.sampled_from(["auto", *KV_KINDS]),
    weights=st.sampled_from(["auto", "float", "int8"]),
    context=st.none() | st.integers(1, MAX_CONTEXT),
)


@given(machines, wishes)
def test_a_plan_fits_or_says_why_not(place: Place, wanted: Wanted) -> None:
    plan = make_plan(PHI3V, place, wanted)
    assert 0 <= plan.context_tokens <= min(MAX_CONTEXT, wanted.context or MAX_CONTEXT)
    if plan.problem is None:
        assert plan.context_tokens > 0
        assert plan.total_bytes + place.reserve <= place.available
        assert plan.kv_budget >= plan.context_tokens * plan.kv_bytes_per_token
        assert plan.sentences
    else:
        assert plan.context_tokens == 0
        assert plan.problem.endswith(".")


@given(machines, wishes)
def test_a_small_model_keeps_few_conversations_in_main_memory(place: Place, wanted: Wanted) -> None:
    plan = make_plan(PHI3V, place, wanted)
    one = max(plan.context_tokens, 1) * plan.kv_bytes_per_token
    if place.kind == "cpu" and plan.problem is None:  # else nothing is loaded
        assert plan.kv_budget - plan.kv_fixed_bytes <= KEPT_CONVERSATIONS * one


def test_a_small_model_keeps_few_pictures() -> None:
    small = open_checkpoint(demo.folder()).size("demo")
    place, _ = choose_place(hardware(64 * GIB, 60 * GIB))
    plan = make_plan(small, place)
    assert 0 < plan.feature_budget <= GIB // 32


@given(machines, wishes, st.integers(0, 16 * GIB))
def test_more_memory_never_holds_less(place: Place, wanted: Wanted, more: int) -> None:
    """With the number format given: a CPU with more memory may choose a larger one."""
    wanted = replace(wanted, dtype="bfloat16", weights="int8")
    larger = replace(place, available=place.available + more)
    if place.kind == "mps":
        return
    before, after = (make_plan(PHI3V, one, wanted).context_tokens for one in (place, larger))
    assert after >= before


@given(machines, st.integers(1024, MAX_CONTEXT))
def test_float_kv_is_chosen_exactly_where_the_wanted_context_fits(
    place: Place, context: int
) -> None:
    def plan(kv: str) -> MemoryPlan:
        return make_plan(PHI3V, place, Wanted("bfloat16", "float", kv, context))

    chosen = plan("auto")
    if chosen.problem is None:
        fits = plan("float").context_tokens == context
        assert (chosen.kv == "float") == (
            fits or plan("float").context_tokens >= plan("int8").context_tokens
        )


def test_planning_needs_no_torch() -> None:
    code = "import sys; import assistant.core.memory.plan; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
