"""A pytest plugin: one sampling parameter and one setting more than phichat has.

Loaded before any other module of ours, because every layer reads the tables when it is imported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from assistant.values import sampling
from assistant.values.setting import setting, table_of


@dataclass(frozen=True, slots=True, kw_only=True)
class MoreSampling(sampling.Sampling):
    typical_p: float = setting(
        1.0, "Only typical tokens.", group="Replies", highest=1, is_above=True,
        option="Only tokens that are typical.", metavar="P",
        request="typical_mass", only_if_set=True,
    )  # fmt: skip


sampling.Sampling = MoreSampling  # type: ignore[misc]
sampling.PARAMETERS = table_of(MoreSampling)

from assistant.settings import schema  # noqa: E402


@dataclass(frozen=True, kw_only=True)
class MoreSettings(schema.Settings):
    paper: Literal["plain", "ruled"] = setting(
        "plain", "The paper of the chat.", group="App", option="What is written upon."
    )


schema.Settings = MoreSettings  # type: ignore[misc]
schema.SETTABLE = schema.settable(MoreSettings)
