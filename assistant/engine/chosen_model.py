"""The part of the engine's door that knows which model answers, and with which settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from assistant.engine.archive import Archive
from assistant.engine.replies import Answering
from assistant.settings import Settings
from assistant.values.events import ModelStatus
from assistant.values.model import Core, ModelFacts
from assistant.window.layout import Layout

if TYPE_CHECKING:
    from assistant.models.catalogue import FoundModel
    from assistant.models.progress import OnProgress
    from storage import Store


class ChosenModel(Archive):
    """The core that answers now, what is made for it alone, and the way to another.

    What is stored, and how a person marks it, is :class:`assistant.engine.archive.Archive`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store | Callable[[], Store],
        core: Core,
        make_core: Callable[[Settings], Core] | None = None,
    ) -> None:
        """``make_core`` is how :meth:`restart` gets a core for other settings or another model."""
        super().__init__(store)
        self._settings = settings
        self._core = core
        self._make_core = make_core

    def facts(self) -> ModelFacts:
        """Facts of the chosen model. Raises ModelError when there is no such model."""
        return self._core.facts()

    def status(self) -> ModelStatus:
        """The state of the model; never blocks."""
        return self._core.status()

    def preload(self) -> None:
        """Start loading the model behind the screen; returns at once."""
        self._core.preload()

    @property
    def settings(self) -> Settings:
        """What is in force."""
        return self._settings

    def use_settings(self, settings: Settings) -> None:
        """Answer with other settings from the next message on; the core stays as it is.

        What only a new core can follow waits for :meth:`restart`.
        """
        self._settings = settings
        self._forget("_answering")

    def use_model(self, name: str) -> None:
        """Answer with another model; :meth:`restart` with nothing else changed.

        Raises ModelError for one that is not here, and then all stays as it was.
        """
        self.restart(self._settings.model_copy(update={"model": name}))

    def restart(self, settings: Settings) -> None:
        """Leave the core and begin with one for ``settings``; a running reply ends half-way.

        The new one begins to load. Raises ModelError for a model that is not here, and then all
        stays as it was.
        """
        assert self._make_core is not None, "this engine was given one core and no way to another"
        core = self._make_core(settings)
        core.facts()  # refuses what can't be used
        old, self._core, self._settings = self._core, core, settings
        self._forget("_layout", "_answering")
        old.stop()
        old.close()
        core.preload()

    def _forget(self, *names: str) -> None:
        """Have cached rooms made anew."""
        for name in names:
            self.__dict__.pop(name, None)

    def models(self) -> list[FoundModel]:
        """The models there are and what each would take here; looks at the machine and its disk.

        Takes a moment: not for the thread that paints. Never asks the network.
        """
        from assistant.core.memory.hardware import look
        from assistant.core.memory.plan import choose_place
        from assistant.models.catalogue import find_models

        place, _ = choose_place(look(), self._settings.device)
        return find_models(self._settings, place, self._store.models())

    def models_at(self, address: str) -> list[str]:
        """The models of a server, each as a name for :meth:`use_model`; asks it.

        One that the address names must be among them. Raises ModelError.
        """
        from assistant.servers.address import parse
        from assistant.servers.catalogue import chosen, models

        where = parse(address)
        found = [chosen(where)] if where.model is not None else models(where)
        return [one.address.name for one in found]

    def pull(self, model_id: str, on_progress: OnProgress, cancelled: Callable[[], bool]) -> None:
        """Fetch a model, or what is missing of it; see :func:`assistant.models.pull.pull`."""
        from assistant.models.pull import pull  # the hub's library takes a third of a second

        pull(model_id, on_progress=on_progress, cancelled=cancelled)

    def close(self) -> None:
        """End the worker and release the database."""
        self._core.close()
        if self._opened is not None:
            self._opened.close()

    @cached_property
    def _layout(self) -> Layout:
        return Layout(self._core.facts(), lambda: self._core.facts().context)

    @cached_property
    def _answering(self) -> Answering:
        return Answering(
            lambda: self._store, self._core, self._layout, summaries=self._settings.summaries
        )
