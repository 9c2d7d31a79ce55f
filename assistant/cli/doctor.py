"""``phichat doctor``: a report on the machine, the model, the memory plan and problems."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from assistant.cli.common import print_json
from assistant.cli.models_servers import A_SERVER, SENT
from assistant.cli.options import engine_options, json_option, model_option
from assistant.core.memory.values import MemoryPlan
from assistant.servers.address import is_server
from assistant.settings.load import load
from assistant.values.text import one_line, plain
from assistant.values.words import counted, file_size, pip_install

if TYPE_CHECKING:
    from assistant.cli.doctor_checks import Diagnosis, FormatEstimate
    from assistant.core.memory.hardware import Hardware
    from assistant.core.memory.speed_estimate import Speed
    from assistant.servers.catalogue import ServerModel


FLASH, FLASH_BUILD = "flash-attn==2.8.3.post2", ("ninja==1.13.2", "wheel==0.48.0")
"""Its build imports PyTorch and wheel, which pip's isolated environment for builds lacks."""


@click.command(
    help="""What this machine can run, and why not. Only looks: writes and fetches nothing.

    \b
    phichat doctor                                    the machine, the model, the plan, problems
    phichat doctor --model microsoft/Phi-3-vision-128k-instruct --weights int8
    phichat doctor --quick --json                     for scripts
    """
)
@model_option
@engine_options
@click.option(
    "--quick", is_flag=True, help="Start no process of PyTorch: nothing is measured, less is known."
)
@json_option
def doctor(model: str | None, quick: bool, as_json: bool, **memory: object) -> None:
    """Report what this machine can run; exit code 1 if not even the demo."""
    # here, because these load the database library, which other commands may never need
    from assistant.cli.doctor_checks import diagnose
    from assistant.core.memory.detect import detect_hardware

    found = diagnose(load({"model": model, **memory}), detect_hardware(), quick=quick)
    if as_json:
        print_json(_as_json(found))
    else:
        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
        for line in _lines(found, quick=quick):
            click.echo(fitted(plain(line), columns))
    if not found.can_run:
        sys.exit(1)


def fitted(line: str, columns: int) -> str:
    """Break a line at blanks where a terminal of ``columns`` would break it within a word.

    Commands stay whole, to be copied; ``columns`` is 0 where no terminal shows it.
    """
    if not columns or len(line) <= columns or sys.executable in line:
        return line
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.fill(
        line,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _lines(found: Diagnosis, *, quick: bool = False) -> Iterator[str]:
    yield "Machine"
    yield from _machine(found)
    yield "\nModel"
    yield from _model(found)
    if found.plan is not None and found.plan.problem is None:
        yield "\nMemory plan"
        yield from _plan(found, found.plan)
    yield f"\nPhi-3-vision-128k on {found.place.title} ({found.place.device}), by arithmetic"
    yield from table(found.official)
    if found.official_speed is not None:
        yield "  " + _estimate(found.official_speed)
    if found.formats:
        yield from _formats(found.formats)
    yield "\nWorkers"
    yield from _workers(found)
    yield "\nFiles and terminal"
    yield from _files(found)
    none = "No problems found; without --quick, stored values are looked at too."
    yield "\nProblems" if found.problems else f"\n{none if quick else 'No problems.'}"
    for problem in found.problems:
        yield f"  {problem.what}"
        yield f"    {problem.remedy}"


def _machine(found: Diagnosis) -> Iterator[str]:
    hardware, memory = found.hardware, found.hardware.memory
    limited = ", the limit of a container" if memory.limited else ""
    yield f"  {hardware.system}: {hardware.cpu.name}, {counted(hardware.cpu.cores, 'core')}"
    yield (
        f"  {file_size(memory.total)} of memory{limited}, {file_size(memory.available)} of it free"
    )
    for gpu in hardware.gpus:
        yield f"  {gpu.name}: {file_size(gpu.total)}, {file_size(gpu.free)} of it free"
    if hardware.torch is not None:
        build = f"for CUDA {hardware.torch.cuda}" if hardware.torch.cuda else "without CUDA"
        yield f"  PyTorch {hardware.torch.version}, {build}"
    yield f"  {found.why} Attention: {found.attention}."
    if layer := (found.probe or {}).get("kernel_threads"):
        whose = "PyTorch's threads" if layer == "omp" else "threads of their own"
        yield f"  Compiled kernels run on {whose} ({layer})."
    if found.place.kind == "cuda" and not hardware.flash_attn:
        yield from _flash_attention(hardware)


def _flash_attention(hardware: Hardware) -> Iterator[str]:
    cuda = f" of CUDA {hardware.torch.cuda}" if hardware.torch and hardware.torch.cuda else ""
    nvcc = "is here" if shutil.which("nvcc") else "is not here"
    yield "  flash-attn is not installed; nothing needs it. To try it, with a compiler"
    yield f"  (nvcc{cuda}: nvcc {nvcc}) and minutes to hours of compiling, in this order:"
    yield f"    {pip_install(*FLASH_BUILD)}"
    yield f"    {pip_install('--no-build-isolation', FLASH)}"


def _model(found: Diagnosis) -> Iterator[str]:
    model = found.model
    if model.server is not None:
        context = model.server.context
        reads = f"reads {counted(context, 'token')}" if context else "does not tell its context"
        yield f"  {model.name} answers: {model.server.address.model}, {reads}; {SENT}"
    elif model.name == A_SERVER or is_server(model.name):
        yield f"  {model.name}: can't be used"
    elif model.folder is None:
        yield f"  {model.name}: not on this machine"
    elif model.size is None:
        yield f"  {model.name}: in {model.folder}, not usable"
    else:
        yield f"  {model.name}: complete, {file_size(model.bytes_on_disk)} in {model.folder}"


def _plan(found: Diagnosis, plan: MemoryPlan) -> Iterator[str]:
    for sentence in plan.sentences:
        yield f"  {sentence}"
    pictures = plan.context_tokens // found.layout.tokens
    width, height = found.picture
    part = found.layout.part
    cut = f"is cut into {counted(found.layout.views, part)} and " if part else ""
    yield (
        f"  A {width} x {height} picture {cut}takes {counted(found.layout.tokens, 'token')}: "
        f"{pictures:,} of them fit."
    )
    kept = counted(plan.resident_conversations, "chat")
    stay = "stays" if plan.resident_conversations == 1 else "stay"
    yield f"  {kept} of 4,096 tokens {stay} ready in memory."
    yield "  With the context full:"
    for name, size in _parts(plan):
        yield f"    {file_size(size):>9}  {name}"
    if found.speed is not None:
        yield "  " + _estimate(found.speed)


def _estimate(speed: Speed) -> str:
    return (
        f"An estimate, from {speed.bytes_per_s / 1e9:.1f} GB/s of memory and "
        f"{speed.flop_per_s / 1e9:,.0f} GFLOP/s measured just now: at most "
        f"{speed.decode_tokens_per_s:,.1f} tokens/s of reply and "
        f"{speed.prefill_tokens_per_s:,.0f} tokens/s of reading; "
        f"{_seconds(speed.picture_s)} to look at a 640 x 480 picture."
    )


def _formats(formats: tuple[FormatEstimate, ...]) -> Iterator[str]:
    """Format a line for each format of weights that was measured on this processor."""
    picture = "a 640 x 480 picture"
    yield f"  {'weights':9} {'prompts':>13} {'memory':>10} {picture:>20} {'replies':>14}"
    for one in formats:
        prompts, memory = one.flop_per_s / 1e9, one.bytes_per_s / 1e9
        answered, replies = f"answered in {_seconds(one.picture_s)}", one.decode_tokens_per_s
        yield (
            f"  {one.name:9} {prompts:>5,.0f} GFLOP/s {memory:>5.1f} GB/s"
            f" {answered:>20} {replies:>5.1f} tokens/s"
        )


def _seconds(seconds: float) -> str:
    return "under 0.1 s" if seconds < 0.1 else f"{seconds:,.{0 if seconds >= 10 else 1}f} s"


def _parts(plan: MemoryPlan) -> Iterator[tuple[str, int]]:
    yield "weights", plan.weights_bytes
    per_token = file_size(plan.kv_bytes_per_token)
    keys = plan.context_tokens * plan.kv_bytes_per_token + plan.kv_fixed_bytes
    yield f"keys and values ({per_token} for each token)", keys
    yield (
        "what a full context takes beside them",
        plan.context_tokens * plan.working_bytes_per_token,
    )
    yield "activations of reading and looking, for a moment", plan.activation_bytes
    yield "features of earlier pictures", plan.feature_budget
    yield "libraries", plan.libraries
    yield "left free", plan.reserve


def table(plans: tuple[MemoryPlan, ...]) -> Iterator[str]:
    """Format one line for each pair of formats: bytes of weights, tokens of context."""
    yield f"  {'weights':9} {'KV':6} {'weights take':>13} {'context':>16}"
    for plan in plans:
        fits = counted(plan.context_tokens, "token") if plan.problem is None else "does not fit"
        held = plan.dtype if plan.weights == "float" else plan.weights
        yield f"  {held:9} {plan.kv:6} {file_size(plan.weights_bytes):>13} {fits:>16}"


def _workers(found: Diagnosis) -> Iterator[str]:
    if not found.workers:
        yield "  None is running; one starts with the first question."
    for worker in found.workers:
        held = f", {file_size(worker.resident_bytes)}" if worker.resident_bytes else ""
        users = counted(worker.clients, "terminal")
        plan = worker.plan
        context = f", {counted(plan['context_tokens'], 'token')} of context" if plan else ""
        yield f"  Process {worker.pid} ({worker.phase}): {worker.folder}{held}, {users}{context}"


def _files(found: Diagnosis) -> Iterator[str]:
    state = found.database
    if state.exists is None:
        yield f"  Database: {state.where} (not looked at)"
    elif not state.exists:
        yield f"  Database: {state.where}, not there yet; the first chat makes it"
    else:
        sessions = "" if state.sessions is None else f", {counted(state.sessions, 'chat')}"
        sessions += f" of {one_line(state.user)}" if state.user else ""
        yield f"  Database: {state.where}, {file_size(state.size or 0)}{sessions}"
    there = "" if os.path.exists(found.config_file) else " (not there: defaults)"
    yield f"  Configuration: {found.config_file}{there}"
    terminal = found.terminal
    shape = f"{terminal.columns} x {terminal.rows}" if terminal.is_terminal else "not a terminal"
    yield f"  Terminal: {shape}, colours: {terminal.colours}; {terminal.pictures}"
    yield "  Files: " + "; ".join(_formats_of_files())


def _formats_of_files() -> Iterator[str]:
    """Say which files of phones and cameras can be attached here, and what brings the others."""
    from assistant.pictures.decode import HEIF_PROGRAMS

    program = next(filter(shutil.which, HEIF_PROGRAMS), None)
    by = "pillow-heif" if find_spec("pillow_heif") else program
    yield f"HEIC by {by}" if by else "no HEIC (docs/install.md says what opens it)"
    yield "videos by ffmpeg" if shutil.which("ffmpeg") else "no videos (install ffmpeg)"


def _as_json(found: Diagnosis) -> dict[str, Any]:
    plan, model = found.plan, found.model
    fits = plan is not None and plan.problem is None
    return {
        "device": found.place.device,
        "why": found.why,
        "dtype": plan.dtype if plan is not None else None,
        "attention": found.attention,
        "memory": None if plan is None else _plan_json(plan),
        "picture": {
            "width": found.picture[0],
            "height": found.picture[1],
            "crops": found.layout.views,
            "tokens": found.layout.tokens,
            "fit": plan.context_tokens // found.layout.tokens if plan is not None and fits else 0,
        },
        "speed_estimate": _speed_json(found.speed),
        "model": model.name,
        "model_files": {
            "folder": None if model.folder is None else str(model.folder),
            "complete": model.size is not None,
            "bytes": model.bytes_on_disk,
        },
        "server": _server_json(model.server),
        "phi3_vision": [_plan_json(one) for one in found.official],
        "phi3_vision_speed_estimate": _speed_json(found.official_speed),
        "format_speeds": [asdict(one) for one in found.formats],
        "workers": [
            {**asdict(one), "spec": dict(one.spec), "plan": one.plan} for one in found.workers
        ],
        "machine": asdict(found.hardware),
        "torch": None if found.probe is None else dict(found.probe),
        "database": found.database.where,
        "database_state": asdict(found.database),
        "configuration": str(found.config_file),
        "terminal": asdict(found.terminal),
        "problems": [asdict(problem) for problem in found.problems],
    }


def _server_json(server: ServerModel | None) -> dict[str, Any] | None:
    if server is None:
        return None
    return {
        "address": server.address.base,
        "model": server.address.model,
        "context": server.context,
    }


def _plan_json(plan: MemoryPlan) -> dict[str, Any]:
    return {
        **asdict(plan),
        "resident_conversations": plan.resident_conversations,
        "total_bytes": plan.total_bytes,
    }


def _speed_json(speed: Speed | None) -> dict[str, Any] | None:
    return None if speed is None else asdict(speed)
