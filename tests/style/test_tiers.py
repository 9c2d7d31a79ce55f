"""`make test` leaves out what is slow, half of a folder's tests at most: `tests/tiers.py`."""

from __future__ import annotations

import ast
from collections import defaultdict

import pytest

from tests.conftest import ROOT

COMMANDS = {
    "test": "-m 'not long and not slow'",
    "test-all": "--dist loadfile",
    "test-long": "-m long",
}
FILES = [
    path for folder in ("tests", "training") for path in sorted((ROOT / folder).rglob("test_*.py"))
]


def marks(source: str) -> list[set[str]]:
    """Find the marks of each test function, those of its class and file included."""
    found: list[set[str]] = []

    def named(nodes: list[ast.expr]) -> set[str]:
        return {
            node.attr
            for one in nodes
            for node in ast.walk(one)
            if isinstance(node, ast.Attribute) and node.attr in ("slow", "long", "gpu")
        }

    def walk(body: list[ast.stmt], above: set[str]) -> None:
        for node in body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
                above = above | named([node.value])
        for node in body:
            if isinstance(node, ast.ClassDef):
                walk(node.body, above | named(node.decorator_list))
                continue
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if node.name.startswith("test_"):
                plain = [one for one in node.decorator_list if "parametrize" not in ast.dump(one)]
                found.append(above | named(plain))

    walk(ast.parse(source).body, set())
    return found


@pytest.mark.parametrize(("command", "words"), COMMANDS.items())
def test_the_makefile_runs_the_tier(command: str, words: str) -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    recipe = lines[next(i for i, line in enumerate(lines) if line.startswith(f"{command}:")) + 1]
    assert words in recipe
    assert (" -m " in recipe.split("pytest", 1)[1]) == (command != "test-all")


def test_ci_runs_all_but_the_long_ones() -> None:
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make test-all"


def test_marks_of_functions_classes_and_files_are_found() -> None:
    source = "@mark.slow\nclass TestA:\n def test_a(): ...\n@mark.parametrize('x', [mark.slow])\n"
    assert marks(f"{source}def test_b(): ...") == [{"slow"}, set()]
    assert marks("pytestmark = mark.long\ndef test_a(): ...") == [{"long"}]


def test_most_tests_of_each_folder_are_quick() -> None:
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for path in FILES:
        for one in marks(path.read_text(encoding="utf-8")):
            if "long" not in one:
                counts[str(path.parent.relative_to(ROOT))]["slow" in one] += 1
    assert not {folder: pair for folder, pair in counts.items() if pair[1] > pair[0]}
    assert sum(slow for _, slow in counts.values()) > 50
