"""Attention in parts: softmax over pieces of the keys, merged by log-sum-exp.

So neither a mask [queries, keys] nor a whole widened cache ever exists. The merge is that of
Rabe and Staats (2021), "Self-attention does not need O(n^2) memory".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from assistant.core.cpu.prompt_attention import attention_for, is_quicker

Part = tuple[torch.Tensor, torch.Tensor]
"""Output [B, H, S, D] over some keys, and the log-sum-exp [B, H, S] of their scores, float32."""


def leave_out_cudnn() -> None:
    """Keep SDPA on CUDA from cuDNN's kernels, which PyTorch 2.11 prefers on an H200.

    cuDNN plans for every length that is new to it: there 70 ms for a prompt, 66 ms for one query
    over one key more, 160 ms with gradients. The others take 0.4 ms for any length.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)


@contextmanager
def cudnn_allowed() -> Iterator[None]:
    """Let SDPA choose cuDNN's kernels, for shapes that stay: a plan pays there.

    One query over 65,536 keys under a mask takes 0.21 ms so, 2.1 by the memory-efficient kernel,
    which is what else takes a mask (H200).
    """
    before = torch.backends.cuda.cudnn_sdp_enabled()  # type: ignore[no-untyped-call]
    torch.backends.cuda.enable_cudnn_sdp(True)
    try:
        yield
    finally:
        torch.backends.cuda.enable_cudnn_sdp(before)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, causal: bool = False) -> Part:
    """``q`` [B, H, S, D] over ``k``, ``v`` [B, H, K, D]; ``causal`` is aligned to the upper left.

    Scores are scaled by 1 / sqrt(D).
    """
    if q.device.type == "cpu":
        return attention_for(q, k, _attend_on_cpu)(q, k, v, causal=causal)
    if q.device.type == "cuda":
        out, lse, *_ = torch.ops.aten._scaled_dot_product_efficient_attention(
            q, k, v, None, True, 0.0, causal
        )
        return out, lse[..., : q.shape[2]]  # padded by the kernel
    return attend_plainly(q, k, v, causal=causal)


def prepare_on_cpu() -> None:
    """Compile what attends there, and measure it: seconds, once a machine."""
    is_quicker(_attend_on_cpu)


def _attend_on_cpu(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, causal: bool) -> Part:
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal)
    return out, lse


def attend_plainly(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, causal: bool = False
) -> Part:
    """:func:`attend` where no kernel returns the log-sum-exp (MPS): all scores at once, float32."""
    scores = (q.float() @ k.float().mT) * q.shape[-1] ** -0.5
    if causal:
        S, K = scores.shape[-2:]
        seen = torch.ones(S, K, dtype=torch.bool, device=q.device).tril()
        scores = scores.masked_fill(~seen, float("-inf"))
    lse = scores.logsumexp(-1)
    return ((scores - lse[..., None]).exp() @ v.float()).to(q.dtype), lse


def attend_columns(q: torch.Tensor, kt: torch.Tensor, vt: torch.Tensor) -> torch.Tensor:
    """``q`` [1, H, S, D] over ``kt``, ``vt`` [1, H, D, K], causal, aligned to the lower right.

    Two products and a softmax, all scores [H, S, K] at once: for few queries.
    """
    _, H, S, D = q.shape
    scores = q.new_empty(H, S, kt.shape[3])
    scores.baddbmm_(q.squeeze(0), kt.squeeze(0), beta=0, alpha=1 / math.sqrt(D))
    if S > 1:
        seen = torch.ones(S, S, dtype=torch.bool, device=q.device).tril_()
        scores[..., -S:].masked_fill_(~seen, float("-inf"))
    return torch.bmm(scores.softmax(-1), vt.squeeze(0).mT).unsqueeze(0)


def merge(one: Part, other: Part) -> Part:
    """Return the attention over the keys of both parts."""
    (a, a_lse), (b, b_lse) = one, other
    share = torch.sigmoid(b_lse - a_lse)[..., None].to(a.dtype)
    return torch.lerp(a, b, share.expand_as(a)), torch.logaddexp(a_lse, b_lse)
