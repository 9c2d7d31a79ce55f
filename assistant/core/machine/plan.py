"""The memory plan: made before anything is allocated. Arithmetic only: no torch, no clock, no I/O.

What stays (weights, libraries, a reserve) and what comes and goes (activations of a prefill
chunk, of the vision tower, a picture's pixels) is taken from the memory that is
free; what is left is divided by what every token of context takes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from assistant.core.formats import AUTO_KV_KINDS, KV_KINDS, weight_kinds
from assistant.core.machine.hardware import Gpu, Hardware
from assistant.core.machine.sizes import (
    ModelSize,
    activation_bytes,
    kv_sizes,
    weights_bytes,
    working_bytes_per_token,
)
from assistant.pictures.decoding import MAX_PIXELS

MIB, GIB = 2**20, 2**30

MAX_CONTEXT = 131_072
"""The longest context of the family; none is planned beyond it."""

SMALLEST_CONTEXT = 1024
"""Fewer tokens hold no picture with a question and an answer: then a model does not fit."""

COMFORTABLE_CONTEXT = 8192
"""Weights are made smaller without being asked only where this many tokens would not fit."""

TYPICAL_CONVERSATION = 4096
"""Tokens of a conversation when resident ones are counted: two pictures and some talk."""

FEATURE_BUDGET = 256 * MIB
"""Bytes of features of pictures outside the prompt at most; 17 crops take 15 MB in bfloat16."""

LARGEST_PICTURE = 3 * 3 * MAX_PIXELS
"""Bytes of main memory for a moment: the largest picture as a frame, an image and a copy."""

CPU_LIBRARIES = 400 * MIB
"""torch and transformers imported (338 MiB measured on Linux with torch 2.13.0 for CPUs) and the
scratch memory of their matrix products (20 to 50 MiB seen)."""

CUDA_LIBRARIES = GIB
"""CUDA context, kernels, cuBLAS workspaces and what torch's allocator can't hand out again. An
assumption from what such processes usually take; not measured here."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model is to live, in bytes: ``libraries`` take their part, ``reserve`` stays free.

    ``device`` is torch's name ("cuda:0"), ``title`` a person's. ``host`` is main memory for
    conversations that leave an accelerator; 0 where there is one memory only. ``weights`` are
    the formats of matrices that can be used there.
    """

    device: str
    title: str
    total: int
    available: int
    libraries: int
    reserve: int
    weights: tuple[str, ...]
    host: int = 0

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda`` or ``mps``."""
        return self.device.partition(":")[0]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asked for; "auto" and None leave it to the plan."""

    dtype: str = "auto"
    weights: str = "auto"
    kv: str = "auto"
    context: int | None = None


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """In which formats a model is loaded and how much it then holds; all sizes in bytes.

    ``weights`` is "float" (the matrices are in ``dtype``), "int8" or "int4", and so is ``kv``.
    ``problem`` is one sentence where the model does not fit, and None where it does;
    ``sentences`` say in plain words what was chosen and why.
    """

    model: str
    device: str
    title: str
    available: int
    dtype: str
    weights: str
    weights_bytes: int
    kv: str
    kv_bytes_per_token: int
    kv_fixed_bytes: int
    working_bytes_per_token: int
    activation_bytes: int
    libraries: int
    reserve: int
    feature_budget: int
    context_tokens: int
    kv_budget: int
    host_budget: int
    sentences: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def resident_conversations(self) -> int:
        """Conversations of :data:`TYPICAL_CONVERSATION` tokens that stay resident."""
        one = self.kv_bytes_per_token * TYPICAL_CONVERSATION + self.kv_fixed_bytes
        return self.kv_budget // one

    @property
    def fixed_bytes(self) -> int:
        """Everything but the context and the reserve."""
        stays = self.weights_bytes + self.libraries + self.feature_budget
        return stays + self.activation_bytes + self.kv_fixed_bytes

    @property
    def bytes_per_token(self) -> int:
        """What one token of context takes in all."""
        return self.kv_bytes_per_token + self.working_bytes_per_token

    @property
    def total_bytes(self) -> int:
        """Everything, with the context full."""
        return self.fixed_bytes + self.context_tokens * self.bytes_per_token


def choose_place(hardware: Hardware, device: str = "auto") -> tuple[Place, str]:
    """The device for ``device`` here, as far as can be said without torch, and why.

    The CPU where the device that is asked for is not there.
    """
    torch = hardware.torch
    kind, _, number = device.partition(":")
    if kind in ("auto", "cuda") and torch is not None and torch.cuda:
        for gpu in hardware.gpus:
            if gpu.index == int(number or 0):
                return cuda_place(gpu, hardware), f"{gpu.name} is here and PyTorch can use it."
    if kind in ("auto", "mps") and torch is not None and torch.mps:
        return mps_place(hardware), "Apple's GPU shares the machine's memory."
    if device in ("auto", "cpu"):
        why = "it was asked for" if device == "cpu" else "there is no GPU that PyTorch can use"
        return cpu_place(hardware), f"The CPU is used: {why}."
    return cpu_place(hardware), f"The CPU is used: there is no {device} that PyTorch can use."


def cuda_place(gpu: Gpu, hardware: Hardware) -> Place:
    """One NVIDIA card; what a screen needs of it is taken already, so little stays free."""
    return Place(
        f"cuda:{gpu.index}",
        gpu.name,
        gpu.total,
        gpu.free,
        CUDA_LIBRARIES,
        reserve=gpu.total // 50,
        weights=weight_kinds("cuda") if hardware.torchao else ("float",),
        host=max(0, hardware.memory.available - 2 * _reserve(hardware.memory.total)) // 4,
    )


def mps_place(hardware: Hardware) -> Place:
    """Apple silicon: of the one memory, the GPU may wire two thirds (three quarters above 36 GB).

    That share is Metal's default recommendedMaxWorkingSetSize as widely reported; not measured.
    """
    memory = hardware.memory
    share = memory.total * 3 // 4 if memory.total > 36 * GIB else memory.total * 2 // 3
    available = min(share, memory.available)
    return _in_main_memory("mps", hardware, share, available)


def cpu_place(hardware: Hardware) -> Place:
    """Main memory."""
    return _in_main_memory("cpu", hardware, hardware.memory.total, hardware.memory.available)


def _in_main_memory(kind: str, hardware: Hardware, total: int, available: int) -> Place:
    reserve = _reserve(hardware.memory.total)
    name = hardware.cpu.name
    return Place(kind, name, total, available, CPU_LIBRARIES, reserve, weight_kinds(kind))


def _reserve(total: int) -> int:
    """Main memory that is left to everyone else: a tenth, 256 MiB at least, 2 GiB at most."""
    return min(2 * GIB, max(256 * MIB, total // 10))


def make_plan(model: ModelSize, place: Place, wanted: Wanted | None = None) -> MemoryPlan:
    """The plan for ``model`` at ``place``. Never raises: what does not fit has a ``problem``."""
    wanted = wanted or Wanted()
    limit = min(MAX_CONTEXT, model.geometry.context)
    target = min(limit, wanted.context or limit)
    dtype = _number_format(model, place, wanted.dtype)

    def best(weights: str) -> MemoryPlan:
        """Float KV where the wanted context fits, int8 where not."""
        kinds = AUTO_KV_KINDS if wanted.kv == "auto" else (wanted.kv,)
        plans = [_planned(model, place, dtype, weights, kv, target) for kv in kinds]
        return max(plans, key=lambda plan: plan.context_tokens)  # the first of equals

    plans = [
        best(one) for one in (place.weights if wanted.weights == "auto" else (wanted.weights,))
    ]
    enough = min(COMFORTABLE_CONTEXT, target)
    chosen = next(
        (plan for plan in plans if plan.context_tokens >= enough),
        max(plans, key=lambda plan: plan.context_tokens),
    )
    if chosen.weights not in place.weights:
        problem = (
            f"{chosen.weights} weights can't be used on {place.device}"
            f"{' without torchao (pip install torchao)' if place.kind == 'cuda' else ''}: "
            f"give --weights {' or '.join(('auto', *place.weights))}."
        )
        return replace(chosen, context_tokens=0, problem=problem)
    if chosen.context_tokens < min(SMALLEST_CONTEXT, target):
        problem = _does_not_fit(chosen, model, place, wanted)
        return replace(chosen, context_tokens=0, problem=problem)
    return replace(chosen, sentences=_explained(chosen, plans[0], model, place, wanted, target))


def _planned(
    model: ModelSize, place: Place, dtype: str, weights: str, kv: str, target: int
) -> MemoryPlan:
    """The plan for given formats; its context is as much of ``target`` as fits, 0 at least."""
    g = model.geometry
    activation = activation_bytes(model, dtype, weights, place.kind)
    if place.kind == "cpu":
        activation = max(activation, LARGEST_PICTURE)
    held = weights_bytes(model.shapes, dtype, weights, place.kind)
    per_kv, kv_fixed = kv_sizes(g, dtype, kv, place.kind)
    per_work = working_bytes_per_token(g, dtype, kv, place.kind)
    left = place.available - place.libraries - place.reserve - held - activation - kv_fixed
    features = max(0, min(FEATURE_BUDGET, left // 8))
    left = max(0, left - features)
    context = min(target, left // (per_kv + per_work))
    # One conversation at its longest always stays. Beyond that an accelerator's memory is for
    # this and nothing else; of main memory most of what is free is left to other programs.
    spare = left - context * per_work
    others = spare if place.kind == "cuda" else spare // 4
    return MemoryPlan(
        model=model.name,
        device=place.device,
        title=place.title,
        available=place.available,
        dtype=dtype,
        weights=weights,
        weights_bytes=held,
        kv=kv,
        kv_bytes_per_token=per_kv,
        kv_fixed_bytes=kv_fixed,
        working_bytes_per_token=per_work,
        activation_bytes=activation,
        libraries=place.libraries,
        reserve=place.reserve,
        feature_budget=features,
        context_tokens=context,
        kv_budget=max(context * per_kv, others) + kv_fixed,
        host_budget=place.host,
    )


def _number_format(model: ModelSize, place: Place, wanted: str) -> str:
    """ "auto" keeps the checkpoint's own format, except on a CPU with much memory.

    CPUs without bfloat16 units prefill five times faster in float32, so it is
    taken where the weights then fill at most half of the free memory.
    """
    if wanted != "auto":
        return wanted
    if place.kind == "cpu":
        wide = weights_bytes(model.shapes, "float32", "float", "cpu")
        if wide <= place.available // 2:
            return "float32"
    return model.dtype


# Words


def _explained(
    chosen: MemoryPlan,
    first: MemoryPlan,
    model: ModelSize,
    place: Place,
    wanted: Wanted,
    target: int,
) -> tuple[str, ...]:
    said = []
    if wanted.weights == "auto" and chosen.weights != "float":
        said.append(
            f"With weights in {first.dtype} ({gigabytes(first.weights_bytes)}) "
            f"{tokens(first.context_tokens) if first.context_tokens else 'nothing'} of context "
            f"would fit here, so {chosen.weights} weights were chosen "
            f"({gigabytes(chosen.weights_bytes)})."
        )
    else:
        kind = chosen.dtype if chosen.weights == "float" else chosen.weights
        said.append(f"The weights are held in {kind}: {gigabytes(chosen.weights_bytes)}.")
    said.append(_kv_sentence(chosen, model, place, wanted, target))
    if chosen.context_tokens == target:
        whose = "the model's" if target == model.geometry.context else "asked for"
        said.append(f"The context is {tokens(target)}, all that is {whose}.")
    else:
        said.append(
            f"The context is {tokens(chosen.context_tokens)}: what {gigabytes(place.available)} "
            f"of free memory hold beside the weights, not the {target:,} wanted."
        )
    return tuple(said)


def _kv_sentence(
    chosen: MemoryPlan, model: ModelSize, place: Place, wanted: Wanted, target: int
) -> str:
    if wanted.kv != "auto":
        return f"{chosen.kv} KV was asked for."
    if chosen.kv == "float":
        return f"Float KV was chosen: {tokens(target)} of it fit here."
    other = _planned(model, place, chosen.dtype, chosen.weights, "float", target)
    words = (
        f"Float KV holds {tokens(other.context_tokens)} here; int8 KV was chosen, which holds "
        f"{chosen.context_tokens:,}."
    )
    smallest = _planned(model, place, chosen.dtype, chosen.weights, KV_KINDS[-1], target)
    if smallest.context_tokens > chosen.context_tokens:
        words += f" --kv {smallest.kv} would hold {smallest.context_tokens:,}, less exactly."
    return words


def _does_not_fit(chosen: MemoryPlan, model: ModelSize, place: Place, wanted: Wanted) -> str:
    """One sentence with what would help."""
    needed = chosen.fixed_bytes + chosen.reserve
    helps: list[str] = []
    target = min(wanted.context or COMFORTABLE_CONTEXT, model.geometry.context)
    for weights, kv in product(place.weights, KV_KINDS):
        plan = _planned(model, place, chosen.dtype, weights, kv, target)
        if plan.context_tokens >= SMALLEST_CONTEXT:
            fits = tokens(plan.context_tokens)
            helps.append(f"give --weights {weights} --kv {kv}, which holds {fits}")
            break
    else:
        helps.append(f"free {gigabytes(max(0, needed - place.available))} of memory")
    helps.append("or use --model demo")
    return (
        f"{model.name} does not fit on {place.title}: it takes {gigabytes(needed)} before the "
        f"first token of context, and {gigabytes(place.available)} are free; {', '.join(helps)}."
    )


def gigabytes(size: int) -> str:
    """A size as people read it, in units of 1000."""
    for unit, words in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return (
                f"{size / unit:.1f} {words}" if size < 100 * unit else f"{size / unit:.0f} {words}"
            )
    return f"{size / 1e3:.0f} kB"


def tokens(count: int) -> str:
    """A number of tokens as people read it."""
    return f"{count:,} token{'' if count == 1 else 's'}"
