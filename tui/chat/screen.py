"""Chat screen: composes sidebar, conversation and status bar, and passes on what concerns two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.actions import parse
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from assistant.values.errors import PhichatError
from tui import messages
from tui.chat.changes import LOOK_S, Changes
from tui.chat.conversation import Conversation
from tui.chat.memory import Memory
from tui.chat.open_chat import OpenChat
from tui.chat.positions import Places
from tui.chat.sidebar import Sidebar, deletion_words
from tui.chat.status_bar import StatusBar
from tui.chat.unsaved import write_aside
from tui.keys import CHAT_KEYS
from tui.pages.engine_screen import EngineScreen
from tui.widgets.chip import Chip
from tui.widgets.chip_unopened import OpeningChip
from tui.widgets.choices import Choices
from tui.widgets.context_meter import ContextMeter
from tui.widgets.drawing import Drawing
from tui.widgets.gallery import Gallery
from tui.widgets.prompt_area import PromptArea
from tui.widgets.session_list import SessionList

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine.engine import Engine

AT_ONCE = {"search", "switch_session", "attach", "bring_back_session"}
"""A text area has uses of its own for some of these, and what is typed next is for their page."""


class ChatScreen(EngineScreen[None]):
    """Decides which chat is open. Facts come up from its parts as messages, data goes down."""

    BINDINGS: ClassVar[list[BindingType]] = [
        key.binding(priority=key.action in AT_ONCE, through="call")
        for key in CHAT_KEYS
        if key.action != "help"  # which is the app's: it works on every page
    ]
    AUTO_FOCUS = "PromptArea"

    def __init__(
        self,
        engine: Engine,
        gallery: Gallery,
        clock: Callable[[], datetime],
        session_id: str | None = None,
        pictures: Sequence[str] = (),
    ) -> None:
        super().__init__(engine)
        self._gallery = gallery
        self.last_words = ""
        """Sentence for the user when the app has ended."""
        self.chat = OpenChat(session_id, lambda: engine.model.status().is_server)
        self.sidebar = Sidebar(engine, self.chat, gallery, clock)
        self.conversation = Conversation(engine, self.chat, gallery, pictures, self.sidebar.name_of)
        self.status_bar = StatusBar(engine, self.chat)
        self.changes = Changes(self.conversation, engine, self.chat)
        self.places = Places(engine.model.settings.cache_dir / "places.json")
        self._handlers = (
            self,
            self.conversation,
            self.conversation.turns,
            self.conversation.composer,
            self.conversation.draft.attachments,
            self.sidebar,
            self.status_bar,
            Memory(self.conversation, engine, self.chat),
        )
        """Objects with the actions of keys and commands."""

    def compose(self) -> ComposeResult:
        with Horizontal(id="main"):
            yield self.sidebar
            with Vertical(id="column"):
                yield self.conversation
                yield self.status_bar

    def on_mount(self) -> None:
        self.set_interval(LOOK_S, self._look)
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        self.sidebar.list_sessions()
        if self.chat.wanted is not None:
            self.open_session(self.chat.wanted)
        else:
            await self.conversation.draft.begin()
        self.in_thread(self._engine.model.preload)
        self.in_thread(self._engine.pictures.start_decoding)

    def on_unmount(self) -> None:
        if self.chat.runs:
            self._engine.leave()  # what there is of the reply stays, and its thread may end
        self._engine.stop_reading()
        if unsaved := self.conversation.draft.keeper.close():
            self.last_words = write_aside(unsaved, self._engine.model.settings.data_dir)
        self.places.save()
        self._engine.pictures.stop_decoding()  # its threads may end

    # Actions

    async def action_call(self, action: str, *more: object) -> None:
        """Run the action of a key or command, with ``more`` arguments."""
        _, name, arguments = parse(action)
        result = getattr(self.handler_of(name), f"action_{name}")(*arguments, *more)
        if isawaitable(result):
            await result

    @on(messages.RequestRefused)
    def _put_back_command(self, event: messages.RequestRefused) -> None:
        if event.command:
            self.conversation.composer.area.put_first(event.command)

    def handler_of(self, name: str) -> object:
        """Return the part of this screen, or the app, that has the action ``name``."""
        parts = (*self._handlers, self.app)
        return next(part for part in parts if hasattr(part, f"action_{name}"))

    async def action_stop(self) -> None:
        """Clear the notices, stop the reply; else close the list over the chat, end an edit."""
        self.conversation.composer.hold()
        had_notices, area = self.conversation.notices.clear(), self.conversation.composer.area
        if not self._close_list() and (self.chat.running is not None or not had_notices):
            await self.conversation.stop(empties=area.has_focus)
        area.focus()

    def action_toggle_sessions(self) -> None:
        """Show or hide the list; in a narrow window it lies over the chat."""
        narrow = not self.has_class("-wide")
        name = "-list-open" if narrow else "-list-hidden"
        self.toggle_class(name)
        is_shown = self.has_class(name) == narrow
        (self.sidebar.list if is_shown else self.conversation.composer.area).focus()

    def _close_list(self) -> bool:
        """In a narrow window, show the chat below the list; return whether the list was open."""
        was_open = self.has_class("-list-open")
        if was_open:
            self.remove_class("-list-open")
            self.conversation.composer.area.focus()
        return was_open

    def on_key(self, event: events.Key) -> None:
        """Type into the composer when no widget that takes letters has the focus."""
        elsewhere = self.focused is None or isinstance(self.focused, Chip | OpeningChip | Choices)
        if elsewhere and event.is_printable and event.character:
            area = self.conversation.composer.area
            self.set_focus(area)  # at once: enter may come with the letters
            area.insert(event.character)
            event.stop()

    @on(SessionList.Typed)
    def _type(self, event: SessionList.Typed) -> None:
        event.stop()
        area = self.conversation.composer.area
        self.set_focus(area)
        area.insert(event.text)

    # Which chat is open

    async def go_to(self, session_id: str, turn_id: str | None) -> None:
        """Go to a turn of any session; None: to where the session was left."""
        self._close_list()
        is_open = session_id == self.chat.session_id
        if is_open and (turn_id is None or await self.conversation.turns.go_to(turn_id)):
            return
        self.open_session(session_id, turn_id)

    def open_session(self, session_id: str, turn_id: str | None = None) -> None:
        """Read a session and show it, where it was left or at a turn, on whatever branch."""
        chat = self.chat
        chat.wanted = session_id
        ended, answering = chat.ended, chat.answers(session_id)

        def read() -> Message:
            self.places.load()
            try:
                conversation = self._engine.store.conversation(session_id)
            except PhichatError:
                chat.is_open = True  # a new chat stays on the screen
                raise
            is_there = any(turn.id == turn_id for turn in conversation.turns)
            if turn_id is not None and not is_there and not answering:
                conversation = self._engine.store.choose(session_id, turn_id)
            return messages.SessionOpened(conversation, ended, turn_id)

        self.in_thread(read)

    @on(messages.SessionOpened)
    async def _show_session(self, event: messages.SessionOpened) -> None:
        conversation, chat = event.conversation, self.chat
        async with chat.switching:
            if conversation.id != chat.wanted:
                return  # another chat was chosen meanwhile
            if event.turns_ended != chat.ended:  # read before a reply was complete
                self.open_session(conversation.id, event.turn_id)
                return
            self._leave_place()
            await self.conversation.open(event, self.places.of(conversation.id))
            self._show_open()

    async def action_new_session(self) -> None:
        """Start an empty chat; the session is made when the first message is sent."""
        self._close_list()
        self.chat.wanted = None
        async with self.chat.switching:
            if self.chat.wanted is None:  # else another chat was chosen meanwhile
                await self._show_new()

    async def _show_new(self) -> None:
        self._leave_place()
        await self.conversation.open_new()
        self._show_open()

    def _show_open(self) -> None:
        self.sidebar.list.mark_open(self.chat.session_id)
        self._show_title()

    @on(messages.SessionsListed)
    def _show_title(self) -> None:
        title, session_id = "New chat", self.chat.session_id
        if session_id is not None:
            title = self.sidebar.list.title_of(session_id) or "Untitled"
        self.conversation.header.chat_title = title
        self.conversation.header.pictures = self.chat.pictures

    def _leave_place(self) -> None:
        self.places.leave(self.chat.session_id, self.conversation.turns.pane.chat.place)

    # What sidebar and pages did

    @on(messages.SessionChosen)
    async def _open_chosen(self, event: messages.SessionChosen) -> None:
        event.stop()
        await self.go_to(event.session_id, event.turn_id)
        if event.turn_id is None:
            self.conversation.composer.area.focus()

    @on(messages.PictureReused)
    async def _attach_again(self, event: messages.PictureReused) -> None:
        await self.conversation.draft.attachments.attach_again(event.shown)

    @on(messages.NewWanted)
    async def _open_new(self) -> None:
        await self.action_new_session()

    @on(messages.ListLeft)
    def _leave_list(self) -> None:
        self._close_list()
        self.conversation.composer.area.focus()

    @on(messages.SessionForked)
    def _open_fork(self, event: messages.SessionForked) -> None:
        self.sidebar.list_sessions()
        self.open_session(event.session_id)
        self.tell("This is a copy: what you say here does not change the other chat.")

    @on(messages.SessionDeleted)
    async def _leave_deleted(self, event: messages.SessionDeleted) -> None:
        chat = self.chat
        async with chat.switching:
            was_open = event.session_id == chat.session_id
            if not (was_open or event.title):
                return  # it was left already
            self.sidebar.note_deleted(event, was_open=was_open)
            if chat.wanted == event.session_id:  # else another chat is on its way
                chat.wanted = None
            if was_open:
                in_list = self.focused is self.sidebar.list
                unsent = self.conversation.composer.unsent
                await self._show_new()
                if not event.title:  # in another terminal, where alone it can be brought back
                    await self.conversation.composer.put(unsent)
                if in_list:
                    self.sidebar.list.focus()
                else:
                    self._close_list()
        self.sidebar.list_sessions()

    @on(messages.SessionRestored)
    def _show_restored(self, event: messages.SessionRestored) -> None:
        self.sidebar.list_sessions()
        self.conversation.notices.take_off(deletion_words(event.deleted))
        self.tell(f"“{event.deleted.title}” is back.")
        if event.reopen and self.chat.session_id is None:
            self.open_session(event.deleted.session_id)

    # What the store, another terminal included, has changed

    def _look(self) -> None:
        if not self.chat.switching.locked():  # else the place may be of another chat than the id
            self._leave_place()  # the app may end at any time
            self.changes.look()

    @on(messages.SessionsChanged)
    def _list_again(self) -> None:
        self.sidebar.list_sessions()

    @on(messages.SessionRead)
    async def _show_read(self, event: messages.SessionRead) -> None:
        changes = self.changes
        if event.changes != changes.seen:
            self.conversation.draft.keeper.look()
        if event.conversation is None:
            is_due = event.changes != changes.seen and self.sidebar.may_list()
        else:
            is_due = await self.conversation.update(event)
        if is_due:  # else the next look comes here again
            changes.seen = event.changes
            self.sidebar.list_sessions()

    @on(messages.TurnMarked)
    async def _show_marks(self, event: messages.TurnMarked) -> None:
        if event.words:
            self.tell(event.words)
        async with self.chat.switching:
            self.changes.look(everything=True)

    @on(messages.DraftSaved)
    def _note_saved(self, event: messages.DraftSaved) -> None:
        self.changes.skip_own(event)

    # What conversation and status bar show of each other

    @on(messages.StatusSeen)
    def _show_status(self, event: messages.StatusSeen) -> None:
        self.conversation.look(event.status)

    @on(messages.ContextMeasured)
    def _show_measured(self, event: messages.ContextMeasured) -> None:
        self.status_bar.meter.measured = event.measured

    @on(ContextMeter.Clicked)
    def _show_context(self) -> None:
        self.conversation.draft.attachments.action_show_context()

    @on(messages.HintsChanged)
    @on(events.DescendantFocus)
    @on(events.DescendantBlur)
    def _show_hints(self) -> None:
        self.conversation.show_hints()
        self.sidebar.show_hints()

    @on(messages.WorkChanged)
    def _show_work(self, event: messages.WorkChanged) -> None:
        self.status_bar.line.work = event.words

    @on(messages.ReplyMoved)
    def _follow_reply(self, event: messages.ReplyMoved) -> None:
        self.status_bar.line.apply(event.event)

    # The choices in an empty chat

    @on(messages.OfferChanged)
    def _show_offer(self, event: messages.OfferChanged) -> None:
        self.conversation.turns.pane.welcome.offer = event.offer

    @on(PromptArea.LeftUpwards)
    def _enter_choices(self) -> None:
        choices = self.conversation.turns.pane.welcome.choices
        if choices.display and not self.chat.turns:
            choices.focus()

    @on(Choices.Left)
    def _leave_choices(self) -> None:
        self.conversation.composer.area.focus()

    @on(Choices.Chosen)
    def _take_choice(self, event: Choices.Chosen) -> None:
        self.conversation.composer.area.focus()
        self.status_bar.take(event.choice)

    @on(events.ScreenSuspend)
    @on(events.ScreenResume)
    def _redraw_pictures(self) -> None:
        """Draw pictures again: a dialog tints what is below it, but not the terminal's pictures."""
        for drawing in self.query(Drawing):
            drawing.refresh()
