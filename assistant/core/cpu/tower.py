"""Vision tower in fewer bits than 32: linear layers, attention, and how much quicker they are here.

What is between the products stays float32 where a tower adds it up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from assistant.core.cpu.bfloat16 import BFloat16Linear
from assistant.core.cpu.timing import one_thread, quickest, timed
from assistant.core.formats import TOWER_ROWS

_log = logging.getLogger(__name__)

WIDTH = 1024
"""Width of CLIP ViT-L: the product that is measured."""

LEAST_GAIN = 1.3
"""Times float32's speed from which on a format is taken: packing and rounding cost something."""

HOPELESS_S = 0.05
"""Seconds of one hundredth of the product from which on nothing is measured: oneDNN multiplies what
a processor has no instructions for by a plain loop."""

HEADS, HEAD_DIM = 2, 64
"""Heads of attention that are measured, of CLIP's width."""

Product = Callable[[torch.Tensor], torch.Tensor]
Attend = Callable[[torch.Tensor, torch.Tensor, torch.Tensor, int], torch.Tensor]
"""Attention within each of q, k and v [N, S, heads x D]."""


class FixedPointLinear(nn.Module):
    """A matrix [N, K] in whole numbers of 10 bits, a scale for each row, for many rows of float32.

    They stand in 16 bits; activations are rounded to 14. A bias is set later.
    """

    bias: nn.Parameter | None
    packed: torch.Tensor
    scales: torch.Tensor

    def __init__(self, matrix: torch.Tensor) -> None:
        from assistant.core.cpu import packed_int16 as kernel  # numba is here

        super().__init__()
        scales = matrix.float().abs().amax(-1).clamp_(min=1e-30).div_(kernel.WEIGHT_STEPS)
        numbers = (matrix.float() / scales[:, None]).round_().to(torch.int16)
        self._kernel = kernel.product
        self.register_parameter("bias", None)
        self.register_buffer("packed", kernel.pack(numbers))
        self.register_buffer("scales", scales)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        bias = torch.zeros_like(self.scales) if self.bias is None else self.bias.detach()
        out = self._kernel(x.reshape(-1, x.shape[-1]), self.packed, self.scales, bias)
        return out.view(*x.shape[:-1], len(self.scales))


_NARROW = (FixedPointLinear, BFloat16Linear)


@cache
def has_int16() -> bool:
    """Whether the products of whole numbers can be compiled here, found out by trying."""
    try:
        from assistant.core.cpu.packed_int16 import COLUMNS, IS_HERE

        if IS_HERE:
            FixedPointLinear(torch.ones(COLUMNS, 2))(torch.ones(1, 2))
            return True
    except Exception as error:  # no numba for this platform, no folder to keep the result in
        _log.warning("the vision tower is not compiled: %s", str(error).strip().splitlines()[:1])
    return False


def has_bfloat16() -> bool:
    """Whether the processor has instructions for bfloat16."""
    return torch.cpu._is_avx512_bf16_supported()


@cache
@torch.inference_mode()
def gain(held: str) -> float:
    """Measure how many times as fast as float32 a tower's products are, held in ``held``.

    It takes a tenth of a second. 1 where it is not worth taking. By the time that one thread
    computes, which other programs hardly change.
    """
    whole = nn.Linear(WIDTH, WIDTH, bias=False)
    has_int16()  # threads of kernels begin before they are counted
    with one_thread():
        try:
            if held == "int16" and has_int16():
                narrow: Product = FixedPointLinear(whole.weight)
            elif held == "bfloat16" and has_bfloat16():
                narrow = BFloat16Linear(whole.weight)
            else:
                return 1.0
            few, x = (
                torch.full((TOWER_ROWS // 100, WIDTH), 0.5),
                torch.full((TOWER_ROWS, WIDTH), 0.5),
            )
            narrow(few)
            if timed(lambda: narrow(few)) > HOPELESS_S:
                return 1.0
            found = quickest(lambda: whole(x)) / quickest(lambda: narrow(x))
        except RuntimeError:  # a build of torch without oneDNN
            return 1.0
    return found if found > LEAST_GAIN else 1.0


def quicken(vision: nn.Module) -> None:
    """Let what is between the narrow products of ``vision`` use kernels, where they are quicker.

    Modules with an ``attend``, and those whose ``activation_name`` is known.
    """
    module: Any
    for module in vision.modules():
        narrow = [one for one in module.children() if isinstance(one, _NARROW)]
        if narrow and hasattr(module, "attend"):
            held = torch.bfloat16 if isinstance(narrow[0], BFloat16Linear) else torch.float32
            way = ATTENTION_WAYS[quickest_attention(held, module.attend)]
            module.attend = partial(way, module.attend)
        if narrow and getattr(module, "activation_name", "") == "quick_gelu" and has_int16():
            module.activation = _quick_gelu


def _attend(
    plainly: Attend, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int
) -> torch.Tensor:
    """Attend by the kernel, ``plainly`` where it does not take the shape."""
    from assistant.core.cpu import tower_attention as kernel  # numba is here

    _, S, width = q.shape
    if not kernel.can_attend(S, width // heads):
        return _attend_in_float32(plainly, q, k, v, heads)
    return torch.stack([kernel.attend(*one, heads) for one in zip(q, k, v, strict=True)])


def _attend_in_float32(
    plainly: Attend, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int
) -> torch.Tensor:
    return plainly(q.float(), k.float(), v.float(), heads)


def _quick_gelu(x: torch.Tensor) -> torch.Tensor:
    from assistant.core.cpu import tower_attention as kernel  # numba is here

    kernel.quick_gelu(x.view(-1, x.shape[-1]))
    return x


def _attend_as_given(
    plainly: Attend, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int
) -> torch.Tensor:
    return plainly(q, k, v, heads)


ATTENTION_WAYS = {"float32": _attend_in_float32, "kernel": _attend, "bfloat16": _attend_as_given}
"""Attention by torch in float32, by our kernel, and by torch in bfloat16: that is the quickest with
AMX, and with other instructions for bfloat16 the slowest."""


@cache
@torch.inference_mode()
def quickest_attention(dtype: torch.dtype, plainly: Attend) -> str:
    """Measure which of :data:`ATTENTION_WAYS` is the quickest for rows of ``dtype``.

    ``plainly`` is the tower's own attention, by torch.
    """
    x = torch.ones(1, TOWER_ROWS, HEADS * HEAD_DIM, dtype=dtype)
    seconds, ways = {}, list(_possible_ways(dtype))
    with one_thread():
        for name in ways:
            run = partial(ATTENTION_WAYS[name], plainly, x, x, x, HEADS)
            try:
                run()
                seconds[name] = quickest(run)
            except Exception as error:  # another LLVM may lack an instruction
                reason = str(error).strip().splitlines()[:1]
                _log.warning("attention is not computed by %s: %s", name, reason)
    return min(seconds, key=seconds.__getitem__)


def _possible_ways(dtype: torch.dtype) -> Iterator[str]:
    yield "float32"
    if dtype == torch.bfloat16:
        yield "bfloat16"
    if has_int16():
        from assistant.core.cpu.packed_int16 import HAS_BFLOAT16  # numba is here

        if dtype == torch.float32 or HAS_BFLOAT16:
            yield "kernel"
