"""The engine in the open: its state, what the model sees, models, settings, the first run.

The pages are imported when they are opened: the first paint does not wait for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message

from assistant.values.conversation import Draft, Parent
from assistant.values.errors import PhichatError
from assistant.values.events import ModelStatus, Phase
from assistant.values.words import model_name, server_place
from tui import messages
from tui.chat.notes import seen_words
from tui.chat.sessions import SessionScreen
from tui.pages.download import Download
from tui.widgets.chat_header import ChatHeader
from tui.widgets.chat_pane import ChatPane
from tui.widgets.composer import Composer
from tui.widgets.context_meter import ContextMeter, Measured
from tui.widgets.status_line import StatusLine
from tui.widgets.turn_head import TurnHead
from tui.widgets.turn_window import Place

if TYPE_CHECKING:
    from assistant.engine import Engine
    from assistant.settings import Settings
    from tui.pages.models import ModelChosen

LOOK_S = 0.3
"""Seconds between two looks at the engine and at the draft: that is what debounces the meter."""


class StateScreen(SessionScreen):
    """Looks at the engine at intervals; whatever takes time happens in threads."""

    @dataclass
    class ContextMeasured(Message):
        """It was counted what the model would see; ``key`` says of what."""

        key: object
        measured: Measured | None
        left_out_words: dict[str, str]

    @dataclass
    class FirstRun(Message):
        """There is no configuration file and no chat: someone is here for the first time."""

    @dataclass
    class EngineChanged(Message):
        """Another model answers, or the same was started again; ``words`` tell it."""

        words: str
        model: str | None = None

    def __init__(
        self, engine: Engine, clock: Callable[[], datetime], session_id: str | None
    ) -> None:
        super().__init__(engine, clock, session_id)
        self._measured_key: object = None
        self._measuring = False
        self._marked: object = None
        self._left_out_words: dict[str, str] = {}
        self._download: Download | None = None
        self._place: Place | None = None
        """Where one read at the last look; None at the end of the chat."""
        self._held_with: tuple[str | None, str | None] = (None, None)
        """A chat and the model that it is meant for."""

    def on_mount(self) -> None:
        """Nothing before the first paint."""
        self.call_after_refresh(self._begin_looking)

    def _begin_looking(self) -> None:
        self._look()
        self.set_interval(LOOK_S, self._look)
        self.in_thread(self._is_first_run)

    def on_unmount(self) -> None:
        """The app ends; what came of a model is kept."""
        if self._download is not None:
            self._download.stop()

    def _look(self) -> None:
        status = self._status()
        line = self.query_one(StatusLine)
        line.status = status
        self.query_one(ChatPane).is_demo = status.is_demo
        self.query_one(ChatHeader).server = server_place(status.model)
        session_id, model = self._held_with
        is_other = session_id == self.session_id and model not in (None, status.model)
        self.query_one(ChatHeader).other_model = (model or "") if is_other else ""
        self._look_at_download(line)
        place = self.query_one(ChatPane).chat.place
        # at rest: while a reply grows, its end is out of sight for a moment
        self.query_one(Composer).more_below = place is not None and place == self._place
        self._place = place
        self._measure(status)
        self._mark_turns()

    def _status(self) -> ModelStatus:
        try:
            return self._engine.model.status()
        except PhichatError as refused:
            return ModelStatus(Phase.FAILED, "", is_demo=False, detail=str(refused))

    # What the model sees

    @property
    def _follows(self) -> str | Parent | None:
        """What the message that is being written follows: the chat's end, or what it edits does."""
        edited, turns = self.query_one(Composer).edited, self.query_one(ChatPane).turns
        return next((turn.parent for turn in turns if turn.id == edited), Parent.HEAD)

    def _measure(self, status: ModelStatus) -> None:
        """Have the context counted if anything that it depends on is another than last time."""
        draft, parent = self.query_one(Composer).draft, self._follows
        turns = self.query_one(ChatPane).turns
        key = (
            self.session_id,
            self.turns.ended,
            hash(tuple(map(id, turns))),
            draft.text,
            parent,
            tuple((file.pixels_sha256, file.num_crops) for file in draft.pictures),
            (status.model, status.phase, id(status.plan)),
            self._engine.model.settings,
        )
        if self._measuring or key == self._measured_key:
            return
        self._measuring = True
        session_id, shown = self.session_id, tuple(turns)

        def measure() -> Message:
            try:
                now = self._engine.prompts.context(session_id)
                words = draft.text.strip() or draft.pictures
                report = now
                if words:
                    report = self._engine.prompts.context(session_id, draft, parent=parent)
            except PhichatError:  # told where the model, or the store, is told of
                return self.ContextMeasured(key, None, {})
            more = max(0, len(report.left_out) - len(now.left_out))
            return self.ContextMeasured(
                key, Measured(report, more), seen_words(shown, now.left_out)
            )

        self.in_thread(measure)

    @on(ContextMeasured)
    def _show_measured(self, event: ContextMeasured) -> None:
        self._measuring, self._measured_key = False, event.key
        self.query_one(ContextMeter).measured = event.measured
        self._left_out_words = event.left_out_words
        self._mark_turns()

    def _mark_turns(self) -> None:
        """Say above each turn in sight what the model does not see of it."""
        heads = list(self.query_one(ChatPane).query(TurnHead))
        marked = (self._left_out_words, [id(head) for head in heads])
        if marked != self._marked:
            self._marked = marked
            for head in heads:
                head.show_seen(self._left_out_words.get(head.turn_id, ""))

    @on(ContextMeter.Clicked)
    def action_show_context(self) -> None:
        """Show the exact prompt, with what is being written."""
        from tui.pages.context import ContextScreen

        draft: Draft | None = self.query_one(Composer).draft
        if draft is not None and not (draft.text.strip() or draft.pictures):
            draft = None
        self.app.push_screen(ContextScreen(self._engine, self.session_id, draft, self._follows))

    # The engine

    @work
    async def action_show_engine(self) -> None:
        """Show the engine's state; start it again where the person says so."""
        from tui.pages.engine_state import EngineStateScreen

        line = self.query_one(StatusLine)
        screen = EngineStateScreen(self._engine, lambda: line.work, self.query_one(ChatPane).turns)
        if await self.app.push_screen_wait(screen):
            self._restart(self._engine.model.settings, "The engine is started again.")

    @work
    async def action_show_settings(self) -> None:
        """Show and change the settings."""
        from tui.pages.settings import SettingsScreen

        changed = await self.app.push_screen_wait(SettingsScreen(self._engine, self.session_id))
        if changed is not None:
            self._restart(changed, "The engine is started again with the new settings.")

    @on(messages.SessionOpened)
    def _note_model(self, event: messages.SessionOpened) -> None:
        self._held_with = (event.conversation.id, event.conversation.model)

    def _restart(self, settings: Settings, words: str) -> None:
        if self.turns.running is not None:
            self.tell("A reply is being written; wait for it, or stop it with esc.")
            return

        def restart() -> Message:
            self._engine.model.restart(settings)
            return self.EngineChanged(words)

        self.in_thread(restart)

    @on(EngineChanged)
    def _tell_change(self, event: EngineChanged) -> None:
        self.tell(event.words)
        if event.model is not None:
            self._held_with = (self.session_id, event.model)
        self._look()

    # Models

    def _is_first_run(self) -> Message | None:
        settings = self._engine.model.settings
        is_new = settings.model == "demo" and not settings.config_file.exists()
        return self.FirstRun() if is_new and not self._engine.store.sessions(limit=1) else None

    @on(FirstRun)
    @work
    async def _welcome(self) -> None:
        from tui.pages.first_run import FirstRunScreen

        composer = self.query_one(Composer)
        if self.session_id or composer.draft != Draft("") or composer.chips.opening:
            return  # someone knows already what to do here
        chosen = await self.app.push_screen_wait(FirstRunScreen(self._engine, None, "demo"))
        self._take(chosen)

    @work
    async def action_show_models(self) -> None:
        """Show the models; get one, or use one."""
        from tui.pages.models import ModelsScreen

        download = self._download
        marked = self.query_one(ChatHeader).other_model or self._engine.model.settings.model
        if download is not None and download.is_over:
            marked = download.model_id  # what came is what one wants to use
        chosen = await self.app.push_screen_wait(ModelsScreen(self._engine, download, marked))
        if self._download is not None and self._download.is_over:
            self._download = None
        self._take(chosen)

    def _take(self, chosen: ModelChosen | None) -> None:
        if chosen is None:
            return
        if chosen.is_here:
            self._use_model(chosen.name)
        else:
            self._fetch(chosen.name)

    def _use_model(self, name: str) -> None:
        """From now on and at every start; the open chat remembers it."""
        if self.turns.running is not None:
            self.tell("A reply is being written; wait for it, or stop it with esc.")
            return
        session_id, is_other = self.session_id, name != self._engine.model.settings.model

        def use() -> Message:
            from assistant.settings.file import write_setting  # its library is for this alone

            if is_other:
                self._engine.model.use(name)
            write_setting(self._engine.model.settings.config_file, "model", name)
            if session_id is not None:
                self._engine.store.set_model(session_id, name)
            return self.EngineChanged(f"{model_name(name)} answers from now on.", name)

        self.in_thread(use)

    def _fetch(self, model_id: str) -> None:
        if self._download is not None and not self._download.is_over:
            self.tell(f"{self._download.model_id} is being fetched; F8 stops that.")
            return
        self._download = download = Download(self._engine, model_id)
        self.run_worker(download.run, thread=True, group="download")
        self.tell(f"Fetching {model_name(model_id)}; go on chatting. F8 stops it.")

    def _look_at_download(self, line: StatusLine) -> None:
        download = self._download
        if download is None:
            line.download = ""
        elif not download.is_over:
            line.download = download.words()
        elif download.error:
            self._download, line.download = None, ""
            self.tell(download.error, error=True)
        elif download.was_stopped:
            self._download, line.download = None, ""
            self.tell("The download is stopped; what came is kept. F8 goes on with it.")
        else:
            words = f"✓ {model_name(download.model_id)} is here · F8 uses it"
            if line.download != words:
                self.tell(f"{model_name(download.model_id)} is here. F8, then enter, uses it.")
            line.download = words
