"""Checks of ``phichat doctor``. They only read: nothing is written, fetched or loaded."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assistant import demo_model as demo
from assistant.cli.models_servers import A_SERVER
from assistant.core.formats import KV_KINDS
from assistant.core.memory.hardware import Hardware, Problem
from assistant.core.memory.places import Place, choose_place, cpu_place, with_speeds
from assistant.core.memory.plan import make_plan
from assistant.core.memory.sizes import streamed_bytes
from assistant.core.memory.speed_estimate import PICTURE, Speed, estimate, measure
from assistant.core.memory.speeds import FormatSpeed, Speeds, measured_tower, tower_gains
from assistant.core.memory.values import MemoryPlan, Wanted
from assistant.families.family import Checkpoint
from assistant.families.registry import model_folder, open_checkpoint
from assistant.families.sizes import ModelSize
from assistant.families.stored_weights import stored_weights
from assistant.models.known import KNOWN
from assistant.servers.address import is_server, parse
from assistant.settings.schema import Settings
from assistant.values.context import PictureLayout
from assistant.values.errors import ModelError, StorageError
from assistant.values.text import masked
from assistant.worker.shared_workers import SharedWorker, shared_workers
from storage.database_state import DatabaseState
from storage.inspection import examine
from tui.terminal import tmux
from tui.terminal.detect import Colours, colours_of

if TYPE_CHECKING:
    from assistant.servers.catalogue import ServerModel

OFFICIAL = KNOWN[0]


@dataclass(frozen=True, slots=True)
class Model:
    """The chosen model; ``folder`` is None where it is not here, ``size`` where it is unfit.

    ``server`` is what the server said that is to answer, if it did.
    """

    name: str
    folder: Path | None
    size: ModelSize | None
    checkpoint: Checkpoint | None = None
    bytes_on_disk: int = 0
    server: ServerModel | None = None


@dataclass(frozen=True, slots=True)
class FormatEstimate:
    """A format of weights on this processor, and what Phi-3-vision would take with it.

    ``picture_s`` is until the first token of an answer about one picture.
    """

    name: str
    bytes_per_s: float
    flop_per_s: float
    decode_tokens_per_s: float
    picture_s: float


@dataclass(frozen=True, slots=True)
class Terminal:
    """The terminal as the environment and tmux describe it; it is not queried itself."""

    is_terminal: bool
    columns: int
    rows: int
    colours: str
    pictures: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that the doctor reports; ``can_run`` if at least the demo model can run."""

    hardware: Hardware
    place: Place
    why: str
    attention: str
    model: Model
    plan: MemoryPlan | None
    picture: tuple[int, int]
    layout: PictureLayout
    speed: Speed | None
    official: tuple[MemoryPlan, ...]
    official_speed: Speed | None
    formats: tuple[FormatEstimate, ...]
    probe: Mapping[str, Any] | None
    workers: tuple[SharedWorker, ...]
    database: DatabaseState
    config_file: Path
    terminal: Terminal
    problems: tuple[Problem, ...]
    can_run: bool


def diagnose(settings: Settings, hardware: Hardware, *, quick: bool = False) -> Diagnosis:
    """Run every check; ``quick`` skips torch's probe and the full check of the database."""
    problems = list(hardware.problems)
    place, why = choose_place(hardware, settings.device)
    probe = None if quick or hardware.torch is None else _probed(settings.device, problems)
    if probe is not None:
        place, why = _corrected(place, why, hardware, probe, problems)
        if place.kind == "cpu" and not hardware.speeds:
            measured = {n: FormatSpeed(**one) for n, one in probe.get("formats", {}).items()}
            hardware = replace(hardware, speeds=measured)
            place = with_speeds(place, measured)
        if probe.get("kernel_threads") == "workqueue" and hardware.system.startswith("Linux"):
            problems.append(Problem(_OWN_THREADS, "Install it: apt-get install libgomp1."))
    workers = tuple(shared_workers(settings.runtime_dir))
    model = _model(settings, problems)
    if place.kind == "cpu" and model.folder is not None:
        ours = [one for one in workers if Path(one.folder) == model.folder.resolve()]
        held = sum(one.resident_bytes or 0 for one in ours)  # would be free without them
        place = replace(place, available=min(place.total, place.available + held))
    wanted = Wanted(settings.dtype, settings.weights, settings.kv, settings.context)
    plan = make_plan(model.size, place, wanted) if model.size is not None else None
    if plan is not None and plan.problem is not None:
        problems.append(Problem(plan.problem, "phichat doctor --weights … shows other plans."))
    database = _database(settings, problems, check=not quick)
    pictures = OFFICIAL.pictures if model.checkpoint is None else model.checkpoint.pictures
    speeds = hardware.speeds if place.kind == "cpu" else {}
    layout = pictures.layout(*PICTURE, settings.num_crops or pictures.default)
    return Diagnosis(
        hardware=hardware,
        place=place,
        why=why,
        attention=str(probe["attention"]) if probe else _attention(place, hardware, plan),
        model=model,
        plan=plan,
        picture=PICTURE,
        layout=layout,
        speed=estimate(model.size, plan, probe, layout.views),
        official=official_plans(place),
        official_speed=estimate(
            OFFICIAL.size,
            make_plan(OFFICIAL.size, place),
            probe,
            OFFICIAL.pictures.layout(*PICTURE, OFFICIAL.pictures.default).views,
        ),
        formats=tuple(_estimate(name, speed, speeds) for name, speed in speeds.items()),
        probe=probe,
        workers=workers,
        database=database,
        config_file=settings.config_file,
        terminal=_terminal(os.environ),
        problems=tuple(problems),
        can_run=hardware.torch is not None and _demo_fits(place),
    )


def official_plans(place: Place) -> tuple[MemoryPlan, ...]:
    """Phi-3-vision at ``place`` in every pair of formats, whether it is on this machine or not."""
    return tuple(
        make_plan(OFFICIAL.size, place, Wanted("bfloat16", weights, kv))
        for weights, kv in product(place.weights, KV_KINDS)
    )


def _attention(place: Place, hardware: Hardware, plan: MemoryPlan | None) -> str:
    """As :func:`assistant.core.devices.choose_attention`, which needs torch."""
    narrow = plan is None or plan.dtype != "float32"
    flash = place.kind == "cuda" and hardware.flash_attn and narrow
    return "flash_attention_2" if flash else "sdpa"


def _demo_fits(place: Place) -> bool:
    return make_plan(open_checkpoint(demo.folder()).size("demo"), place).problem is None


def _model(settings: Settings, problems: list[Problem]) -> Model:
    if is_server(settings.model):
        return _on_server(settings.model, problems)
    try:
        folder = model_folder(settings.model)
    except ModelError as error:
        problems.append(Problem(str(error), "The demo model works without it."))
        return Model(settings.model, None, None)
    try:
        checkpoint = open_checkpoint(folder, settings.num_crops)
        size = checkpoint.size(settings.model)
        stored = stored_weights(folder)
    except ModelError as error:
        problems.append(Problem(str(error), "The demo model works without it."))
        return Model(settings.model, folder, None)
    if missing := sorted(set(checkpoint.weights()) - set(stored)):
        problems.append(
            Problem(
                f"{folder} lacks {len(missing)} weights (the first: {missing[0]}).",
                "Fetch the model again.",
            )
        )
        return Model(settings.model, folder, None)
    on_disk = sum(weight.nbytes for weight in stored.values())
    return Model(settings.model, folder, size, checkpoint, on_disk)


def _on_server(name: str, problems: list[Problem]) -> Model:
    from assistant.servers.catalogue import chosen

    shown = A_SERVER
    try:
        address = parse(name)
        shown = address.name
        return Model(shown, None, None, server=chosen(address))
    except ModelError as error:
        problems.append(Problem(str(error), "The demo model works without it."))
        return Model(shown, None, None)


def _probed(device: str, problems: list[Problem]) -> Mapping[str, Any] | None:
    """Ask torch about the device, in a process of its own."""
    try:
        return measure(device)
    except ModelError as error:
        remedy = "Use --device auto (PHICHAT_DEVICE=auto)."
        if error.code == "no-torch":
            remedy = "Install phichat's packages again (make clean, make chat)."
        problems.append(Problem(str(error), remedy))
        return None


def _corrected(
    place: Place, why: str, hardware: Hardware, probe: Mapping[str, Any], problems: list[Problem]
) -> tuple[Place, str]:
    """Correct the place by what torch can use."""
    kind = str(probe["device"]).partition(":")[0]
    if place.kind == "cuda" and kind != "cuda":
        problems.append(
            Problem(
                f"{place.title} is here, but PyTorch {probe['torch']} can't use it.",
                "Update the NVIDIA driver, or install the PyTorch build for its CUDA version.",
            )
        )
        return cpu_place(hardware), "The CPU is used: PyTorch can't use the card."
    if place.kind == kind and probe.get("free_bytes") is not None:
        return replace(place, available=int(probe["free_bytes"])), why
    return place, why


def _estimate(name: str, speed: FormatSpeed, speeds: Speeds) -> FormatEstimate:
    """Estimate Phi-3-vision in one format."""
    size, pictures = OFFICIAL.size, OFFICIAL.pictures
    layout = pictures.layout(*PICTURE, pictures.default)
    kind = "int8" if name == "int8" else "float"
    dtype = "bfloat16" if kind == "int8" else name
    _, tower = measured_tower(tower_gains(speeds), dtype, kind)
    looking = layout.views * size.view_flop / (speeds["float32"].flop_per_s * tower)
    read = streamed_bytes(size, dtype, kind)
    return FormatEstimate(
        name,
        speed.bytes_per_s,
        speed.flop_per_s,
        decode_tokens_per_s=speed.bytes_per_s / read,
        picture_s=looking + layout.tokens * size.decoder_flop / speed.flop_per_s,
    )


_OWN_THREADS = (
    "The system has no libgomp.so.1, so compiled kernels run on threads of their own beside "
    "PyTorch's."
)
_SAVE = "What can be read is written by: phichat sessions export --all -o FILE.json."


def _database(settings: Settings, problems: list[Problem], *, check: bool) -> DatabaseState:
    try:
        found = examine(settings.store_location, check=check)
    except StorageError as error:
        problems.append(Problem(str(error), "Correct the setting “database”."))
        return DatabaseState(masked(settings.store_location))
    is_file = found.user is None
    if is_file and found.exists is False and not _can_be_made(Path(found.where)):
        problems.append(
            Problem(
                f"The database {found.where} can't be made: its folder can't be written to.",
                "Change its permissions, or choose another folder with PHICHAT_HOME.",
            )
        )
    if found.obstacle is not None:
        can = "What is stored can be read meanwhile." if found.exists else "Nothing can be stored."
        problems.append(Problem(found.obstacle, can))
    if found.problem is not None:
        problems.append(
            Problem(
                found.problem,
                f"Copy the file away. {_SAVE} Then start with a new one or a backup.",
            )
        )
    problems += (Problem(one.what, one.remedy) for one in found.concerns)
    if found.unreadable:
        problems.append(
            Problem(
                f"In the database {found.where} can't be read: {'; '.join(found.unreadable)}.",
                f"The rest works, and chats show such a value as missing. {_SAVE}",
            )
        )
    return found


def _can_be_made(path: Path) -> bool:
    nearest = next(folder for folder in path.absolute().parents if os.path.exists(folder))
    return os.path.isdir(nearest) and os.access(nearest, os.W_OK | os.X_OK)


def _terminal(environ: Mapping[str, str]) -> Terminal:
    size = shutil.get_terminal_size()
    names = {Colours.TRUE: "16 million", Colours.PALETTE: "256", Colours.NAMED: "few or unknown"}
    colours = names[colours_of(environ)]
    if environ.get("NO_COLOR"):
        colours = "switched off (NO_COLOR)"
    pictures = _pictures(environ)
    return Terminal(sys.stdout.isatty(), size.columns, size.lines, colours, pictures)


def _pictures(environ: Mapping[str, str]) -> str:
    """Describe how pictures are drawn, as far as tmux knows it."""
    if not environ.get("TMUX"):
        return "pictures as kitty or sixel: not asked"
    pane = tmux.read(tmux.asker(environ)())
    if not pane.passes:
        return "pictures as half blocks, because tmux passes none on (set -g allow-passthrough on)"
    if pane.draws:
        return "pictures through tmux"
    return (
        "pictures as half blocks while a terminal shows this tmux that is no kitty and no Ghostty"
    )
