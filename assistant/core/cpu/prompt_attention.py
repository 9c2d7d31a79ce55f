"""Attention of prompts by the kernel for AMX, where a measurement finds it quicker than torch's."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial

import torch

from assistant.core.cpu.timing import one_thread, quickest

_log = logging.getLogger(__name__)

FEWEST = 64
"""Queries from which on the kernel may be worth it: two tiles of them meet a block of keys."""

LEAST_PRODUCTS = 2**25
"""Multiplications of queries and keys from which on it is asked for: a millisecond of torch's. So
models that are too small to compile anything for do not wait for it."""

HEADS, LENGTH, HEAD_DIM = 2, 512, 96
"""The attention that is measured."""


Attend = Callable[..., tuple[torch.Tensor, torch.Tensor]]
"""Attention of q [B, H, S, D] over k, v [B, H, K, D], ``causal`` or not, and the log-sum-exp."""


def attention_for(q: torch.Tensor, k: torch.Tensor, plainly: Attend) -> Attend:
    """Return the kernel where it takes ``q`` and ``k`` and is quicker than ``plainly``, or that."""
    S, D = q.shape[-2:]
    taken = q.dtype == torch.float32 and S >= FEWEST and D % 32 == 0 and q.shape[:2] == k.shape[:2]
    if taken and q.numel() * k.shape[-2] >= LEAST_PRODUCTS and is_quicker(plainly):
        from assistant.core.cpu.amx_attention import attend  # numba is here

        return attend
    return plainly


@cache
@torch.inference_mode()
def is_quicker(plainly: Attend) -> bool:
    """Whether the kernel takes less time of one thread than ``plainly``; 0.02 s, once compiled."""
    try:
        from assistant.core.cpu.amx_attention import attend
        from assistant.core.cpu.tiles import is_here

        if not is_here():
            return False
        x = torch.ones(1, HEADS, LENGTH, HEAD_DIM)
        ours, other = (partial(one, x, x, x, causal=True) for one in (attend, plainly))
        with one_thread():
            ours()
            return quickest(ours) < quickest(other)
    except Exception as error:  # no numba for this platform, no folder to keep the result in
        reason = str(error).strip().splitlines()[:1]
        _log.warning("attention of prompts is not compiled: %s", reason)
    return False
