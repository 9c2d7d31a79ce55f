#!/bin/sh
# torch 2.13.0 on a CPU: multinomial draws tokens of probability zero when it is given float16.
#
# Guessed before it was run: a category with probability 0 is never drawn, whatever the type; float16
# costs precision, about a thousandth of a probability.
# Seen: with a vocabulary of 32,000 of which ten have a chance, one draw in some 1,500 is one of the
# other 31,990: what top-k or a grammar has just ruled out. bfloat16, with fewer digits, never does,
# nor float32, nor float16 with replacement. A single draw without replacement takes the largest of
# probability / exponential noise; below 2^-25 the noise is 0 in float16, 0 / 0 isn't a number, and
# argmax prefers that. It needs a large vocabulary to be met; tests with ten categories pass.
# (Issue 192812 of the project's, of August 2026, is open.) The seed is fixed. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'torch==2.13.0' 'numpy<3'
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import torch

VOCABULARY, POSSIBLE, DRAWS = 32_000, 10, 4_000


def impossible(dtype: torch.dtype, *, vocabulary: int = VOCABULARY, replacement: bool = False) -> int:
    """How many draws are of a category that has no chance."""
    torch.manual_seed(0)
    chances = torch.zeros(vocabulary, dtype=dtype)
    chances[:POSSIBLE] = 1 / POSSIBLE
    rows = chances.expand(DRAWS // 10, vocabulary)
    if replacement:
        return int((torch.multinomial(chances, DRAWS, replacement=True) >= POSSIBLE).sum())
    return sum(int((torch.multinomial(rows, 1) >= POSSIBLE).sum()) for _ in range(10))


print("torch", torch.__version__)
seen = {
    "float32": impossible(torch.float32),
    "bfloat16": impossible(torch.bfloat16),
    "float16": impossible(torch.float16),
    "float16, with replacement": impossible(torch.float16, replacement=True),
    "float16, 20 categories": impossible(torch.float16, vocabulary=20),
}
for what, draws in seen.items():
    print(f"{what}: {draws} of {DRAWS:,} draws are of probability 0")
sys.exit([draws > 0 for draws in seen.values()] != [False, False, True, False, False])
PYTHON
