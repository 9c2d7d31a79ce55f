"""A process that multiplies as the processor of its environment would.

``python -m tests.core.one_processor`` prints as JSON the largest error of each way, in times of
what rounding allows, and the way that is likely. With "compile" it runs nothing, and
NUMBA_DUMP_ASSEMBLY shows what would run. With "without-numba" it has none. With "tower" the error
is that of a vision tower's product, and "attention" the relative one of its attention.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import torch

ROWS, SHAPES = (1, 3, 4, 41), ((8, 64), (33, 4160), (160, 4160))


def without_numba() -> None:
    """Let every import of numba fail, as where there is no build of it."""
    sys.modules["numba"] = None  # type: ignore[assignment]


def compile_only() -> None:
    """Compile the int8 kernels, and attention by tiles."""
    from numba import float32, int8, int16, int32, intp, uint8

    from assistant.core.cpu import amx, amx_attention, kernels, many_rows, packed_int16
    from assistant.core.cpu.compiler import has

    line, rows, matrix = float32[::1], float32[:, ::1], int8[:, ::1]
    many_rows.multiply_rows.compile((int16[:, ::1], line, matrix, line, rows))  # type: ignore[attr-defined]
    kernels.multiply.compile((matrix, line, rows, rows))  # type: ignore[attr-defined]
    blocks = int16[:, :, :, ::1]
    packed_int16.multiply_packed.compile((intp, int16[:, ::1], line, blocks, line, line, rows))  # type: ignore[attr-defined]
    if has("amx-bf16"):
        words, more = int32[:, :, :, :, ::1], (line, uint8[::1], intp, rows)
        for kind in (matrix, int16[:, ::1]):
            amx.multiply_tiles.compile((kind, line, words, *more))  # type: ignore[attr-defined]
        amx_attention.compile_once()


def tower() -> dict[str, Any]:
    """Multiply as a vision tower does; 1 is half a step of the activations."""
    from assistant.core.cpu.packed_int16 import LANES
    from assistant.core.cpu.tower import FixedPointLinear, gain

    generator = torch.Generator().manual_seed(0)
    matrix, x = (
        torch.randn(64, 1026, generator=generator),
        torch.randn(41, 1026, generator=generator),
    )
    steps = matrix.double().abs().amax(-1, keepdim=True) / 511
    wide = (matrix / steps).round() * steps
    most = x.double().abs().amax(-1, keepdim=True) / (2 * 8191) * wide.abs().sum(-1) + 1e-2
    off = (FixedPointLinear(matrix)(x).double() - x.double() @ wide.t()).abs() / most
    gains = {held: gain(held) for held in ("bfloat16", "int16")}
    return {
        "error": float(off.max()),
        "attention": float(attention_error(*torch.randn(3, 577, 128, generator=generator))),
        "gains": gains,
        "lanes": LANES,
    }


def attention_error(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Return the relative rms of the kernel's attention of [S, 2 D] in two heads."""
    from assistant.core.cpu.tower_attention import attend
    from assistant.phi3v.clip_model import attend as plainly

    wanted = plainly(*(one.double()[None] for one in (q, k, v)), heads=2)[0]
    return (attend(q, k, v, 2) - wanted).norm() / wanted.norm()


def errors() -> dict[str, float]:
    """Multiply numbers by every way that is exact here; 1 is half a step of the activations."""
    from assistant.core.cpu.acceleration import loose_kernels
    from assistant.core.weights import (
        BFLOAT16_WAYS,
        INT8_WAYS,
        Int8Linear,
        TiledLinear,
        integer_products_are_exact,
        quantize_rows,
    )

    found: dict[str, float] = {}
    kernels = loose_kernels()
    generator = torch.Generator().manual_seed(0)
    for N, K in SHAPES:
        matrix = torch.randn(N, K, generator=generator)
        numbers, scales = quantize_rows(matrix)
        wide = numbers.double() * scales[:, None]
        held = {way: Int8Linear(numbers, scales, way) for way in INT8_WAYS}
        if not integer_products_are_exact():
            del held["terms"]
        for S in ROWS:
            x = torch.randn(S, K, generator=generator)
            steps = x.double().abs().amax(-1, keepdim=True) / (127 * 508)
            most = steps * wide.abs().sum(-1) + 1e-4
            for way, module in held.items():
                module.kernels = kernels
                off = (module(x).double() - x.double() @ wide.t()).abs() / most
                found[way] = max(found.get(way, 0), float(off.max()))
            for way in BFLOAT16_WAYS:
                tiled = TiledLinear(matrix.bfloat16(), way)
                tiled.kernels = kernels
                if kernels is not None or S > 1:  # without kernels one row is rounded to 16 bits
                    off = (tiled(x) - x @ matrix.bfloat16().float().t()).abs() / 4e-3
                    found[f"bfloat16 {way}"] = max(
                        found.get(f"bfloat16 {way}", 0), float(off.max())
                    )
    return found


def main(what: str) -> None:
    """Print what was found."""
    if what == "compile":
        compile_only()
        return
    if what == "without-numba":
        without_numba()
    if what == "tower":
        print(json.dumps(tower()))
        return
    from assistant.core.weights import likely_int8_way

    found = {"errors": errors(), "likely": likely_int8_way()}
    print(json.dumps(found | {"numba": sys.modules.get("numba") is not None}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    with torch.inference_mode():
        main(sys.argv[1] if len(sys.argv) > 1 else "")
