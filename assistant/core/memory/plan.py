"""The memory plan, made before anything is allocated. Arithmetic only: no torch, no clock, no I/O.

What stays (weights, libraries, a reserve) and what comes and goes (activations of a prefill
chunk, of the vision tower, a picture's pixels) is taken from the memory that is
free; what is left is divided by what every token of context takes.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from assistant.core.formats import AUTO_KV_KINDS, ITEM_BYTES, KV_KINDS, compute_dtype, weight_kinds
from assistant.core.memory.explanation import does_not_fit, explained, speed_sentences
from assistant.core.memory.places import MIB, Place
from assistant.core.memory.sizes import (
    activation_bytes,
    kv_sizes,
    weights_bytes,
    working_bytes_per_token,
)
from assistant.core.memory.speeds import SLOW_PROMPT, measured_tower
from assistant.core.memory.values import MemoryPlan, Wanted
from assistant.families.sizes import ModelSize
from assistant.pictures.decode import MAX_PIXELS
from assistant.values.words import pip_install

MAX_CONTEXT = 131_072
"""The longest context of the family; none is planned beyond it."""

SMALLEST_CONTEXT = 1024
"""Fewer tokens hold no picture with a question and an answer: then a model does not fit."""

COMFORTABLE_CONTEXT = 8192
"""Weights are made smaller without being asked only where this many tokens would not fit."""

SMALL_MODEL = 256 * MIB
"""Bytes of weights in float32 up to which a model is small: what runs to show that it runs."""

FEATURE_BUDGET = 256 * MIB
"""Bytes of features of pictures outside the prompt at most; 17 crops take 15 MB in bfloat16."""

LARGEST_PICTURE = 3 * 3 * MAX_PIXELS
"""Bytes of main memory for a moment: the largest picture as a frame, an image and a copy."""

KEPT_CONVERSATIONS = 4
"""Conversations at their longest whose KV stays in main memory, 200 MB of the demo model's, and
features of pictures. Without this limit its worker grew by 830 MB in 20 minutes of new chats."""


def make_plan(model: ModelSize, place: Place, wanted: Wanted | None = None) -> MemoryPlan:
    """Plan ``model`` at ``place``. Never raises: a model that does not fit has a ``problem``."""
    wanted = wanted or Wanted()
    limit = min(MAX_CONTEXT, model.context)
    target = min(limit, wanted.context or limit)

    def best(dtype: str, weights: str) -> MemoryPlan:
        """Float KV where the wanted context fits, int8 where not."""
        kinds = AUTO_KV_KINDS if wanted.kv == "auto" else (wanted.kv,)
        plans = [_planned(model, place, dtype, weights, kv, target) for kv in kinds]
        return max(plans, key=lambda plan: plan.context_tokens)  # the first of equals

    plans = [best(*formats) for formats in _formats(model, place, wanted)]
    chosen = _chosen(plans, place, target)
    dtype = chosen.dtype
    if chosen.weights not in place.weights:
        is_missing = place.kind == "cuda" and chosen.weights in weight_kinds("cuda")
        torchao = f" without torchao ({pip_install('torchao')})" if is_missing else ""
        problem = (
            f"{chosen.weights} weights can't be used on {place.device}{torchao}: "
            f"give --weights {' or '.join(('auto', *place.weights))}."
        )
        return replace(chosen, context_tokens=0, problem=problem)
    if chosen.context_tokens < min(SMALLEST_CONTEXT, target):
        fewer = min(wanted.context or COMFORTABLE_CONTEXT, model.context)
        others = (
            _planned(model, place, dtype, weights, kv, fewer)
            for weights, kv in product(place.weights, KV_KINDS)
        )
        problem = does_not_fit(chosen, others, min(SMALLEST_CONTEXT, target))
        return replace(chosen, context_tokens=0, problem=problem)
    by_kv = {kv: _planned(model, place, dtype, chosen.weights, kv, target) for kv in KV_KINDS}
    sentences = explained(chosen, plans, by_kv, wanted, target)
    return replace(chosen, sentences=(*sentences, *speed_sentences(chosen, plans, place)))


def _formats(model: ModelSize, place: Place, wanted: Wanted) -> list[tuple[str, str]]:
    """List the pairs of number format and weights to choose from, the most exact first.

    float32 where 16 bits would be slow; a model's own format comes first otherwise.
    """
    dtype = _number_format(model, place, wanted.dtype)
    kinds = place.weights if wanted.weights == "auto" else (wanted.weights,)
    formats = [(dtype, kind) for kind in kinds]
    if wanted.dtype == wanted.weights == "auto" and place.prompt_costs.get(dtype, 1) > SLOW_PROMPT:
        formats.insert(0, ("float32", "float"))
    return formats


def _chosen(plans: list[MemoryPlan], place: Place, target: int) -> MemoryPlan:
    """Choose the first plan that holds enough, a slow one only where no quick one fits."""
    quick = [plan for plan in plans if place.prompt_costs.get(plan.held, 1) <= SLOW_PROMPT]
    fits = min(SMALLEST_CONTEXT, target)
    if any(plan.context_tokens >= fits for plan in quick):
        plans = quick
    enough = min(COMFORTABLE_CONTEXT, target)
    return next(
        (plan for plan in plans if plan.context_tokens >= enough),
        max(plans, key=lambda plan: plan.context_tokens),
    )


def _planned(
    model: ModelSize, place: Place, dtype: str, weights: str, kv: str, target: int
) -> MemoryPlan:
    """Plan given formats; the context is as much of ``target`` as fits, 0 at least."""
    g = model.decoder
    activation = activation_bytes(model, dtype, weights, place.kind)
    if place.kind == "cpu":
        activation = max(activation, LARGEST_PICTURE)
    gains = place.tower_gains
    tower = measured_tower(gains, dtype, weights)[0] if gains else None
    held = weights_bytes(model, dtype, weights, place.kind, tower)
    per_kv, kv_fixed = kv_sizes(g, dtype, kv, place.kind)
    per_work = working_bytes_per_token(g, dtype, kv, place.kind)
    left = place.available - place.libraries - place.reserve - held - activation - kv_fixed
    # pictures alone can fill a conversation: a small model's take less than the limit
    pictures = KEPT_CONVERSATIONS * target * g.hidden * ITEM_BYTES[compute_dtype(dtype, place.kind)]
    features = max(0, min(FEATURE_BUDGET, left // 8, pictures))
    left = max(0, left - features)
    context = min(target, left // (per_kv + per_work))
    # One conversation at its longest always stays. Beyond that an accelerator's memory is for
    # this and nothing else; of main memory most of what is free is left to other programs, and a
    # small model does not fill its part with chats that were left long ago.
    spare = left - context * per_work
    kept = min(spare // 4, KEPT_CONVERSATIONS * context * per_kv)
    others = spare if place.kind == "cuda" else kept
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
        tower=tower,
    )


def _number_format(model: ModelSize, place: Place, wanted: str) -> str:
    """Resolve "auto": keep the checkpoint's own format, except for a small model on a CPU.

    In 16 bits a token is read in half the time there, and computed in float32 all the same: the
    kernels of :mod:`assistant.core.cpu.kernels` widen what they have read. What is small is left
    to torch, which is quicker in float32.
    """
    if wanted != "auto":
        return wanted
    if place.kind == "cpu" and is_small(model):
        return "float32"
    return model.dtype


def is_small(model: ModelSize) -> bool:
    """Whether the weights in float32 take no more than :data:`SMALL_MODEL`."""
    return weights_bytes(model, "float32", "float", "cpu") <= SMALL_MODEL
