"""Fixtures of every test of the core: one thread, like the workers that it starts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """Products here are tiny: threads would wait for each other, the longer the busier the machine.

    And sums are the same every time.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
