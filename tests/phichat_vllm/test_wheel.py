"""The wheel of phichat-vllm, built and asked in a process that has no phichat."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.pretrained import load_config, read_config
from assistant.phi3v.processing import CHAT_TEMPLATE, load_tokenizer
from tests.conftest import GOLDENS, ROOT

PICTURES = ["vga_640x480.png", "tall_336x1344.png", "rgba_320x240.png", "cmyk_400x300.jpg"]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "  Hi.\n"},
    {"role": "user", "content": "What is\nthis?"},
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as pip installs it, built from the two folders that it is made of."""
    tree = tmp_path_factory.mktemp("tree")
    left_out = shutil.ignore_patterns("shared", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "phichat-vllm", tree / "phichat-vllm", ignore=left_out)
    shutil.copytree(ROOT / "assistant" / "phi3v", tree / "assistant" / "phi3v", ignore=left_out)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "-w", tree / "out", tree / "phichat-vllm"], check=True)
    (wheel,) = (tree / "out").glob("phichat_vllm-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(tree / "site")
    return tree / "site"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, trained_tokenizer: Path) -> Path:
    """A checkpoint with a tokenizer and the fields by which official folders ask for their code."""
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    shutil.copytree(GOLDENS / "tiny-phi3v", folder)
    shutil.copytree(trained_tokenizer, folder, dirs_exist_ok=True)
    path = folder / "preprocessor_config.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    values["auto_map"] = {"AutoProcessor": "processing_phi3_v.Phi3VProcessor"}
    path.write_text(json.dumps(values), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def found(site: Path, folder: Path) -> Any:
    pictures = [GOLDENS / "images" / name for name in PICTURES]
    done = subprocess.run(
        [sys.executable, Path(__file__).parent / "probe.py", folder, *pictures],
        env=os.environ | {"PYTHONPATH": str(site), "HF_HUB_OFFLINE": "1"},
        cwd=site,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_it_brings_nothing_of_phichat_but_four_files(site: Path, found: Any) -> None:
    assert found["ours"] == [], "phichat is not imported"
    shared = {path.stem for path in (site / "phichat_vllm" / "shared").glob("*.py")}
    assert shared == {"__init__", "clip", "config", "crops", "pixels"}
    names = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert names == {"phichat_vllm"}


def test_the_configuration_is_ours(found: Any, folder: Path) -> None:
    config = load_config(read_config(folder), folder)
    assert found["rope"] == config.rope_parameters
    assert found["window"] is None, "128k is no window"
    assert found["tower"] == config.clip_config.hidden_size


@pytest.mark.parametrize("num_crops", [None, 4])
def test_pixels_and_counts_are_ours(found: Any, folder: Path, num_crops: int | None) -> None:
    ours = Phi3VImageProcessor.from_pretrained(folder)
    ours.num_crops = num_crops or ours.num_crops
    images = [Image.open(GOLDENS / "images" / name) for name in PICTURES]
    made = [ours.crops(image) for image in images]
    theirs = found[str(num_crops)]
    assert theirs["class"] == "Phi3VProcessor", "a name that vLLM's model asks for"
    assert theirs["sizes"] == [list(size) for _, size in made]
    hashes = [hashlib.sha256(crops.numpy().tobytes()).hexdigest() for crops, _ in made]
    assert theirs["pixels"] == hashes
    assert theirs["tokens"] == ours.calc_num_image_tokens(images)


@pytest.mark.parametrize("answer", [True, False])
def test_the_template_is_the_official_one_behind_bos(
    found: Any, folder: Path, answer: bool
) -> None:
    tokenizer = load_tokenizer(folder)

    def written(messages: list[dict[str, Any]], template: str, **more: Any) -> str:
        text: str = tokenizer.apply_chat_template(
            messages, tokenize=False, chat_template=template, add_generation_prompt=answer, **more
        )
        return text

    official = written(TALK, CHAT_TEMPLATE)
    assert written(TALK, found["template"]) == "<s>" + official
    assert written(TALK, found["template"], bos=False) == official, "phichat's client asks so"
    picture, text = {"type": "image"}, {"type": "text", "text": "And?"}
    parts = [{"role": "user", "content": [picture, text, picture]}, *TALK[2:3],
             {"role": "user", "content": [picture, text]}]  # fmt: skip
    tagged = [{"role": "user", "content": "<|image_1|>\nAnd?\n<|image_2|>"}, *TALK[2:3],
              {"role": "user", "content": "<|image_3|>\nAnd?"}]  # fmt: skip
    assert written(parts, found["template"]) == "<s>" + written(tagged, CHAT_TEMPLATE)
