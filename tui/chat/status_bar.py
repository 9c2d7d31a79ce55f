"""Status bar: the context meter and the engine's line, with the pages of engine and models.

The pages are imported when they are opened, because the first paint does not wait for them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from textual.app import ComposeResult

from assistant.values.errors import PhichatError
from assistant.values.events import ModelStatus, Phase
from assistant.values.words import model_name
from tui import messages
from tui.chat.part import ChatPart
from tui.pages.download import Download
from tui.requests import Answer, in_background
from tui.widgets.choices import CONNECT, STAY, Offer
from tui.widgets.context_meter import ContextMeter
from tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from assistant.core.memory.speed_estimate import Speed
    from assistant.engine.engine import Engine
    from assistant.models.catalogue import FoundModel
    from assistant.settings.schema import Settings
    from tui.chat.open_chat import OpenChat
    from tui.pages.models import ModelChosen

LOOK_S = 0.3
"""Seconds between two looks at the engine; the context is counted as often, if it changed."""
BUSY = "A reply is being written; wait for it, or stop it with esc."


class StatusBar(ChatPart):
    """Polls the engine; starts it again, downloads models and changes to them."""

    def __init__(self, engine: Engine, chat: OpenChat) -> None:
        super().__init__(engine, chat)
        self.meter = ContextMeter()
        self.line = StatusLine()
        self._download: Download | None = None
        self._warned = ""
        settings = engine.model.settings
        self._offers = settings.model == "demo" and not os.path.exists(settings.config_file)
        """The user is new: the empty chat offers models."""
        self._offer = Offer()
        self._is_measured = False

    def compose(self) -> ComposeResult:
        yield self.meter
        yield self.line

    def on_mount(self) -> None:
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._look()
        self.set_interval(LOOK_S, self._look)
        if self._offers:
            self._show_offer()
            self.in_thread(self._find_models)

    def on_unmount(self) -> None:
        if self._download is not None:
            self._download.stop()

    def _look(self) -> None:
        try:
            status = self._engine.model.status()
        except PhichatError as refused:
            status = ModelStatus(Phase.FAILED, "", is_demo=False, detail=str(refused))
        if status.warning not in ("", self._warned):
            self.tell(status.warning, error=True)
            self._warned = status.warning
        self.line.status = status
        self._look_at_download()
        if self._offers:
            self._look_at_offer(status)
        self.post_message(messages.StatusSeen(status))

    def action_toggle_meter(self) -> None:
        """Show the context meter however much room there is, or from half full on."""
        self.meter.wanted = not self.meter.display

    # The engine

    def action_show_engine(self) -> None:
        """Show the engine's state; start it again where the user says so."""
        from tui.pages.engine_state import EngineStateScreen

        def closed(restart: bool | None) -> None:
            if restart:
                self._restart(self._engine.model.settings, "The engine is started again.")

        turns = tuple(self._chat.turns)
        self.open_page(EngineStateScreen(self._engine, lambda: self.line.work, turns), closed)

    def action_show_settings(self) -> None:
        """Show and change the settings."""
        from tui.pages.settings import SettingsScreen

        def closed(changed: Settings | None) -> None:
            if changed is not None and self._chat.runs:
                self.tell(BUSY)
            elif changed is not None:
                self._restart(changed, "The engine is started again with the new settings.")

        self.open_page(SettingsScreen(self._engine, self._chat.session_id), closed)

    def _restart(self, settings: Settings, words: str) -> None:
        """Replace the engine's process; a reply that it was writing ends half-way."""

        def restart() -> Answer:
            self._engine.model.restart(settings)
            return partial(self._tell_change, words)

        self.in_thread(restart)

    def _tell_change(self, words: str, model: str | None = None) -> None:
        self.tell(words)
        if model is not None:
            self._chat.model, self._offers = model, False
            self._show_offer()
        self._look()

    # Models

    # The offer to a new user, in the empty chat

    def _find_models(self) -> Answer:
        models = tuple(self._engine.model.available(self._engine.store.models()))
        return partial(self._note_models, models, self._offer.speeds)

    def _note_models(
        self, models: Sequence[FoundModel], speeds: Mapping[str, Speed] | None
    ) -> None:
        self._offer = replace(self._offer, models=models, speeds=speeds)
        self._show_offer()

    def _measure(self) -> Answer:
        models = tuple(self._offer.models or ())
        return partial(self._note_models, models, self._engine.model.speeds(models))

    def _show_offer(self) -> None:
        """Offer models until one is chosen, the demo model too: also after a failed download."""
        self.post_message(messages.OfferChanged(self._offer if self._offers else None))

    def _look_at_offer(self, status: ModelStatus) -> None:
        fetching = (
            "" if self._download is None or self._download.is_over else self._download.model_id
        )
        if fetching != self._offer.fetching:
            self._offer = replace(self._offer, fetching=fetching)
            self._show_offer()
            self.in_thread(self._find_models)
        if self._offer.models and not self._is_measured and status.phase is not Phase.LOADING:
            self._is_measured = True
            in_background(self, self._measure)

    def take(self, choice: FoundModel | str) -> None:
        """Do what a row of the offer says."""
        from tui.pages.models import confirmation

        if choice == STAY:
            self._use_model("demo")
        elif choice == CONNECT:
            from tui.pages.connect import ConnectScreen

            self.open_page(ConnectScreen(self._engine), self._connected)
        elif isinstance(choice, str) or choice.name == self._offer.fetching:
            self.action_show_models()
        elif choice.whole or choice.kind == "folder":  # of one that is broken it says why
            self._use_model(choice.name)
        else:
            self.open_page(confirmation(choice), partial(self._agreed, choice.name))

    def _agreed(self, name: str, agreed: bool | None) -> None:
        if agreed:
            self._fetch(name)

    def _connected(self, name: str | None) -> None:
        if name is not None:
            self._use_model(name)

    def action_show_models(self) -> None:
        """Show the models; get one, or use one."""
        from tui.pages.models import ModelsScreen

        download, answering = self._download, self._engine.model.settings.model
        status = self.line.status
        marked = (status and self._chat.other_model(status.model)) or answering
        if download is not None and download.is_over:
            marked = download.model_id  # the user most likely wants the model that came

        def closed(chosen: ModelChosen | None) -> None:
            if self._download is not None and self._download.is_over:
                self._download = None
            self._take(chosen)

        self.open_page(ModelsScreen(self._engine, download, marked), closed)

    def _take(self, chosen: ModelChosen | None) -> None:
        if chosen is None:
            return
        if chosen.is_here:
            self._use_model(chosen.name)
        else:
            self._fetch(chosen.name)

    def _use_model(self, name: str) -> None:
        """Use a model from now on and at every start; the open chat remembers it."""
        if self._chat.runs:
            self.tell(BUSY)
            return
        session_id, is_other = self._chat.session_id, name != self._engine.model.settings.model

        def use() -> Answer:
            from assistant.settings.file import write_setting  # its library is for this alone

            if is_other:
                self._engine.model.use(name)
            write_setting(self._engine.model.settings.config_file, "model", name)
            if session_id is not None:
                self._engine.store.set_model(session_id, name)
            return partial(self._tell_change, f"{model_name(name)} answers from now on.", name)

        self.in_thread(use)

    def _fetch(self, model_id: str) -> None:
        if self._download is not None and not self._download.is_over:
            self.tell(f"{self._download.model_id} is being fetched; F8 stops that.")
            return
        self._download = download = Download(self._engine, model_id)
        self.run_worker(download.run, thread=True, group="download")
        self.tell(f"Fetching {model_name(model_id)}; go on chatting. F8 stops it.")

    def _look_at_download(self) -> None:
        download, words = self._download, ""
        if download is None:
            pass
        elif not download.is_over:
            words = download.words()
        elif download.error or download.was_stopped:
            self._download = None
            stopped = "The download is stopped; what came is kept. F8 goes on with it."
            self.tell(download.error or stopped, error=bool(download.error))
        else:
            words = f"✓ {model_name(download.model_id)} is here · F8 uses it"
            if self.line.download != words:
                self.tell(f"{model_name(download.model_id)} is here. F8, then enter, uses it.")
        self.line.download = words
