"""The one screen of the app: chats on the left, the open one on the right, the composer below."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message

from assistant.conversation import Role
from assistant.errors import PhichatError
from assistant.events import Event, ModelStatus, Phase, ReplyEnded, UserTurnStored
from assistant.plain_text import one_line
from tui import messages
from tui.commands import CHAT_KEYS
from tui.gallery import Gallery
from tui.running import RunningTurn
from tui.screens.attach import AttachScreen
from tui.screens.help import HelpScreen
from tui.screens.picture import PictureScreen
from tui.screens.sessions import SessionScreen
from tui.turn_runner import TurnRunner
from tui.widgets.chat_header import ChatHeader
from tui.widgets.chat_pane import ChatPane
from tui.widgets.composer import Composer
from tui.widgets.drawing import Drawing
from tui.widgets.picture_view import PictureView
from tui.widgets.reply_text import ReplyText
from tui.widgets.session_list import SessionList, SessionOptions
from tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from assistant.engine import Engine

STATUS_INTERVAL = 0.3
"""Seconds between two looks at the model's state."""
AGES_INTERVAL = 60.0
"""Seconds between two updates of "5 min" in the list."""


class ChatScreen(SessionScreen):
    """Owns what runs; widgets tell it facts, workers too."""

    BINDINGS: ClassVar[list[BindingType]] = [key.binding() for key in CHAT_KEYS]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    AUTO_FOCUS = "PromptArea"

    def __init__(
        self,
        engine: Engine,
        gallery: Gallery,
        clock: Callable[[], datetime],
        session_id: str | None = None,
        pictures: tuple[str, ...] = (),
    ) -> None:
        super().__init__(engine, session_id)
        self._gallery = gallery
        self._clock = clock
        self._first_pictures = pictures
        self._turn_runner = TurnRunner(self, self._turn_happened, self._turn_ended)

    @property
    def turns(self) -> TurnRunner:
        """What runs the turns."""
        return self._turn_runner

    def compose(self) -> ComposeResult:
        """The list, the chat, the composer, the status line."""
        with Horizontal(id="rooms"):
            yield SessionList(self._clock)
            with Vertical(id="conversation"):
                yield ChatHeader()
                yield ChatPane(self._gallery)
                yield Composer(self._engine.parse_dropped)
        yield StatusLine()

    def on_mount(self) -> None:
        """Paint first; the store is read and the model loads behind the screen."""
        self.set_interval(STATUS_INTERVAL, self._look_at_model)
        self.set_interval(AGES_INTERVAL, self.query_one(SessionList).refresh_ages)
        self.call_after_refresh(self._begin)

    def on_unmount(self) -> None:
        """The app ends: what there is of a running reply stays, and its thread may end."""
        self.stop_reply()
        self._gallery.close()

    def _begin(self) -> None:
        self._look_at_model()
        self.list_sessions()
        self.open_wanted()
        if self._first_pictures:
            self._attach_pictures(self._first_pictures)
        self.in_thread(self._wake_model)

    def _wake_model(self) -> Message:
        self._engine.preload()
        return messages.ContextMeasured(self._engine.facts().context)

    @on(messages.ContextMeasured)
    def _show_limit(self, event: messages.ContextMeasured) -> None:
        self.query_one(StatusLine).limit = event.limit

    def _look_at_model(self) -> None:
        try:
            status = self._engine.status()
        except PhichatError as refused:
            status = ModelStatus(Phase.FAILED, "", is_demo=False, detail=str(refused))
        self.query_one(StatusLine).status = status
        self.query_one(ChatPane).is_demo = status.is_demo

    # Pictures

    @on(Composer.AttachRequested)
    def _attach_requested(self, event: Composer.AttachRequested) -> None:
        self._attach_pictures(event.sources)

    @work
    async def action_attach(self, argument: str = "") -> None:
        """Attach what ``argument`` names, or ask for it."""
        if argument:
            self._attach_pictures(tuple(self._engine.parse_dropped(argument)) or (argument,))
        elif source := await self.app.push_screen_wait(AttachScreen(Path.cwd())):
            self._attach_pictures((source,))

    @work
    async def _attach_pictures(self, sources: tuple[str, ...]) -> None:
        chips = self.query_one(Composer).chips
        await chips.set_opening(chips.opening + len(sources))
        self.open_in_thread(sources)

    @on(messages.PicturesOpened)
    async def _add_chips(self, event: messages.PicturesOpened) -> None:
        chips = self.query_one(Composer).chips
        await chips.set_opening(max(0, chips.opening - event.requested))
        await chips.add(*event.files)
        for reason in event.refused:
            self.tell(reason, error=True)

    @on(PictureView.Opened)
    def _show_clicked(self, event: PictureView.Opened) -> None:
        self.action_show_picture(str(event.number))

    def action_show_picture(self, number: str = "") -> None:
        """Show a picture large: the one with this number, or the last one in sight."""
        pane = self.query_one(ChatPane)
        wanted = number.strip().removeprefix("#") or str(pane.picture_in_sight())
        numbers = {str(picture.number) for turn in pane.turns for picture in turn.pictures}
        if not numbers:
            self.tell("This chat has no picture yet.")
        elif wanted not in numbers:
            self.tell(f"There is no picture {one_line(wanted, 20)} in this chat.")
        else:
            self.app.push_screen(PictureScreen(pane.turns, int(wanted), self._gallery))

    @on(events.ScreenSuspend)
    @on(events.ScreenResume)
    def _draw_pictures_anew(self) -> None:
        """A dialog tints what is below it, which pictures of the terminal's own don't bear."""
        for drawing in self.query(Drawing):
            drawing.refresh()

    # Turns

    @on(Composer.Declined)
    def _tell_declined(self, event: Composer.Declined) -> None:
        self.tell(event.reason)

    @on(Composer.Sent)
    async def _send_draft(self, event: Composer.Sent) -> None:
        if self._is_busy():
            return
        draft = event.draft
        composer = self.query_one(Composer)
        await composer.take(draft)
        composer.area.prompts.add(draft.text)
        session_id = self.session_id
        running = RunningTurn(session_id, self.views, draft)
        self._start_turn(running, lambda: self._engine.send(session_id, draft))

    def action_answer_again(self) -> None:
        """Answer the last question again; one that has no reply gets its first."""
        session_id = self.session_id
        last = self.query_one(ChatPane).last_role
        if session_id is None or last is None:
            self.tell("There is no question to answer yet.")
        elif not self._is_busy():
            again = last is Role.ASSISTANT
            ask = self._engine.regenerate if again else self._engine.resume
            running = RunningTurn(session_id, self.views, replaces=again, stored=True)
            self._start_turn(running, lambda: ask(session_id))

    def _is_busy(self) -> bool:
        busy = self.turns.running is not None
        if busy:
            self.tell("A reply is still being written; wait for it, or stop it with esc.")
        return busy

    def _start_turn(self, running: RunningTurn, ask: Callable[[], Iterator[Event]]) -> None:
        self.query_one(Composer).busy = True
        self.query_one(StatusLine).work = "sending …"
        self.turns.start(running, ask)

    async def _turn_happened(self, running: RunningTurn, event: Event) -> None:
        if isinstance(event, UserTurnStored):
            if self.session_id is None and running.view == self.views:
                self.got_its_id(event.session_id)
            self.list_sessions()
        shown = running.session_id == self.session_id
        if shown:
            await self.query_one(ChatPane).apply(event, running)
        if shown or not isinstance(event, ReplyEnded):  # the figures belong to the open chat
            self.query_one(StatusLine).apply(event)

    async def _turn_ended(self, running: RunningTurn, error: str) -> None:
        self.query_one(Composer).busy = False
        self.query_one(StatusLine).work = ""
        if error:
            self.tell(error, error=True)
            if not running.stored and running.draft is not None:
                await self.give_back(running.draft, running.session_id)
            elif running.session_id == self.session_id:
                await self.query_one(ChatPane).fail(error)
        self.list_sessions()

    def stop_reply(self) -> None:
        """End the running reply, if there is one."""
        if self.turns.running is not None:
            self._engine.stop()

    @on(ReplyText.LinkClicked)
    def _tell_address(self, event: ReplyText.LinkClicked) -> None:
        """The model wrote the link: show where it leads, open nothing."""
        self.tell(event.address)

    # Keys and commands

    @on(Composer.CommandEntered)
    async def _run_command(self, event: Composer.CommandEntered) -> None:
        if event.command.action == "quit":
            self.app.exit()
            return
        action = getattr(self, f"action_{event.command.action}")
        takes_argument = event.command.argument and event.argument
        result = action(event.argument) if takes_argument else action()
        if hasattr(result, "__await__"):
            await result

    def action_stop(self) -> None:
        """Close the list that lies over the chat, or stop the reply, or go back to typing."""
        if self.has_class("-list-open"):
            self.remove_class("-list-open")
        elif self.turns.running is not None:
            self.stop_reply()
            self.query_one(StatusLine).work = "stopping …"
        self.query_one(Composer).area.focus()

    def action_toggle_sessions(self) -> None:
        """Show or hide the list; in a narrow window it lies over the chat."""
        narrow = self.has_class("-narrow")
        name = "-list-open" if narrow else "-list-hidden"
        self.toggle_class(name)
        shown = self.has_class(name) if narrow else not self.has_class(name)
        if shown:
            self.query_one(SessionOptions).focus()
        else:
            self.query_one(Composer).area.focus()

    def action_help(self) -> None:
        """Show every key and command."""
        self.app.push_screen(HelpScreen())

    async def action_scroll_chat(self, where: str) -> None:
        """Scroll the chat by a page, or to its end."""
        await self.query_one(ChatPane).scroll_by(where)

    def on_key(self, event: events.Key) -> None:
        """Typing goes to the composer when nothing else has the focus."""
        area = self.query_one(Composer).area
        if self.focused is None and event.is_printable and event.character:
            area.focus()
            area.insert(event.character)
            event.stop()
