"""A memory plan in plain words: the choice and its reasons, or a remedy where nothing fits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from assistant.core.memory.places import Place
from assistant.core.memory.speeds import SLOW_PROMPT
from assistant.core.memory.values import MemoryPlan, Wanted
from assistant.values.words import counted, file_size


def explained(
    chosen: MemoryPlan,
    plans: Sequence[MemoryPlan],
    by_kv: Mapping[str, MemoryPlan],
    wanted: Wanted,
    target: int,
) -> tuple[str, ...]:
    """Explain the choice for ``target`` tokens, a sentence each.

    ``plans`` are those that were chosen from, the first with the weights as they are; ``by_kv``
    have those of ``chosen`` with each kind of KV.
    """
    said, first = [], plans[0]
    if wanted.weights == "auto" and chosen.weights != "float":
        fits = counted(first.context_tokens, "token") if first.context_tokens else "nothing"
        said.append(
            f"With weights in {first.dtype} ({file_size(first.weights_bytes)}) {fits} of context "
            f"would fit here, so {chosen.weights} weights were chosen "
            f"({file_size(chosen.weights_bytes)})."
        )
    else:
        said.append(f"The weights are held in {chosen.held}: {file_size(chosen.weights_bytes)}.")
    said.append(_kv_sentence(chosen, by_kv, wanted, target))
    if chosen.context_tokens == target:
        whose = "asked for" if wanted.context == target else "the model's"
        said.append(f"The context is {counted(target, 'token')}, all that is {whose}.")
    else:
        said.append(
            f"The context is {counted(chosen.context_tokens, 'token')}: what "
            f"{file_size(chosen.available)} of free memory hold beside the weights, not the "
            f"{target:,} wanted."
        )
    return tuple(said)


def speed_sentences(chosen: MemoryPlan, plans: Sequence[MemoryPlan], place: Place) -> Iterator[str]:
    """Say where a format is slow on this processor: chosen all the same, or left out."""
    slow = {
        plan.held: cost
        for plan in plans
        if (cost := place.prompt_costs.get(plan.held, 1)) > SLOW_PROMPT
    }
    for held, cost in slow.items():
        times = f"{cost:.1f} times as long as with float32, as measured on this processor"
        if held != chosen.held:
            yield f"{held} weights were not considered: prompts take {times}."
        elif len(plans) > len(slow):
            yield f"Nothing quicker fits: prompts take {times}."
        else:
            yield f"With {held} weights prompts take {times}."


def _kv_sentence(
    chosen: MemoryPlan, by_kv: Mapping[str, MemoryPlan], wanted: Wanted, target: int
) -> str:
    if wanted.kv != "auto":
        return f"{chosen.kv} KV was asked for."
    if chosen.kv == "float":
        return f"Float KV was chosen: {counted(target, 'token')} of it fit here."
    words = (
        f"Float KV holds {counted(by_kv['float'].context_tokens, 'token')} here; int8 KV was "
        f"chosen, which holds {chosen.context_tokens:,}."
    )
    smallest = by_kv["int4"]
    if smallest.context_tokens > chosen.context_tokens:
        words += f" --kv {smallest.kv} would hold {smallest.context_tokens:,}, less exactly."
    return words


def does_not_fit(chosen: MemoryPlan, others: Iterable[MemoryPlan], smallest: int) -> str:
    """Name the remedy in a sentence: the first of ``others`` that holds ``smallest`` tokens."""
    needed = chosen.fixed_bytes + chosen.reserve
    other = next((plan for plan in others if plan.context_tokens >= smallest), None)
    if other is not None:
        fits = counted(other.context_tokens, "token")
        helps = f"give --weights {other.weights} --kv {other.kv}, which holds {fits}"
    else:
        missing = needed + smallest * chosen.bytes_per_token - chosen.available
        helps = f"free {file_size(missing)} of memory"
    return (
        f"{chosen.model} does not fit on {chosen.title}: it takes {file_size(needed)} before the "
        f"first token of context, and {file_size(chosen.available)} are free; {helps}, "
        "or use --model demo."
    )
