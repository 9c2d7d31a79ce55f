"""Tests wait for events by tests/wait.py: none sleeps, counts seconds or sets a limit."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.conftest import ROOT

CLOCKS = {"monotonic", "perf_counter", "time"}
ALLOWED = {
    "tests/wait.py": "the one place with a limit",
    "tests/bench": "measures seconds",
    "tests/core/test_features.py": "gives files an age",
    "tests/hardening/soak.py": "no test: a program that measures for hours",
    "tests/hardening/test_outage_runs.py": "an outage lasts so many seconds",
    "tests/newcomer/test_newcomer.py": "installs from the network: 50 minutes are a hang",
    "tests/gpu/__main__.py": "figures of a card, reported and not judged",
    "tests/gpu/checks.py": "the same",
    "tests/gpu/full_size.py": "the same",
    "tests/pictures/test_fetch.py": "a server that sends a byte now and then",
    "tests/real": "no tests: programs that wait for servers of others to start",
    "tests/storage/victims.py": "a victim's pace and when it said something; it is killed",
    "tests/storage/test_kills.py": "kills at random moments; whatever was stored must be whole",
    "tests/storage/test_crowd.py": "processes write for a time; how much is only printed",
    "tests/tui/quiet.py": "makes threads late on purpose",
    "tests/worker/terminals.py": "waits for a condition, without a limit",
    "tests/worker/test_process.py": "at least so many seconds pass",
}
"""Files that may look at a clock, and why no load makes them fail."""


def clocks(source: str) -> Iterator[tuple[int, str]]:
    """Find (line, call) of everything in ``source`` that depends on the machine's speed."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        function, call = node.func, ast.unparse(node)
        name = function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
        owner = ast.unparse(function.value) if isinstance(function, ast.Attribute) else ""
        is_nothing = bool(node.args) and ast.unparse(node.args[0]) in ("0", "None")
        limits = [word.value for word in node.keywords if word.arg == "timeout"]
        if (
            (name in ("sleep", "pause") and node.args and not is_nothing)
            or (name in CLOCKS and owner in ("", "time") and not node.args)
            or any(isinstance(limit, ast.Constant) and limit.value for limit in limits)
        ):
            yield node.lineno, call


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("await pilot.pause(0.2)", 1),
        ("await pilot.pause()", 0),
        ("time.sleep(1)", 1),
        ("await asyncio.sleep(0)", 0),
        ("end = time.monotonic() + 60", 1),
        ("started = perf_counter()", 1),
        ("process.communicate(timeout=60)", 1),
        ("requests.get(address, timeout=LIMIT_S)", 0),
        ("used = time.process_time()", 0),
        ("for _ in range(300):\n    if done():\n        break\n    await asyncio.sleep(0.04)", 1),
    ],
)
def test_what_depends_on_the_machines_speed_is_found(source: str, found: int) -> None:
    assert len(list(clocks(source))) == found


def test_no_test_depends_on_the_machines_speed() -> None:
    found = [
        f"{name}:{line}: {call}"
        for folder in ("tests", "training/tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not any((name := path.relative_to(ROOT).as_posix()).startswith(one) for one in ALLOWED)
        for line, call in clocks(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "wait for an event with tests/wait.py, or say in ALLOWED why not"


def test_what_is_allowed_is_there() -> None:
    assert [name for name in ALLOWED if not (ROOT / name).exists()] == []
