"""The one screen of the app: chats on the left, the open one on the right, the composer below."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from assistant.values.conversation import Draft
from tui import messages
from tui.chat.attaching import AttachingScreen
from tui.chat.changes import LOOK_S, Following
from tui.chat.drafts import DraftKeeper
from tui.chat.memory import Memory
from tui.chat.summaries import Summariser
from tui.chat.talk import Talk
from tui.chat.turn_actions import TurnActions
from tui.chat.turn_runner import TurnRunner
from tui.keys import CHAT_KEYS
from tui.widgets.chat_header import ChatHeader
from tui.widgets.chat_pane import ChatPane
from tui.widgets.chip import Chip
from tui.widgets.chip_opening import OpeningChip
from tui.widgets.composer import Composer
from tui.widgets.context_meter import ContextMeter
from tui.widgets.gallery import Gallery
from tui.widgets.prompt_area import PromptArea
from tui.widgets.reply_text import ReplyText
from tui.widgets.session_list import SessionList, SessionOptions
from tui.widgets.status_line import StatusLine
from tui.widgets.turn_bar import TurnBar

if TYPE_CHECKING:
    from assistant.engine import Engine

AGES_INTERVAL = 60.0
"""Seconds between two updates of "5 min" in the list."""


AT_ONCE = {"search", "switch_session", "attach", "bring_back_session"}
"""A text area has uses of its own for some of these, and what is typed next is for their page."""


class ChatScreen(AttachingScreen):
    """Owns what runs; widgets tell it facts, workers too."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key.binding(priority=key.action in AT_ONCE)
        for key in CHAT_KEYS
        if key.action != "help"  # which is the app's: it works on every page
    ]
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
        super().__init__(engine, clock, session_id)
        self._gallery = gallery
        self._first_pictures = pictures
        self.talk = Talk(self, engine)
        self.actions = TurnActions(self, engine)
        self.memory = Memory(self, engine)
        self.summariser = Summariser(self, engine)
        self._drafts_kept = DraftKeeper(self, engine)
        self._following = Following(self, engine)

    @property
    def turns(self) -> TurnRunner:
        """What runs the turns."""
        return self.talk.runner

    def compose(self) -> ComposeResult:
        """The list, the chat, the composer, the status line."""
        with Horizontal(id="rooms"):
            yield SessionList(self._clock)
            with Vertical(id="conversation"):
                yield ChatHeader()
                yield ChatPane(self._gallery)
                yield TurnBar()
                yield Composer(self._engine.pictures.parse_dropped)
        yield ContextMeter()
        yield StatusLine()

    def on_mount(self) -> None:
        """Paint first; the store is read and the model loads behind the screen."""
        self.set_interval(LOOK_S, self._following.look)
        self.set_interval(AGES_INTERVAL, self.query_one(SessionList).refresh_ages)
        self.call_after_refresh(self._begin)

    def on_unmount(self) -> None:
        """The app ends: what there is of a running reply stays, and its thread may end."""
        self.stop_reply()
        self._drafts_kept.close()
        self.places.save()
        self._gallery.close()

    def quit_after_typing(self) -> None:
        """End the app when what was typed so far has arrived: letters, and a message sent."""
        composer = self.query_one(Composer)
        leave = partial(composer.post_message, Composer.LeaveWanted())
        composer.area.call_later(composer.call_later, leave)

    @on(Composer.LeaveWanted)
    def _leave(self) -> None:
        self._drafts_kept.changed()
        self.app.exit()

    async def _begin(self) -> None:
        self.list_sessions()
        self.open_wanted()
        if self._wanted is None:
            await self._begin_draft()
        self.in_thread(self._wake_model)

    async def _begin_draft(self) -> None:
        """Bring back what was not sent, and attach what the app was started with."""
        self._drafts_kept.bring_back()
        pictures, self._first_pictures = self._first_pictures, ()
        if pictures:
            await self._attach_pictures(pictures)

    async def _switch_draft(self, session_id: str | None) -> None:
        left = self.session_id
        await super()._switch_draft(session_id)
        self._drafts_kept.switched(left)
        self.actions.leave()
        self.talk.show_queue()
        await self._begin_draft()
        self._measure_draft()

    async def give_back(self, draft: Draft, session_id: str | None) -> None:
        """Nothing was stored: words and pictures go back to where they were typed."""
        await super().give_back(draft, session_id)
        if session_id != self.session_id:
            self._drafts_kept.save(session_id)

    def was_sent(self, session_id: str) -> None:
        """What waited in the queue of a chat is stored: it is no draft any more."""
        self._drafts_kept.save(session_id)

    def got_its_id(self, session_id: str) -> None:
        """The new chat on the screen was stored."""
        super().got_its_id(session_id)
        self._drafts_kept.moved(session_id)

    @on(Composer.DraftChanged)
    def _keep_draft(self) -> None:
        self._drafts_kept.changed()

    @on(messages.DraftRead)
    async def _show_draft(self, event: messages.DraftRead) -> None:
        async with self.switching:
            await self._drafts_kept.show(event)

    @on(messages.DraftSaved)
    def _note_saved(self, event: messages.DraftSaved) -> None:
        self._following.own_change(event.before, event.after)

    @on(messages.SessionRead)
    async def _show_read(self, event: messages.SessionRead) -> None:
        await self._following.show(event)

    @on(messages.TurnMarked)
    async def _show_marks(self, event: messages.TurnMarked) -> None:
        if event.words:
            self.tell(event.words)
        async with self.switching:
            self._following.look(everything=True)
        self._measure_draft()

    @on(messages.Told)
    def _tell_words(self, event: messages.Told) -> None:
        self.tell(event.words)

    def _wake_model(self) -> None:
        self._engine.model.preload()

    # Turns

    @on(Composer.Declined)
    def _tell_declined(self, event: Composer.Declined) -> None:
        self.tell(event.reason)

    @on(Composer.Sent)
    async def _send_draft(self, event: Composer.Sent) -> None:
        async with self.switching:
            await self.talk.send(event.text)

    async def action_answer_again(self) -> None:
        """Answer the last question again; one that has no reply gets its first."""
        async with self.switching:
            self.talk.answer_again()

    async def action_go_on(self) -> None:
        """Let the last reply, which did not end by itself, go on."""
        async with self.switching:
            self.talk.go_on()

    @on(PromptArea.TakeBackWanted)
    async def _take_back(self) -> None:
        async with self.switching:
            await self.talk.take_back()

    def turn_is_over(self) -> None:
        """A turn was answered, or failed."""
        self._measure_draft()
        if self.turns.running is None:
            self.summariser.consider()
        turns = self.query_one(ChatPane).turns[-2:]
        self.actions.look_up_versions([turn.id for turn in turns])

    async def turn_reached(self, turn_id: str) -> None:
        """A turn that was looked for is in sight: select it."""
        await self.actions.select(turn_id)

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
            self.quit_after_typing()
            return
        if "(" in event.command.action:
            await self.run_action(event.command.action)
            return
        action = getattr(self, f"action_{event.command.action}")
        takes_argument = event.command.argument and event.argument
        result = action(event.argument) if takes_argument else action()
        if hasattr(result, "__await__"):
            await result

    async def action_stop(self) -> None:
        """Close the list that lies over the chat, or stop the reply, or go back to typing."""
        composer = self.query_one(Composer)
        if self.has_class("-list-open"):
            self.remove_class("-list-open")
        elif self.turns.running is not None:
            await self.talk.stop()
        elif composer.edited is not None:
            async with self.switching:
                await composer.give_up_edit()
        composer.area.focus()

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

    async def action_help(self) -> None:
        """Show the keys of where one stands, then every key and command."""
        await self.run_action("app.help")

    async def action_scroll_chat(self, where: str) -> None:
        """Scroll the chat by a page, or to its end."""
        await self.query_one(ChatPane).scroll_by(where)

    def on_key(self, event: events.Key) -> None:
        """Typing goes to the composer when nothing else has the focus."""
        area = self.query_one(Composer).area
        elsewhere = self.focused is None or isinstance(self.focused, Chip | OpeningChip)
        if elsewhere and event.is_printable and event.character:
            area.focus()
            area.insert(event.character)
            event.stop()
