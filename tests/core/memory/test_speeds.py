"""Measured speeds: what is measured, what is kept, and files that others damaged."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from assistant.core.cpu import measure
from assistant.core.formats import TOWER_BESIDE
from assistant.core.memory import speed_estimate
from assistant.core.memory.speeds import (
    FormatSpeed,
    chosen_way,
    processor_key,
    prompt_costs,
    read_speeds,
    speeds_folder,
    write_speeds,
)
from assistant.core.weights import BFLOAT16_WAYS, INT8_WAYS

SPEEDS = {"float32": FormatSpeed(2e11, 3e10), "int8": FormatSpeed(1e11, 4e10, "pairs")}


def test_every_format_is_measured_and_a_way_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "ONE_THREAD_S", 0.01)
    monkeypatch.setattr(measure, "ALL_THREADS_S", 0.01)
    monkeypatch.setattr(measure, "READ", 2**22 * 3)
    found = measure.measure()
    assert list(found) == ["float32", "bfloat16", "int8"]
    assert all(speed.flop_per_s > 0 and speed.bytes_per_s > 0 for speed in found.values())
    assert found["int8"].way in INT8_WAYS
    assert found["bfloat16"].way in BFLOAT16_WAYS
    assert chosen_way(found, "float", "float32") is None
    assert chosen_way(found, "int8", "bfloat16") in INT8_WAYS
    assert chosen_way(found, "float", "bfloat16") in BFLOAT16_WAYS
    assert chosen_way({}, "int8", "float32") is None


def test_a_way_that_is_hopeless_is_not_run_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError("this would take an hour")

    monkeypatch.setattr(measure, "timed", lambda run, clock: run())
    monkeypatch.setattr(measure, "ONE_THREAD_S", 0)
    found = measure._prompt_seconds(
        {("", "quick"): (lambda: 0.001, lambda: 0.05), ("", "slow"): (lambda: 0.5, never)}
    )
    assert found == {("", "quick"): 0.05, ("", "slow"): 0.5 * measure.SMALL**2}


def test_the_cost_of_a_prompt_is_in_times_of_float32() -> None:
    assert prompt_costs(SPEEDS) == {"float32": 1, "int8": 2}
    assert prompt_costs({}) == {}


def test_speeds_are_kept_by_processor(tmp_path: Path) -> None:
    for number in range(20):
        write_speeds(tmp_path / "new", f"processor {number}", SPEEDS)
    assert read_speeds(tmp_path / "new", "processor 19") == SPEEDS
    assert read_speeds(tmp_path / "new", "processor 0") == {}, "those of long ago are dropped"
    assert [one.name for one in (tmp_path / "new").iterdir()] == ["speeds.json"]


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"p": 3}', '{"p": {"int8": {"unknown": 1}}}', "\ud800"]
)
def test_a_damaged_file_is_measured_again(text: str, tmp_path: Path) -> None:
    (tmp_path / "speeds.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    assert read_speeds(tmp_path, "p") == {}
    write_speeds(tmp_path, "p", SPEEDS)
    assert read_speeds(tmp_path, "p") == SPEEDS


def test_a_folder_that_can_not_be_written_does_no_harm(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    write_speeds(tmp_path / "file", "p", SPEEDS)
    assert read_speeds(tmp_path / "file", "p") == {}


def test_a_key_has_what_speeds_depend_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    plain = processor_key("a CPU", 2, "2.13.0")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    keys = {plain, processor_key("a CPU", 2, "2.13.0"), processor_key("a CPU", 4, "2.13.0")}
    monkeypatch.setitem(TOWER_BESIDE, "int8", "int99")  # what was measured before is not this
    keys.add(processor_key("a CPU", 4, "2.13.0"))
    assert len(keys) == 4
    assert "numba" in plain


def test_a_processor_is_measured_once_for_all_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    formats = {name: asdict(speed) for name, speed in SPEEDS.items()}
    probe = {"bytes_per_s": 3e10, "flop_per_s": 2e11, "formats": formats}
    asked, load = [], [100.0]
    monkeypatch.setattr(speed_estimate, "_load", lambda: load[0])

    def ask(device: str) -> dict[str, Any]:
        asked.append(device)
        return {**probe, "device": device}

    monkeypatch.setattr(speed_estimate, "measure", ask)
    assert speed_estimate.measured_once("cpu") == {**probe, "device": "cpu"}
    load[0] = 0.0  # what was measured on a busy machine was not kept
    assert speed_estimate.measured_once("cpu") == {**probe, "device": "cpu"}
    kept = speed_estimate.measured_once("cpu")
    assert {name: kept[name] for name in probe} == probe
    assert asked == ["cpu", "cpu"]


def test_what_could_not_be_measured_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"bytes_per_s": 3e10, "flop_per_s": 2e11, "formats": {}}
    monkeypatch.setattr(speed_estimate, "measure", lambda device: found)
    monkeypatch.setattr(speed_estimate, "_load", lambda: 0.0)
    assert speed_estimate.measured_once("cpu") == found
    assert not (speeds_folder(os.environ) / "speeds.json").exists()
