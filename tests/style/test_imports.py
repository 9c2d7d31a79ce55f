"""No module imports itself through others, imports for types included."""

from __future__ import annotations

import sys
from pathlib import Path

import grimp
import pytest

PACKAGES = ("assistant", "storage", "tui", "training")


def circles(*packages: str) -> list[str]:
    """List the sets of modules that import each other, directly or through others."""
    graph = grimp.build_graph(*packages, exclude_type_checking_imports=False, cache_dir=None)
    reached = {one: graph.find_upstream_modules(one) for one in graph.modules}
    found = {
        (name, *(one for one in others if name in reached[one]))
        for name, others in reached.items()
        if any(name in reached[one] for one in others)
    }
    return sorted({" <-> ".join(sorted(circle)) for circle in found})


def test_no_module_imports_itself_through_others() -> None:
    assert circles(*PACKAGES) == []


def test_no_package_imports_its_own_modules() -> None:
    """Import a module while another thread imports its package.

    Each would wait for the other: Python ends one of the two imports with an error.
    """
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
    packages = {one.rpartition(".")[0] for one in graph.modules} - {""}
    assert [
        (package, module)
        for package in sorted(packages)
        for module in graph.find_modules_directly_imported_by(package)
        if module.startswith(f"{package}.")
    ] == []


def test_a_circle_of_imports_for_types_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "circular"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "one.py").write_text("from circular import two\n")
    (folder / "two.py").write_text("from circular.three import X\n")
    (folder / "three.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import circular.one\nX = 1\n"
    )
    (folder / "four.py").write_text("import circular.one\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert circles("circular") == ["circular.one <-> circular.three <-> circular.two"]
