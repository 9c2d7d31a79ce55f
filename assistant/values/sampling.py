"""Sampling parameters of one reply: the table that every other place is made from.

Settings, options of commands, the settings page, a session's own values, the exported document and
the request to a server read the fields of :class:`Sampling` and what stands beside them. To add a
parameter, add a field here and its computation in :mod:`assistant.core.sampling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args, get_type_hints

from assistant.values.formats import MAX_CONTEXT

Value = float | int | str | tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """What is known of a sampling parameter besides its type and default.

    ``lowest`` to ``highest`` are its limits; with ``is_above`` the lowest itself is refused.
    ``metavar`` and ``help`` are of its option. ``request`` is its name in a request to an
    OpenAI-compatible server. With ``only_if_set`` it is left out of the request at its default:
    None is no value, and OpenAI refuses names of its own dialects (vLLM, SGLang, llama.cpp).
    A parameter without limits is no setting: sessions and options set it.
    """

    help: str
    metavar: str
    request: str
    meaning: str = ""
    lowest: int = 0
    highest: int | None = None
    is_above: bool = False
    only_if_set: bool = False


def _parameter(default: Any, **about: Any) -> Any:
    return field(default=default, metadata={"parameter": Parameter(**about)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is chosen, and when the reply ends; ``temperature`` 0 is greedy.

    ``min_p`` drops tokens less likely than that share of the likeliest one;
    ``repetition_penalty`` divides the logits of ids that stand in the prompt or
    the reply (Keskar et al. 2019), 1 leaves them; ``stop`` are texts that end
    the reply, found by the engine, which knows text (the core knows ids only).
    """

    temperature: float = _parameter(
        0.0,
        meaning="0 always takes the likeliest token; more is more varied.",
        help="0 always takes the likeliest token.",
        metavar="T",
        request="temperature",
        highest=10,
    )
    top_p: float = _parameter(
        1.0,
        meaning="Only the likeliest tokens that reach this probability together.",
        help="Only the likeliest tokens that reach P together.",
        metavar="P",
        request="top_p",
        highest=1,
        is_above=True,
    )
    top_k: int = _parameter(
        0,
        meaning="Only so many of the likeliest tokens; 0: all.",
        help="Only the K likeliest tokens; 0: all.",
        metavar="K",
        request="top_k",
        highest=1_000_000,
        only_if_set=True,
    )
    min_p: float = _parameter(
        0.0,
        meaning="Only tokens at least this likely, as a share of the likeliest.",
        help="Only tokens at least P times as likely as the likeliest.",
        metavar="P",
        request="min_p",
        highest=1,
        only_if_set=True,
    )
    repetition_penalty: float = _parameter(
        1.0,
        meaning="Above 1, words that were said become less likely.",
        help="Above 1, words that were said become less likely.",
        metavar="R",
        request="repetition_penalty",
        highest=10,
        is_above=True,
        only_if_set=True,
    )
    seed: int | None = _parameter(
        None,
        meaning="Makes sampling repeatable; none: different every time.",
        help="Makes sampling repeatable.",
        metavar="N",
        request="seed",
        highest=2**63 - 1,
        only_if_set=True,
    )
    max_new_tokens: int = _parameter(
        1024,
        meaning="The longest reply, in tokens.",
        help="Longest answer, in tokens.",
        metavar="N",
        request="max_tokens",
        lowest=1,
        highest=MAX_CONTEXT,
    )
    stop: tuple[str, ...] = _parameter(
        (),
        help="End the answer before this text; may be repeated.",
        metavar="TEXT",
        request="stop",
        only_if_set=True,
    )


def parameters_of(kind: type[Sampling]) -> dict[str, Parameter]:
    """Every sampling parameter by its name, in the order in which users see them."""
    return {one.name: one.metadata["parameter"] for one in fields(kind)}


PARAMETERS: Mapping[str, Parameter] = parameters_of(Sampling)


def default(name: str) -> Any:
    """The value of a parameter that nobody sets."""
    return next(one.default for one in fields(Sampling) if one.name == name)


def type_of(name: str) -> Any:
    """The type of a parameter's values."""
    return get_type_hints(Sampling)[name]


def number_type(name: str) -> type[int] | type[float] | None:
    """Which numbers a parameter takes; None for one that is no number."""
    kind = type_of(name)
    kinds = get_args(kind) or (kind,)
    return float if float in kinds else int if int in kinds else None


class Parameters:
    """The sampling parameters that a session sets itself; the settings give the others.

    Immutable and hashable. Made from names of :class:`Sampling`; None is a value that the session
    does not set. Raises TypeError for another name.
    """

    __slots__ = ("_values",)

    def __init__(self, **values: Value | None) -> None:
        if unknown := values.keys() - PARAMETERS.keys():
            raise TypeError(f"no sampling parameter is called {', '.join(sorted(unknown))}")
        self._values = tuple(
            (name, values[name]) for name in PARAMETERS if values.get(name) is not None
        )

    def values(self) -> dict[str, Any]:
        """What the session sets, by name."""
        return dict(self._values)

    def table(self) -> dict[str, Any]:
        """Every parameter by name, None where the session sets none."""
        return {name: self.get(name) for name in PARAMETERS}

    def get(self, name: str) -> Any:
        """The session's own value, or None."""
        return self.values().get(name)

    def changed(self, **values: Value | None) -> Parameters:
        """The same with other values; None unsets one."""
        return Parameters(**{**self.values(), **values})

    def over(self, sampling: Sampling) -> Sampling:
        """``sampling`` with the session's own values in place of its."""
        return replace(sampling, **self.values())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parameters) and self._values == other._values

    def __hash__(self) -> int:
        return hash(self._values)

    def __repr__(self) -> str:
        return f"Parameters({', '.join(f'{name}={value!r}' for name, value in self._values)})"
