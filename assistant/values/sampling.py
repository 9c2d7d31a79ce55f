"""Sampling parameters of a reply, in one table that all other layers read.

Settings, options, the settings page, a session's own values, the export document and the request
to a server read the fields of :class:`Sampling`. To add a parameter, add a field here and its
computation in :mod:`assistant.core.sampling`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from assistant.values.setting import Setting, setting, table_of

MAX_CONTEXT = 131_072
"""Tokens. The context of Phi-3-vision-128k, the longest that is offered."""

Thinking = Literal["off", "on", "low", "medium", "high"]
Value = float | int | str | tuple[str, ...]
_parameter = partial(setting, group="Replies")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Choice of the next token, and the end of the reply; ``temperature`` 0 is greedy.

    ``min_p`` drops tokens less likely than that share of the likeliest one; ``repetition_penalty``
    divides the logits of ids in the prompt or the reply (Keskar et al. 2019), 1 leaves them.
    ``stop`` are texts that end the reply, found by the engine because the core knows ids only.
    ``schema`` is the JSON Schema that the reply obeys, as :mod:`assistant.values.schema` writes it.
    Both have no group: sessions and options set them, the settings do not.
    """

    temperature: float = _parameter(
        0.0, "0 always takes the likeliest token; more is more varied.", highest=10,
        option="0 always takes the likeliest token.", metavar="T", request="temperature",
    )  # fmt: skip
    top_p: float = _parameter(
        1.0, "Only the likeliest tokens that reach this probability together.",
        highest=1, is_above=True,
        option="Only the likeliest tokens that reach P together.", metavar="P",
        request="top_p", only_if_set=True,
    )  # fmt: skip
    top_k: int = _parameter(
        0, "Only so many of the likeliest tokens; 0: all.", highest=1_000_000,
        option="Only the K likeliest tokens; 0: all.", metavar="K",
        request="top_k", only_if_set=True,
    )  # fmt: skip
    min_p: float = _parameter(
        0.0, "Only tokens at least this likely, as a share of the likeliest.", highest=1,
        option="Only tokens at least P times as likely as the likeliest.", metavar="P",
        request="min_p", only_if_set=True,
    )  # fmt: skip
    repetition_penalty: float = _parameter(
        1.0, "Above 1, words that were said become less likely.", highest=10, is_above=True,
        option="Above 1, words that were said become less likely.", metavar="R",
        request="repetition_penalty", only_if_set=True,
    )  # fmt: skip
    seed: int | None = _parameter(
        None, "Makes sampling repeatable; none: different every time.", highest=2**63 - 1,
        option="Makes sampling repeatable.", metavar="N", request="seed", only_if_set=True,
    )  # fmt: skip
    max_new_tokens: int = _parameter(
        1024, "The longest reply, in tokens.", lowest=1, highest=MAX_CONTEXT,
        option="Longest answer, in tokens.", metavar="N",
        request="max_tokens", instead="max_completion_tokens",
    )  # fmt: skip
    thinking: Thinking = _parameter(  # noqa: RUF009 (a field)
        "off", "Whether a server's model that can think does, and how long.",
        option="Whether a server's model that can think does so.",
    )  # fmt: skip
    stop: tuple[str, ...] = setting(
        (), option="End the answer before this text; may be repeated.", metavar="TEXT",
        request="stop", only_if_set=True,
    )  # fmt: skip
    schema: str = setting(
        "", option="Answer in JSON that obeys this: a file of JSON Schema, or fields like "
        "'shop, total float, items[]: name, price float'.", metavar="SCHEMA",
        request="response_format", only_if_set=True,
    )  # fmt: skip


PARAMETERS: Mapping[str, Setting] = table_of(Sampling)

LATER = frozenset({"thinking", "schema"})
"""Parameters that the first exports lack; they are written only where they have a value."""


@dataclass(frozen=True, slots=True, init=False)
class Parameters:
    """The sampling parameters that a session sets itself; the settings give the others.

    Made from names of :class:`Sampling`; None is a value that the session
    does not set. Raises TypeError for another name.
    """

    _values: tuple[tuple[str, Value], ...]

    def __init__(self, **values: Value | None) -> None:
        if unknown := values.keys() - PARAMETERS.keys():
            raise TypeError(f"no sampling parameter is called {', '.join(sorted(unknown))}")
        given = ((name, values.get(name)) for name in PARAMETERS)
        own = tuple((name, value) for name, value in given if value is not None)
        object.__setattr__(self, "_values", own)

    @classmethod
    def of(cls, sampling: Sampling) -> Parameters:
        """Every value that a reply is generated with."""
        return cls(**{name: getattr(sampling, name) for name in PARAMETERS})

    def values(self) -> dict[str, Any]:
        """Return the session's own values by name."""
        return dict(self._values)

    def table(self) -> dict[str, Any]:
        """Return every parameter by name, None where the session has no value of its own.

        One that the first version lacked is there where it has a value.
        """
        own = self.values()
        return {name: own.get(name) for name in PARAMETERS if name in own or name not in LATER}

    def get(self, name: str) -> Any:
        return self.values().get(name)

    def changed(self, **values: Value | None) -> Parameters:
        """Copy with other values; None unsets one."""
        return Parameters(**{**self.values(), **values})

    def over(self, sampling: Sampling) -> Sampling:
        """Copy ``sampling`` with the session's own values in place of its."""
        return replace(sampling, **self.values())
