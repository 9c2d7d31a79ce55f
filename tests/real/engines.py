"""Tokenizers and image processors of other engines beside ours, on the official tokenizer.

    python -m tests.real.engines

Whole engines are tried as servers: python -m tests.real.servers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.processing import load_tokenizer
from tests.conftest import GOLDENS, OFFICIAL_TOKENIZER
from tests.real.venvs import python_of

LAUNCH = Path(__file__).parent / "launch"
TEXTS = (
    "What is in it?",
    "a  12",
    "a  日本",
    "a <0x41> b",
    "<|user|>\nHi<|end|>\n<|assistant|>\n",
)
PICTURES = ("vga_640x480.png", "tall_336x1344.png", "gray_L_300x200.png", "cmyk_400x300.jpg")


def parts(server: str, script: str, *more: str | Path) -> Any:
    """Run a script in the Python of an engine; returns what it prints."""
    pictures = [str(GOLDENS / "images" / name) for name in PICTURES]
    done = subprocess.run(
        ["nice", "-n", "10", python_of(server), LAUNCH / script, OFFICIAL_TOKENIZER, *more],
        input=json.dumps({"texts": TEXTS, "pictures": pictures}),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def line(engine: str, what: str, theirs: object, ours: object) -> None:
    """Print a line of the table."""
    same = "the same" if theirs == ours else f"`{theirs}`, ours `{ours}`"
    print(f"| {engine} | {what} | {same} |", flush=True)


def pixels(theirs: np.ndarray) -> str:
    """Describe the difference of the first picture's crops, and of its overview."""
    crops, _ = Phi3VImageProcessor().crops(Image.open(GOLDENS / "images" / PICTURES[0]))
    ours = crops.numpy()
    apart = np.abs(theirs[0, : len(ours)] - ours).reshape(len(ours), -1).max(1)
    extra = theirs.shape[1] - len(ours)
    return f"overview {apart[0]:.3f}, crops {apart[1:].max():.5f}, {extra} more crops, of zeros"


def main() -> int:
    """Print the table."""
    tokenizer = load_tokenizer(OFFICIAL_TOKENIZER)
    ours = [list(tokenizer(text).input_ids) for text in TEXTS]
    print("| engine | | |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "pixels.npy"
        name = "onnxruntime-extensions 0.15.2"
        said = parts("onnxruntime-extensions", "ort_parts.py", out)
        for text, theirs, mine in zip(TEXTS, said["ids"], ours, strict=True):
            line(name, f"ids of {json.dumps(text, ensure_ascii=False)}", theirs, mine)
        for picture, count in zip(PICTURES, said["counts"], strict=True):
            image = Image.open(GOLDENS / "images" / picture)
            line(name, f"positions of {picture}", count,
                 Phi3VImageProcessor().calc_num_image_tokens(image)[0])  # fmt: skip
        print(f"| {name} | largest difference of pixel values | {pixels(np.load(out))} |")
    name = "openvino-tokenizers 2026.4.1"
    for text, theirs, mine in zip(
        TEXTS, parts("openvino-tokenizers", "openvino_parts.py")["ids"], ours, strict=True
    ):
        line(name, f"ids of {json.dumps(text, ensure_ascii=False)}", theirs, mine)
    return 0


if __name__ == "__main__":
    sys.exit(main())
