#!/bin/sh
# torch 2.13.0 on a CPU: the way back through fused attention takes several times as long in
# bfloat16 as in float32 on short sequences, though the way there takes as long.
#
# Guessed before it was run: scaled_dot_product_attention takes as long in bfloat16 as in float32 or
# less, in both directions, since it reads half the bytes.
# Seen: 64 sequences of 64 tokens, 4 heads of 32, one thread of an AMD EPYC: forward 3.6 ms in
# float32 and 4.1 in bfloat16, backward 8.8 and 31.8 (with ATEN_CPU_CAPABILITY=avx2 and
# ONEDNN_MAX_CPU_ISA=AVX2 3.5 and 3.5, 8.6 and 32.4). On that processor, which multiplies bfloat16
# itself, three plain products and a softmax take 3.3 ms back; at 512 tokens the two are near each
# other. Ratios of CPU time in one process; fails unless backward takes twice as long.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'torch==2.13.0' 'numpy<3'
"$folder/venv/bin/python" - <<'PYTHON'
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention


def best(work: Callable[[], object]) -> float:
    """Milliseconds of CPU time, the best of 20 runs after one."""
    work()
    times = []
    for _ in range(20):
        before = time.process_time()
        work()
        times.append(time.process_time() - before)
    return 1e3 * min(times)


def both_ways(dtype: torch.dtype) -> tuple[float, float]:
    q, k, v, gradient = (torch.randn(64, 4, 64, 32).to(dtype) for _ in range(4))
    for one in (q, k, v):
        one.requires_grad_()

    def forward() -> Tensor:
        return scaled_dot_product_attention(q, k, v)

    attended = forward()

    def backward() -> object:
        return torch.autograd.grad(attended, (q, k, v), gradient, retain_graph=True)

    with torch.no_grad():
        there = best(forward)
    return there, best(backward)


torch.set_num_threads(1)
torch.manual_seed(0)
print("torch", torch.__version__, torch.backends.cpu.get_cpu_capability())
seen = {dtype: both_ways(dtype) for dtype in (torch.float32, torch.bfloat16)}
for dtype, (there, back) in seen.items():
    print(dtype, f"forward {there:.1f} ms, backward {back:.1f} ms")
ratio = seen[torch.bfloat16][1] / seen[torch.float32][1]
print(f"backward in bfloat16 takes {ratio:.1f} times as long as in float32")
sys.exit(ratio < 2)
PYTHON
