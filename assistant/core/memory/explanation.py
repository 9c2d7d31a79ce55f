"""A memory plan in plain words: the choice and its reasons, or a remedy where nothing fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from assistant.core.memory.values import MemoryPlan, Wanted
from assistant.values.words import counted, file_size


def explained(
    chosen: MemoryPlan,
    first: MemoryPlan,
    by_kv: Mapping[str, MemoryPlan],
    wanted: Wanted,
    target: int,
) -> tuple[str, ...]:
    """Explain the choice for ``target`` tokens, a sentence each.

    ``first`` has the weights as they are, ``by_kv`` those of ``chosen`` with each kind of KV.
    """
    said = []
    if wanted.weights == "auto" and chosen.weights != "float":
        fits = counted(first.context_tokens, "token") if first.context_tokens else "nothing"
        said.append(
            f"With weights in {first.dtype} ({file_size(first.weights_bytes)}) {fits} of context "
            f"would fit here, so {chosen.weights} weights were chosen "
            f"({file_size(chosen.weights_bytes)})."
        )
    else:
        kind = chosen.dtype if chosen.weights == "float" else chosen.weights
        said.append(f"The weights are held in {kind}: {file_size(chosen.weights_bytes)}.")
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
