"""Weights in large pages: the same numbers, in memory that begins with a page and is given back."""

from __future__ import annotations

import gc
import mmap
import re
from pathlib import Path

import pytest
import torch

from assistant.core import large_pages
from assistant.core.large_pages import PAGE, empty
from assistant.core.weights import quantize_rows

CPU = torch.device("cpu")
SHAPE = (1024, 4099)
HAS_SMAPS = pytest.mark.skipif(
    not Path("/proc/self/smaps").exists() or not hasattr(mmap, "MADV_HUGEPAGE"),
    reason="large pages and what is known of them are Linux's",
)


def advised(address: int) -> bool:
    """Say whether the kernel may use large pages at an address."""
    inside = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= address < int(found[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return "hg" in line.split()
    return False


@HAS_SMAPS
def test_large_matrices_begin_with_a_large_page() -> None:
    large = empty(SHAPE, torch.int8, CPU)
    assert large.shape == SHAPE
    assert large.is_contiguous()
    assert large.data_ptr() % PAGE == 0
    assert advised(large.data_ptr())


def test_small_matrices_need_none(monkeypatch: pytest.MonkeyPatch) -> None:
    # Where one lies says nothing: numpy asks for large pages too, and its memory may be used again.
    asked: list[int] = []
    monkeypatch.setattr(large_pages, "_mapped", lambda size, _: asked.append(size))
    assert empty((10, 10), torch.int8, CPU).shape == (10, 10)
    assert not asked


@HAS_SMAPS
def test_quantized_weights_lie_in_them() -> None:
    matrix = torch.randn(SHAPE, generator=torch.Generator().manual_seed(3))
    numbers, scales = quantize_rows(matrix)
    assert advised(numbers.data_ptr())
    assert (numbers * scales[:, None] - matrix).abs().max() <= scales.max() * 0.51


@HAS_SMAPS
def test_memory_is_given_back() -> None:
    address = empty(SHAPE, torch.int8, CPU).fill_(1).data_ptr()
    gc.collect()
    assert not advised(address)


@pytest.mark.parametrize("dtype", [torch.int8, torch.bfloat16, torch.float32], ids=str)
def test_without_large_pages_it_is_a_tensor_all_the_same(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(large_pages, "_mapped", refuse)
    found = empty(SHAPE, dtype, CPU)
    assert (found.shape, found.dtype) == (SHAPE, dtype)
    found.fill_(1)
