"""The plan is what the worker does: formats, context and refusals reach the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from assistant.core.cpu import measure
from assistant.core.memory import devices, plan
from assistant.core.memory.hardware import Cpu, Hardware, Memory, TorchBuild
from assistant.core.memory.speeds import FormatSpeed, Speeds
from assistant.core.memory.values import Wanted
from assistant.families.registry import open_checkpoint
from assistant.values.errors import ModelError
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.worker.client import LocalCore

CPU = torch.device("cpu")


def nothing(_: str) -> None:
    raise AssertionError("there is no picture")


@pytest.mark.slow
def test_the_formats_that_are_asked_for_are_loaded_and_reported(random_folder: Path) -> None:
    core = LocalCore(str(random_folder), weights="int8", kv="int8", context=2048, threads=1)
    try:
        assert core.status().plan is None
        prompt = Prompt(((1, *range(5, 205)),))
        events = list(core.generate(prompt, Sampling(max_new_tokens=4), nothing))  # type: ignore[arg-type]
        assert events
        reported = core.status().plan
        assert reported is not None
        assert (reported["weights"], reported["kv"], reported["context_tokens"]) == (
            "int8",
            "int8",
            2048,
        )
        assert core.facts().context == 2048
    finally:
        core.close()


def test_weights_that_the_device_lacks_are_refused_in_a_sentence(random_folder: Path) -> None:
    with pytest.raises(ModelError, match="give --weights auto or float or int8"):
        devices.plan_memory(random_folder, CPU, Wanted(weights="int4"))


def machine(free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory(16 * 2**30, free)
    found = Hardware("", Cpu("a CPU", 2), memory, (), TorchBuild("2.13.0"))
    monkeypatch.setattr(devices, "detect_hardware", lambda: found)


def test_a_machine_with_little_memory_holds_less(
    random_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(8 * 2**30, monkeypatch)
    plenty, _ = devices.plan_memory(random_folder, CPU, Wanted())
    assert plenty.context_tokens == 16_384
    # as much as everything takes but two thirds of the context
    fixed = plenty.fixed_bytes - plenty.feature_budget + plenty.reserve
    machine(fixed + 16_384 * plenty.bytes_per_token // 3, monkeypatch)
    little, _ = devices.plan_memory(random_folder, CPU, Wanted(weights="float", kv="float"))
    assert 1024 < little.context_tokens <= 16_384 // 3
    machine(2**28, monkeypatch)
    with pytest.raises(ModelError, match="does not fit") as refused:
        devices.plan_memory(random_folder, CPU, Wanted())
    assert refused.value.code == "memory"


def test_a_large_model_is_planned_with_speeds_that_are_measured_once(
    random_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {"float32": FormatSpeed(1e11, 3e10), "int8": FormatSpeed(1e9, 3e10, "widened")}
    calls: list[str] = []

    def planned() -> Speeds:
        found = devices.plan_memory(random_folder, CPU, Wanted(), None, lambda: calls.append("now"))
        return found[1]

    monkeypatch.setattr(measure, "measure", lambda: measured)
    assert planned() == {}, "a small model needs none"
    monkeypatch.setattr(devices, "is_small", lambda size: False)
    assert planned() == planned() == measured
    assert calls == ["now"], "the second plan reads the file"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41")
    planned()
    assert calls == ["now", "now"], "speeds of other instructions are others"


def test_a_measurement_that_fails_is_done_without(
    random_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(measure, "measure", fails)
    monkeypatch.setattr(devices, "is_small", lambda size: False)
    plan, speeds = devices.plan_memory(random_folder, CPU, Wanted())
    assert (plan.problem, speeds) == (None, {})
    assert "no such instruction" in caplog.text


def test_more_crops_than_the_models_own_are_planned_for(
    random_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fewer are not: such terminals share a worker, and a picture may be given more by hand."""
    monkeypatch.setattr(plan, "LARGEST_PICTURE", 0)  # on a CPU it is more than a few crops take

    def planned(detail: int | None) -> int:
        spec = LocalCore(str(random_folder), detail=detail)._spec()
        plan, _ = devices.plan_memory(random_folder, CPU, Wanted(), spec["detail"])
        return plan.activation_bytes

    own = open_checkpoint(random_folder).pictures.default
    assert planned(None) == planned(1) == planned(own) < planned(own + 20)


@pytest.mark.parametrize("name", ["cuda:99", "mps:7", "meta", "nonsense"])
def test_a_device_that_is_not_here_is_refused_in_a_sentence(name: str) -> None:
    with pytest.raises(ModelError, match=f"There is no device '{name}' here: use auto or cpu."):
        devices.choose_device(name)
