"""The weights that a geometry asks for, against the files that are there."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from assistant import demo_model as demo
from assistant.families.checkpoint import read_json
from assistant.families.stored_weights import stored_weights
from assistant.phi3v.checkpoint import read_config
from assistant.phi3v.known import PHI3_VISION
from assistant.phi3v.plain_config import PlainConfig
from assistant.phi3v.shapes import is_read, weight_shapes
from assistant.values.errors import ModelError
from tests.conftest import GOLDENS

OFFICIAL_BYTES = 8_293_242_880
"""``total_size`` of the official model.safetensors.index.json."""


def test_the_official_geometry_gives_the_official_bytes() -> None:
    assert (
        sum(2 * math.prod(shape) for shape in weight_shapes(PHI3_VISION).values()) == OFFICIAL_BYTES
    )


def test_the_official_index_names_the_same_weights(official_tokenizer: Path) -> None:
    index = official_tokenizer / "model.safetensors.index.json"
    if not index.is_file():
        pytest.skip("the official weight index is not here")
    official = PlainConfig.from_values(read_config(official_tokenizer), official_tokenizer)
    assert replace(official, rope_parameters={}) == PHI3_VISION
    assert set(weight_shapes(PHI3_VISION)) == set(read_json(index)["weight_map"])


@pytest.mark.parametrize("folder", [demo.folder(), GOLDENS / "tiny-phi3v"], ids=["demo", "tiny"])
def test_the_files_hold_what_the_geometry_asks_for(folder: Path) -> None:
    config = PlainConfig.from_values(read_config(folder), folder)
    layers = config.clip_config.num_hidden_layers
    wanted = {n: s for n, s in weight_shapes(config).items() if is_read(n, layers)}
    stored = {n: w.shape for n, w in stored_weights(folder).items() if is_read(n, layers)}
    assert stored == wanted


def test_the_headers_are_what_torch_loads(tiny_model: object) -> None:
    folder = GOLDENS / "tiny-phi3v"
    layers = PlainConfig.from_values(read_config(folder), folder).clip_config.num_hidden_layers
    read = sum(w.numbers for n, w in stored_weights(folder).items() if is_read(n, layers))
    assert read == sum(p.numel() for p in tiny_model.parameters())  # type: ignore[attr-defined]


def damaged(folder: Path, data: bytes) -> Path:
    (folder / "model.safetensors").write_bytes(data)
    return folder


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 2**60),
        struct.pack("<Q", 4) + b"nope",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 10) + b'{"a": "b"}',
    ],
)
def test_a_file_that_is_no_safetensors_file_is_refused_plainly(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(ModelError, match="fetch the model again"):
        stored_weights(damaged(tmp_path, data))


def test_a_file_cut_short_is_seen_from_its_header(tmp_path: Path) -> None:
    whole = (GOLDENS / "tiny-phi3v" / "model.safetensors").read_bytes()
    with pytest.raises(ModelError, match="cut short"):
        stored_weights(damaged(tmp_path, whole[:-1]))


def test_a_folder_without_weights_and_a_config_without_numbers(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"lacks model\.safetensors"):
        stored_weights(tmp_path)
    config = json.loads((GOLDENS / "tiny-phi3v" / "config.json").read_text())
    with pytest.raises(ModelError, match="intermediate_size"):
        PlainConfig.from_values(
            {k: v for k, v in config.items() if k != "intermediate_size"}, tmp_path
        )
