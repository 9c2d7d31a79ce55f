"""Tiers of tests: what ``make test`` leaves out of a test with many values or examples.

- no mark: `make test` and `make test-all`
- ``slow``: `make test-all` alone, which CI runs: of some tests nothing quicker holds the promise
- ``long``: `make test-long` alone
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from _pytest.mark import ParameterSet
from hypothesis import settings

QUICK = "quick"
"""Name of the hypothesis profile of `make test`."""


def few_quick(values: Iterable[Any], quick: int = 1) -> list[Any]:
    """Leave the first ``quick`` values in `make test`; mark the others as slow.

    A tuple holds the values of several parameters, as it does for pytest.
    """
    return [_slow(value) if index >= quick else value for index, value in enumerate(values)]


def _slow(value: Any) -> ParameterSet:
    if isinstance(value, ParameterSet):
        return pytest.param(*value.values, marks=[*value.marks, pytest.mark.slow], id=value.id)
    return pytest.param(*(value if isinstance(value, tuple) else [value]), marks=pytest.mark.slow)


def examples(number: int) -> int:
    """Return how many examples a costly property is tried with: `make test` tries a fifth."""
    return number // 5 if settings.get_current_profile_name() == QUICK else number
