"""A picture is encoded once: in memory, in files, for several workers, whatever the files say."""

from __future__ import annotations

import os
import stat
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from assistant.core import features, generate
from assistant.core.feature_files import ABANDONED_S, FeatureFiles, fingerprint
from assistant.core.generate import ResidentModel
from assistant.values.generation import GenerationEnded, TokensGenerated
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
from tests.core.tiny import CONTEXT, PICTURE_TOKENS, crops_of, tiny_phi3v, uncached

SLOT = Slot("pixels", 1, 13)
FEATURES = torch.randn(13, 32, generator=torch.Generator().manual_seed(0))
ENOUGH = 2**20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "features"


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def read(folder: Path, slot: Slot = SLOT) -> torch.Tensor | None:
    return FeatureFiles(folder, ENOUGH).read(slot, "weights", torch.float32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_what_is_written_is_read(folder: Path, dtype: torch.dtype) -> None:
    wanted = FEATURES.to(dtype)
    FeatureFiles(folder, ENOUGH).write(SLOT, "weights", wanted)
    got = FeatureFiles(folder, ENOUGH).read(SLOT, "weights", dtype)
    assert got is not None
    assert torch.equal(got, wanted)


def test_another_picture_crop_count_model_or_format_is_another_file(folder: Path) -> None:
    files = FeatureFiles(folder, ENOUGH)
    files.write(SLOT, "weights", FEATURES)
    assert files.read(Slot("others", 1, 13), "weights", torch.float32) is None
    assert files.read(Slot("pixels", 4, 13), "weights", torch.float32) is None
    assert files.read(SLOT, "finetuned", torch.float32) is None
    assert files.read(SLOT, "weights", torch.bfloat16) is None


def flip(content: bytes) -> bytes:
    return content[:-5] + bytes([content[-5] ^ 1]) + content[-4:]


@pytest.mark.parametrize(
    "damage",
    [flip, lambda c: c[:-40], lambda c: c[:50], lambda c: b"", lambda c: b"not a tensor" * 99],
    ids=["a bit", "the end", "the header", "everything", "foreign"],
)
def test_a_damaged_file_is_ignored_and_replaced(folder: Path, damage: Any) -> None:
    files = FeatureFiles(folder, ENOUGH)
    files.write(SLOT, "weights", FEATURES)
    path = only_file(folder)
    path.write_bytes(damage(path.read_bytes()))
    assert read(folder) is None
    files.write(SLOT, "weights", FEATURES)
    assert torch.equal(read(folder), FEATURES)


def test_a_file_under_anothers_name_is_not_believed(folder: Path) -> None:
    files = FeatureFiles(folder, ENOUGH)
    files.write(SLOT, "weights", FEATURES)
    first = only_file(folder)
    other = Slot("others", 1, 13)
    files.write(other, "weights", -FEATURES)
    (second,) = set(folder.iterdir()) - {first}
    second.write_bytes(first.read_bytes())
    assert read(folder, other) is None
    assert read(folder) is not None


def test_only_the_owner_may_look(folder: Path) -> None:
    FeatureFiles(folder, ENOUGH).write(SLOT, "weights", FEATURES)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(only_file(folder).stat().st_mode) == 0o600


def test_what_was_read_longest_ago_goes_first(folder: Path) -> None:
    files = FeatureFiles(folder, ENOUGH)
    slots = [Slot(f"picture {n}", 1, 13) for n in range(4)]
    for age, slot in zip((300, 200, 100), slots, strict=False):
        before = set(folder.iterdir()) if folder.exists() else set()
        files.write(slot, "weights", FEATURES)
        (new,) = set(folder.iterdir()) - before
        then = time.time() - age
        os.utime(new, (then, then))
    assert read(folder, slots[0]) is not None  # and so it is the newest now
    size = sum(path.stat().st_size for path in folder.iterdir())
    FeatureFiles(folder, size).write(slots[3], "weights", FEATURES)
    assert [read(folder, slot) is not None for slot in slots] == [True, False, True, True]


def test_a_quota_of_nothing_keeps_nothing_and_strangers_are_left_alone(folder: Path) -> None:
    FeatureFiles(folder, ENOUGH).write(SLOT, "weights", FEATURES)
    (folder / "notes.txt").write_text("mine")
    abandoned, growing = folder / "a.part", folder / "b.part"
    for path in (abandoned, growing):
        path.write_bytes(b"half")
    os.utime(abandoned, (0, time.time() - 2 * ABANDONED_S))
    FeatureFiles(folder, 0).write(SLOT, "weights", FEATURES)
    assert {path.name for path in folder.iterdir()} == {"notes.txt", "b.part"}


def test_a_folder_that_can_not_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    files = FeatureFiles(tmp_path / "file" / "features", ENOUGH)
    files.write(SLOT, "weights", FEATURES)
    assert files.read(SLOT, "weights", torch.float32) is None


@pytest.mark.skipif(sys.platform != "linux", reason="a limit on files stands for a full disk")
def test_a_disk_that_fills_up_leaves_nothing_half(folder: Path) -> None:
    import resource

    files = FeatureFiles(folder, ENOUGH)
    files.write(SLOT, "weights", FEATURES)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        files.write(Slot("others", 1, 13), "weights", FEATURES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert only_file(folder).suffix == ".safetensors"
    assert read(folder) is not None


def test_several_workers_may_share_a_folder(folder: Path) -> None:
    size = len(FEATURES) * FEATURES.shape[1] * 4 + 400

    def work(worker: int) -> None:
        for n in range(40):
            slot = Slot(f"picture {n % 7}", 1, 13)
            files = FeatureFiles(folder, 4 * size)  # never room for all
            files.write(slot, "weights", FEATURES + n % 7)
            got = files.read(slot, "weights", torch.float32)
            assert got is None or torch.equal(got, FEATURES + n % 7)

    with ThreadPoolExecutor(4) as workers:
        list(workers.map(work, range(4)))
    assert all(path.suffix == ".safetensors" for path in folder.iterdir())


def test_the_fingerprint_follows_every_weight() -> None:
    torch.manual_seed(0)
    vision = nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8))
    first = fingerprint(vision)
    assert fingerprint(vision) == first
    for weight in vision.parameters():
        before = weight.data.clone()
        weight.data.mul_(1.001).add_(1e-4)
        assert fingerprint(vision) != first
        weight.data.copy_(before)
    assert fingerprint(vision.bfloat16()) != first


def test_another_process_does_not_encode_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "SLOW_S", 0.0)
    prompt = Prompt(((1, 7), Slot("a", 2, PICTURE_TOKENS[2]), (8, 9)))

    def reply() -> tuple[list[int], int]:
        asked = 0

        def crops(slot: Slot) -> Any:
            nonlocal asked
            asked += 1
            return crops_of(slot)

        files = FeatureFiles(folder, ENOUGH)
        model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT, feature_files=files)
        events = list(model.generate(prompt, Sampling(max_new_tokens=6), crops, lambda: False))
        return [i for e in events if isinstance(e, TokensGenerated) for i in e.ids], asked

    want = uncached(prompt, 6, frozenset())
    assert reply() == (want, 1)
    assert reply() == (want, 0)


def test_a_picture_that_is_encoded_quickly_is_not_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(features, "SLOW_S", 60.0)
    model = ResidentModel(
        tiny_phi3v(), frozenset(), CONTEXT, feature_files=FeatureFiles(folder, ENOUGH)
    )
    prompt = Prompt(((1, 7), Slot("a", 1, 13), (8, 9)))
    list(model.generate(prompt, Sampling(max_new_tokens=1), crops_of, lambda: False))
    assert not folder.exists()


PICTURE = Prompt(((1, 7), Slot("a", 2, PICTURE_TOKENS[2]), (8, 9)))
AHEAD = Prompt(PICTURE.parts[:2])
"""The beginning that is known while the question is typed."""


def counting(model: ResidentModel) -> tuple[list[int], list[str]]:
    """Answer the question; returns the ids and the pictures whose pixels were asked for."""
    asked = []

    def crops(slot: Slot) -> Any:
        asked.append(slot.pixels_sha256)
        return crops_of(slot)

    events = list(model.generate(PICTURE, Sampling(max_new_tokens=6), crops, lambda: False))
    return [i for e in events if isinstance(e, TokensGenerated) for i in e.ids], asked


def test_a_picture_read_ahead_is_not_encoded_again() -> None:
    model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT)
    assert model.read_ahead(AHEAD, 9, crops_of, lambda: False, lambda: False)
    passes = model.vision_passes
    assert passes == 4, "three crops, then their arrangement"
    assert counting(model) == (uncached(PICTURE, 6, frozenset()), [])
    assert model.vision_passes == passes


@pytest.mark.parametrize("crops", [0, 1, 2, 3])
@pytest.mark.parametrize("hard", [False, True], ids=["paused", "stopped"])
def test_what_was_encoded_before_a_stop_is_kept(crops: int, hard: bool) -> None:
    model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT)

    def enough() -> bool:
        return model.vision_passes >= crops

    never = (lambda: False,)
    predicates = (enough, *never) if hard else (*never, enough)
    assert not model.read_ahead(AHEAD, 9, crops_of, *predicates)
    assert model.vision_passes == crops
    assert counting(model) == (uncached(PICTURE, 6, frozenset()), [])
    assert model.vision_passes == 4, "each crop once"


def test_a_prefill_that_was_paused_inside_a_picture_goes_on_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(generate, "AHEAD_CHUNK", 8)
    model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT)
    looks = iter([False] * 5)  # before each of four passes of the tower, and after one chunk
    assert not model.read_ahead(AHEAD, 9, crops_of, lambda: False, lambda: next(looks, True))
    events = list(model.generate(PICTURE, Sampling(max_new_tokens=1), crops_of, lambda: False))
    assert isinstance(events[-1], GenerationEnded)
    assert events[-1].usage.cached_tokens == 8, "two tokens and six positions of the picture"


def test_reading_ahead_takes_no_other_conversations_end() -> None:
    """Its memory is full: the picture is encoded, and its prompt is read when it is sent."""
    model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT, kv_budget=0)
    long = Prompt(((1, 7), tuple(8 + at % 30 for at in range(80))))
    list(model.generate(long, Sampling(max_new_tokens=1), crops_of, lambda: False))
    assert model.read_ahead(AHEAD, 9, crops_of, lambda: False, lambda: False)
    assert model.vision_passes == 4
    events = list(model.generate(long, Sampling(max_new_tokens=1), crops_of, lambda: False))
    assert isinstance(events[-1], GenerationEnded)
    assert events[-1].usage.cached_tokens == long.tokens - 1
    assert counting(model)[1] == []
