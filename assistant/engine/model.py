"""The chosen model, and the settings in force."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from assistant.settings.schema import Settings
from assistant.values.errors import ModelError
from assistant.values.events import ModelStatus
from assistant.values.model import Core, ModelFacts
from assistant.values.sampling import Parameters, Sampling, Thinking
from assistant.values.text import one_line
from assistant.window.layout import Layout

if TYPE_CHECKING:
    from assistant.core.memory.speed_estimate import Speed
    from assistant.models.catalogue import FoundModel
    from assistant.models.progress import OnProgress


class Model:
    """The chosen model's core and layout. :meth:`restart` replaces both.

    ``make_core`` makes a core for other settings; without it there is no restart.
    """

    settings: Settings
    """The settings in force. Others may be assigned: they hold from the next message on, except
    those that need another core, which wait for :meth:`restart`."""

    def __init__(
        self,
        settings: Settings,
        core: Core,
        make_core: Callable[[Settings], Core] | None = None,
    ) -> None:
        self.settings = settings
        self.core = core
        self._make_core = make_core
        self._layout: tuple[Core, Layout] | None = None
        self._measured: Mapping[str, Any] | None = None
        """Speeds of this machine, once they were measured."""

    @property
    def layout(self) -> Layout:
        """The layout of prompts for the present core. Raises ModelError without a model."""
        core = self.core
        if self._layout is None or self._layout[0] is not core:
            self._layout = core, _layout(core)
        return self._layout[1]

    def facts(self) -> ModelFacts:
        """Return the model's facts. Raises ModelError when there is no such model."""
        return self.core.facts()

    def status(self) -> ModelStatus:
        """Return the model's state; never blocks."""
        return self.core.status()

    def preload(self) -> None:
        """Start loading the model in the background; returns at once."""
        self.core.preload()

    def sampling(self, parameters: Parameters) -> Sampling:
        """Merge a session's own values over the settings' over the defaults."""
        settings = self.settings
        by_name = settings.thinking_models
        thinking = by_name.get(settings.model) or by_name.get(settings.model.partition("#")[2])
        chosen = settings.sampling
        if thinking is not None:
            chosen = replace(chosen, thinking=cast("Thinking", thinking))
        return parameters.over(chosen)

    def check(self, sampling: Sampling) -> None:
        """Raise SchemaError for a schema that can't be obeyed here; a server judges by itself."""
        if sampling.schema and not self.status().is_server:
            from assistant.families.grammar import check_schema  # only who has one imports it

            check_schema(sampling.schema)

    def use(self, name: str) -> None:
        """Answer with another model: :meth:`restart` with nothing else changed.

        Raises ModelError for a model that is not on this machine; nothing changes then.
        """
        self.restart(self.settings.changed(model=name))

    def other(self, name: str) -> tuple[Core, Layout]:
        """Make the core and layout of another model, beside the present one.

        The caller closes the core. Raises ModelError for a model that can't be used.
        """
        assert self._make_core is not None, "this engine was given one core and no way to another"
        folder = Path(name).expanduser()
        is_folder = name != "demo" and os.path.isdir(folder)
        other = str(folder.resolve()) if is_folder else name
        core = self._make_core(self.settings.changed(model=other))
        return core, _layout(core)

    def stay_with(self, name: str) -> None:
        """Answer with the model of a chat that goes on; nothing is loaded yet.

        Raises ModelError, which says how to go on, where that model can't answer.
        """
        try:
            self._replace(self.settings.changed(model=name))
        except ModelError as error:
            raise ModelError(
                f"This chat is with {one_line(name, 120)}, which can't answer: {error} "
                "To go on with another model, name it with --model."
            ) from error

    def begin_with(self, name: str) -> None:
        """Answer with this model, which is not asked for yet: its status says whether it can."""
        assert self._make_core is not None, "this engine was given one core and no way to another"
        settings = self.settings.changed(model=name)
        self._take(self._make_core(settings), settings)

    def restart(self, settings: Settings) -> None:
        """Replace the core by a new one for ``settings``, which starts to load.

        A running reply ends half-way. Raises ModelError for a model that is not on this machine;
        nothing changes then.
        """
        self._replace(settings)
        self.core.preload()

    def _replace(self, settings: Settings) -> None:
        assert self._make_core is not None, "this engine was given one core and no way to another"
        core = self._make_core(settings)
        core.facts()  # raises for a model that can't be used
        self._take(core, settings)

    def _take(self, core: Core, settings: Settings) -> None:
        old, self.core, self.settings = self.core, core, settings
        old.stop()
        old.kill_hung()
        old.close()

    def available(self, mentioned: Sequence[str]) -> list[FoundModel]:
        """List the models on this machine and those ``mentioned``, with the memory each takes.

        Reads the hardware and the disk, which takes a moment; never asks the network.
        """
        from assistant.core.memory.detect import detect_hardware
        from assistant.core.memory.places import choose_place
        from assistant.models.catalogue import find_models

        place, _ = choose_place(detect_hardware(), self.settings.device)
        return find_models(self.settings, place, mentioned)

    def speeds(self, models: Iterable[FoundModel]) -> dict[str, Speed]:
        """Estimate the speed of models that fit here, by their names, as ``doctor`` does.

        A machine that was never measured is, in a process of its own, which takes seconds.
        """
        from assistant.core.memory.speed_estimate import estimate, measured_once

        if self._measured is None:
            try:
                self._measured = measured_once(self.settings.device)
            except ModelError:  # doctor says why
                self._measured = {}
        if not self._measured:
            return {}
        found = {
            one.name: estimate(one.size, one.plan, self._measured, one.layout.views)
            for one in models
            if one.layout is not None
        }
        return {name: speed for name, speed in found.items() if speed is not None}

    def at_server(self, address: str) -> list[str]:
        """Ask a server for its models; returns each as a name for :meth:`use`.

        A model that the address names must be among them. Raises ModelError.
        """
        from assistant.servers.address import parse
        from assistant.servers.catalogue import chosen, models

        where = parse(address)
        found = [chosen(where)] if where.model is not None else models(where)
        return [one.address.name for one in found]

    def servers_here(self) -> list[tuple[str, bool]]:
        """Find servers on this machine; returns models by name, and whether each sees pictures.

        A server that wants a key is there by its address, without a model.
        """
        from assistant.servers.nearby import find

        return [(one.address.name, one.sees) for one in find()]

    def pull(self, model_id: str, on_progress: OnProgress, cancelled: Callable[[], bool]) -> None:
        """Download a model, or its missing files; see :func:`assistant.models.pull.pull`."""
        from assistant.models.pull import pull  # the hub's library takes 0.3 s to import

        pull(model_id, on_progress=on_progress, cancelled=cancelled)


def _layout(core: Core) -> Layout:
    return Layout(core.facts(), lambda: core.facts().context, lambda: core.facts().most_pictures)
