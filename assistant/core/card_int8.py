"""int8 matrices on a card: one kernel that reads a byte for each weight of a token.

torch has no product of int8 weights with bfloat16 rows there. torchao widens the whole matrix for
each product, whose writing and reading cost five bytes a weight for two of bfloat16 (H200: 66
tokens/s for 209). The kernel is compiled by NVRTC, which PyTorch brings along.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

_log = logging.getLogger(__name__)

MOST_ROWS = 8
"""Rows that the kernel multiplies: a token, a proposal. More are quicker widened."""

_WARPS = 4

_SOURCE = """
// One warp for a row of the matrix: out[s, n] = scales[n] * sum over k of x[s, k] * weight[n, k].
// 16 weights a lane and step; bfloat16 is the upper half of a float.
extern "C" __global__ void multiply(const unsigned short* x, const signed char* weight,
                                    const float* scales, unsigned short* out, int N, int K) {
    const int lane = threadIdx.x & 31, n = blockIdx.x * WARPS + (threadIdx.x >> 5), s = blockIdx.y;
    if (n >= N) return;
    const int4* row = (const int4*)(weight + (size_t)n * K);
    const uint4* from = (const uint4*)(x + (size_t)s * K);
    float sum = 0.0f;
    #pragma unroll 4
    for (int i = lane; i < K / 16; i += 32) {
        const int4 w = row[i];
        const uint4 low = from[2 * i], high = from[2 * i + 1];
        const int words[4] = {w.x, w.y, w.z, w.w};
        const unsigned pairs[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
        #pragma unroll
        for (int j = 0; j < 4; j++) {
            const int four = words[j];
            const unsigned first = pairs[2 * j], second = pairs[2 * j + 1];
            sum += (float)(signed char)four * __uint_as_float(first << 16);
            sum += (float)(signed char)(four >> 8) * __uint_as_float(first & 0xffff0000u);
            sum += (float)(signed char)(four >> 16) * __uint_as_float(second << 16);
            sum += (float)(signed char)(four >> 24) * __uint_as_float(second & 0xffff0000u);
        }
    }
    #pragma unroll
    for (int apart = 16; apart; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
    if (lane == 0) {
        const unsigned bits = __float_as_uint(sum * scales[n]);
        out[(size_t)s * N + n] = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;  // to nearest even
    }
}
""".replace("WARPS", str(_WARPS))


class CardInt8Linear(nn.Module):
    """A matrix in int8 [N, K] with a scale for each row [N], for rows of a card's own format."""

    weight: torch.Tensor
    scales: torch.Tensor

    def __init__(self, weight: torch.Tensor, scales: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("scales", scales, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``x`` [..., K] -> [..., N]."""
        (N, K), rows = self.weight.shape, x.reshape(-1, x.shape[-1])
        kernel = _kernel() if x.is_cuda and x.dtype == torch.bfloat16 and K % 16 == 0 else None
        if kernel is not None and len(rows) <= MOST_ROWS:
            rows, out = rows.contiguous(), rows.new_empty(len(rows), N)
            kernel(
                grid=(-(-N // _WARPS), len(rows), 1),
                block=(32 * _WARPS, 1, 1),
                args=[rows, self.weight, self.scales, out, N, K],
            )
        else:
            out = torch.mm(rows, self.weight.to(x.dtype).t()).mul_(self.scales)
        return out.view(*x.shape[:-1], N)


@cache
def _kernel() -> Callable[..., Any] | None:
    """Compile the kernel for the card in use; None, logged once, where that fails."""
    try:
        from torch.utils import cpp_extension

        # the kernel includes nothing, yet torch wants to know where a toolkit's headers are
        cpp_extension.CUDA_HOME = cpp_extension.CUDA_HOME or "/none"
        kernel: Callable[..., Any] = torch.cuda._compile_kernel(_SOURCE, "multiply")
    except Exception as error:  # a torch without it, an NVRTC that does not know the card
        _log.warning("int8 is widened, slowly: %s", str(error).strip().splitlines()[:1])
        return None
    return kernel
