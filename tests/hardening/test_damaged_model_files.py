"""Damaged JSON files of a model: whatever looks at the folder says one sentence, or works."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from assistant import demo_model
from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.places import cpu_place
from assistant.families.registry import model_facts
from assistant.models.catalogue import find_models
from assistant.models.verify import verify
from assistant.settings.load import load as load_settings
from assistant.values.errors import PhichatError
from assistant.window.layout import Layout
from tests.hardening.json_damage import damaged, put, written

FEW, MANY = 40, 3_000
FILES = ("config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_model.folder(), tmp_path / "model"))


def look(folder: Path, tried: Callable[[str, Callable[[], Any]], Any]) -> None:
    """Look at the folder as commands and the app do, up to the ids of a text."""
    facts = tried("facts", lambda: model_facts(str(folder)))
    tried("verify", lambda: verify(str(folder)))
    settings = load_settings({"model": str(folder)})
    tried("list", lambda: find_models(settings, cpu_place(detect_hardware())))
    if facts is None:
        return
    layout = tried("layout", lambda: Layout(facts, lambda: facts.context))
    if layout is not None:

        def encode() -> None:
            vocabulary = layout.chat.vocabulary
            vocabulary.decode(vocabulary.encode("What colour is the circle?"))

        tried("ids", encode)


def attack(folder: Path, count: int, seed: int) -> tuple[int, list[str]]:
    chosen, raw, done = random.Random(seed), list[str](), 0
    sound = {name: json.loads((folder / name).read_text()) for name in FILES}
    cases = [(name, *one) for name in FILES for one in damaged(sound[name])]
    chosen.shuffle(cases)
    for name, place, value in cases[:count]:
        if (data := written(put(sound[name], place, value))) is None:
            continue
        (folder / name).write_bytes(data)
        done += 1

        def tried(what: str, act: Callable[[], Any], case: Any = (name, place, value)) -> Any:
            try:
                return act()
            except PhichatError as error:
                if not str(error).isprintable():
                    raw.append(f"{case}, {what}: {str(error)!r}"[:300])
            except Exception as error:
                raw.append(f"{str(case)[:120]}, {what}: {type(error).__name__}: {error}"[:300])
            return None

        look(folder, tried)
        (folder / name).write_bytes(json.dumps(sound[name]).encode())
    return done, raw


def test_damaged_files_are_sentences(folder: Path) -> None:
    done, raw = attack(folder, FEW, seed=1)
    assert done > FEW / 2
    assert not raw


@pytest.mark.long
def test_every_damaged_file_is_a_sentence(folder: Path) -> None:
    done, raw = attack(folder, MANY, seed=2)
    print(done, "folders")
    assert not raw
