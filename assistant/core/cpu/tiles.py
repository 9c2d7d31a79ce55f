"""The tiles of AMX: a processor's matrix registers, and instructions on them.

A tile has 16 rows of 64 bytes; an instruction multiplies two tiles and adds the products to a
third, of 32 bits a number. A tile that is loaded takes half the time of a product where it lies in
the first cache and begins with a cache line, and three times that time elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types

from assistant.core.cpu import llvm
from assistant.core.cpu.compiler import has, instruction
from assistant.core.cpu.llvm import BYTES, FLOAT, I32, Values

SIDE, STEP = 16, 64
"""Rows of a tile, and bytes of each."""

TILE = SIDE * STEP
"""Bytes of a tile."""

VECTOR, WHOLE = ir.VectorType(FLOAT, SIDE), ir.VectorType(I32, SIDE)
"""A row of a tile in a register, as float32 and as whole numbers."""

CONFIGURATION = np.zeros(64, np.uint8)
"""Palette 1, then for each of eight tiles the bytes of a row, and its rows."""
CONFIGURATION[0] = 1
CONFIGURATION[16:32:2] = STEP
CONFIGURATION[48:56] = SIDE


@cache
def is_here() -> bool:
    """Whether the processor has the instructions, and the system lets this process use them."""
    named = ("amx-tile", "amx-bf16", "amx-int8")
    return all(has(one) for one in named) and torch.cpu._init_amx()


def command(b: Any, name: str, *operands: Any) -> None:
    """Write an instruction; a tile is named by a constant."""
    kinds = [one.type for one in operands]
    b.call(llvm.function(b, f"llvm.x86.{name}", ir.VoidType(), kinds), operands)


@instruction
def configure(context: Any, configuration: Any) -> tuple[Any, Callable[..., Any]]:
    """Begin to use the tiles of the processor that this thread runs on."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        (held,) = llvm.unpacked(context, b, signature, arguments)
        command(b, "ldtilecfg", b.bitcast(held.data, BYTES))
        return context.get_dummy_value()

    return types.void(configuration), generate


@instruction
def release(context: Any) -> tuple[Any, Callable[..., Any]]:
    """Give the tiles back, so that the system need not keep them for this thread."""

    def generate(context: Any, b: Any, signature: Any, arguments: Any) -> Any:
        command(b, "tilerelease")
        return context.get_dummy_value()

    return types.void(), generate


def everywhere(b: Any, number: Any) -> Any:
    """Return a vector of SIDE times the same float."""
    one = b.insert_element(ir.Constant(VECTOR, ir.Undefined), number, I32(0))
    return b.shuffle_vector(one, one, ir.Constant(WHOLE, None))


def columns_as_rows(b: Any, rows: Values) -> Values:
    """Exchange the rows and the columns of SIDE rows of SIDE numbers.

    Squares beside the diagonal are exchanged: 8 x 8, in each of the four 4 x 4, and so on.
    """
    rows = list(rows)
    for d in (8, 4, 2, 1):
        for i in range(SIDE):
            if not i & d:
                pair = rows[i], rows[i + d]
                kept = [n if not n & d else SIDE + n - d for n in range(SIDE)]
                moved = [n + d if not n & d else SIDE + n for n in range(SIDE)]
                rows[i], rows[i + d] = (
                    b.shuffle_vector(*pair, ir.Constant(WHOLE, mask)) for mask in (kept, moved)
                )
    return rows
