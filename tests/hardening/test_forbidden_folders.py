"""Folders that may not be entered: pathlib's questions about what is in them raise."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import assistant
from assistant.cli.config import config  # noqa: F401 (imported while that is allowed)
from assistant.cli.doctor_checks import _can_be_made
from assistant.cli.models import _used
from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.places import cpu_place
from assistant.families.registry import model_facts
from assistant.models.catalogue import find_models
from assistant.settings.load import load as load_settings
from assistant.values.errors import ModelError
from assistant.worker.rendezvous import Rendezvous
from tests.storage.victims import Say, Victim
from tui.widgets.completion import complete_path
from tui.widgets.folder_list import read_folder

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX modes and forks")

_UNPRIVILEGED = 65_534
PRODUCT = Path(assistant.__file__).parents[1]


def test_pathlib_is_not_asked() -> None:
    """Path.exists, is_file and is_dir raise PermissionError; their functions in os.path don't."""
    asks = re.compile(r"\.(?:exists|is_file|is_dir)\(\)")
    found = [
        f"{path.relative_to(PRODUCT)}:{number}: {line.strip()}"
        for folder in ("assistant", "storage", "tui")
        for path in sorted((PRODUCT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if asks.search(line) and "return entry.is_dir()" not in line
    ]
    assert found == []


def _refused(act: Callable[[], object]) -> str:
    try:
        act()
    except ModelError as error:
        return str(error)
    return ""


def test_what_looks_below_such_a_folder_goes_on() -> None:
    place = cpu_place(detect_hardware())
    with tempfile.TemporaryDirectory() as made:
        open_folder, forbidden = Path(made, "open"), Path(made, "forbidden")
        for folder in (open_folder, forbidden / "in"):
            folder.mkdir(parents=True)
        (open_folder / "link").symlink_to(forbidden / "in")
        (open_folder / "a.png").touch()
        (notes := Path(made, "said")).mkdir(mode=0o777)
        notes.chmod(0o777)
        Path(made).chmod(0o755)
        model = str(forbidden / "in" / "model")
        settings = load_settings({"model": model, "database": str(forbidden / "in" / "x.db")})

        def program(say: Say) -> None:
            if os.geteuid() == 0:  # modes mean nothing to root
                os.setgroups([])
                os.setresgid(_UNPRIVILEGED, _UNPRIVILEGED, _UNPRIVILEGED)
                os.setresuid(_UNPRIVILEGED, _UNPRIVILEGED, _UNPRIVILEGED)
            os.environ["HF_HUB_CACHE"] = str(forbidden / "in")
            say("facts", words=_refused(lambda: model_facts(model)))
            say("list", names=[one.name for one in find_models(settings, place)])
            say("used", names=_used(settings))
            say("made", can=_can_be_made(forbidden / "in" / "x" / "y"))
            say("worker", found=Rendezvous(forbidden / "in" / "run", "x").connect())
            say("typed", found=read_folder(open_folder, f"{forbidden}/in/x/"))
            shown = read_folder(open_folder, f"{open_folder}/")
            say("shown", names=[] if shown is None else [one.name for one in shown.paths])
            say("completed", found=complete_path(f"{open_folder}/") is not None)

        forbidden.chmod(0)
        said = {one.what: one.values for one in Victim(program, notes / "notes").said()}
        forbidden.chmod(0o755)
    assert said["facts"]["words"]
    assert model in said["list"]["names"]
    assert (said["used"], said["made"]) == ({"names": []}, {"can": False})
    assert (said["worker"], said["typed"]) == ({"found": None}, {"found": None})
    assert "a.png" in said["shown"]["names"]
    assert said["completed"]["found"]
