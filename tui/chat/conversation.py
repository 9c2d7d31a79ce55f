"""Conversation: header, turns and composer of the open chat, and the replies in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult

from assistant.values.conversation import Draft, Role
from assistant.values.events import ContextPlanned, Event, ModelStatus, StoreLost, UserTurnStored
from assistant.values.lowered import lowered_words
from assistant.values.text import quoted
from assistant.values.words import server_place
from tui import messages, requests
from tui.chat.changes import LOOK_AT
from tui.chat.draft_part import DraftPart
from tui.chat.open_chat import BUSY, OpenChat, Queued
from tui.chat.part import ChatPart
from tui.chat.replies import Ask, Replies
from tui.chat.summaries import Summariser
from tui.chat.turn_actions import kept_words
from tui.chat.turn_runner import TurnRunner
from tui.chat.turns import Turns
from tui.keys import CHIP_KEYS, CHOICES_KEYS, OPENING_KEYS
from tui.widgets import entered
from tui.widgets.chat_header import ChatHeader
from tui.widgets.chip import Chip
from tui.widgets.chip_unopened import OpeningChip
from tui.widgets.choices import Choices
from tui.widgets.hints import NONE, Hint, hints_of
from tui.widgets.notice_line import NoticeLine
from tui.widgets.picture_view import PictureView
from tui.widgets.prompt_area import PromptArea
from tui.widgets.session_list import SessionList
from tui.widgets.turn_keys import TurnKeys
from tui.widgets.turn_window import TAIL, Place

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from tui.widgets.gallery import Gallery
    from tui.widgets.turn_run import RunningTurn


class Conversation(ChatPart):
    """Sends what is composed, shows what comes of it, keeps the drafts."""

    def __init__(
        self,
        engine: Engine,
        chat: OpenChat,
        gallery: Gallery,
        pictures: Sequence[str],
        name_of: Callable[[str], str],
    ) -> None:
        """Attach ``pictures`` (paths, URLs) to the first draft; ``name_of`` names any chat."""
        super().__init__(engine, chat, id="conversation")
        self._name_of = name_of
        self.header = ChatHeader()
        self.turns = Turns(engine, chat, gallery)
        self.notices = NoticeLine()
        self.draft = DraftPart(engine, chat, gallery, self.turns, pictures)
        self.composer = self.draft.composer
        self._replies = Replies(self, engine, chat, self._start)
        self._runner = TurnRunner(self, chat, self._happened, self._ended)
        self._summariser = Summariser(self, engine)
        self._place: Place | None = None
        """The place that the user read at the last look; None at the end of the chat."""

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.turns
        yield self.notices
        yield self.draft

    # The open chat

    async def open(self, event: messages.SessionOpened, place: Place | None) -> None:
        """Show a session, at a turn or at ``place``; the caller holds the switching lock."""
        conversation, chat = event.conversation, self._chat
        await self._switch_to(conversation.id)
        chat.model = conversation.model
        pane = self.turns.pane
        await pane.show(conversation.turns, chat.run_of(conversation.id))
        self._show_work()
        if event.turn_id is not None:
            if not await self.turns.go_to(event.turn_id):
                self.tell("That is on another branch: wait for the reply that is being written.")
        elif place is not None:
            await pane.chat.show_turn(place.turn_id, place.line)
        asked = [turn.text for turn in conversation.turns if turn.role is Role.USER]
        self.composer.area.prompts.load(asked)
        self.turns.look_up_versions(TAIL)

    async def open_new(self) -> None:
        """Show an empty chat; the caller holds the switching lock."""
        await self._switch_to(None)
        await self.turns.pane.show((), None)
        self._show_work()
        self.composer.area.prompts.load(())
        self.composer.area.focus()

    async def _switch_to(self, session_id: str | None) -> None:
        await self.draft.switch_to(session_id)
        self._leave_turn()
        await self.draft.begin()
        self.draft.measure()

    @on(messages.TurnMarked)
    def _measure_again(self) -> None:
        self.draft.measure()

    async def update(self, event: messages.SessionRead) -> bool:
        """Show what the open chat became; return False if that is stale."""
        async with self._chat.switching:
            read, chat = event.conversation, self._chat
            if read is None or chat.is_stale(read.id, event.turns_ended, event.end):
                return False
            await self.turns.pane.update(read.turns)
            self.turns.look_up_versions(LOOK_AT)
            if event.select is not None:
                await self.turns.select(event.select)
            self.turns.refresh_marks()
        return True

    def look(self, status: ModelStatus) -> None:
        """Show what follows from the engine's state and from where the user reads."""
        chat, composer, pane = self._chat, self.composer, self.turns.pane
        pane.is_demo = status.is_demo
        self.header.server = server_place(status.model)
        self.header.other_model = chat.other_model(status.model)
        place = pane.chat.place
        # at rest: while a reply grows, its end is out of sight for a moment
        composer.more_below = place is not None and place == self._place
        self._place = place
        self.draft.look(status)
        self.turns.mark()

    @on(NoticeLine.Changed)
    def _show_hint(self, event: NoticeLine.Changed) -> None:
        self.composer.has_notice = event.any_stand

    def show_hints(self) -> None:
        """Show what keys do where the focus is, in the state in which that is."""
        focused, rebound = self.screen.focused, self._engine.model.settings.keys
        about, hints = NONE, tuple[Hint, ...]()
        if focused is self.turns.keys:
            about, hints = self.turns.hints()
        elif isinstance(focused, Chip):
            hints = hints_of(CHIP_KEYS, rebound)
        elif isinstance(focused, OpeningChip):
            hints = hints_of(OPENING_KEYS, rebound)
        elif isinstance(focused, Choices):
            hints = hints_of(CHOICES_KEYS)
        elif isinstance(focused, SessionList):
            hints = (("esc", "back"),)
        self.composer.hints = about, hints

    # What the user sends and has answered

    @on(entered.CommandEntered)
    async def _run_command(self, event: entered.CommandEntered) -> None:
        command, argument = event.command, event.argument
        call = ("", "call", (command.action, *((argument,) if argument else ())))
        has_words = argument or (command.whole and command.argument)  # or lacks them
        token = requests.COMMAND.set(event.text if has_words else "")
        try:
            await self.app.run_action(call, self.screen)
        finally:
            requests.COMMAND.reset(token)

    @on(entered.Sent)
    async def _send(self, event: entered.Sent) -> None:
        async with self._chat.switching:
            composer, edited = self.composer, self.composer.edited
            if not self._chat.is_open:
                composer.decline(event.text, "The chat is still being opened; send again then.")
                return
            if composer.chips.opening:
                composer.send_when_opened(event.text)
                return
            if edited is not None and self._chat.running is not None:
                words = "A reply is still being written; stop it with esc, then send again."
                composer.decline(event.text, words)
                return
            draft = Draft(event.text, composer.chips.files)
            await composer.chips.take(draft.pictures)
            composer.area.prompts.add(event.text)
            if edited is not None:
                await composer.end_edit()
            kept = kept_words(edited, self._chat.turns, self.turns.versions) if edited else ""
            self._replies.send(draft, edited, drop_draft=self.draft.keeper.has_read)
            self._tell_kept(kept)
            self.draft.show_queue()

    def _tell_kept(self, words: str) -> None:
        """Say where turns are that are no longer on the screen; the reply has begun already."""
        if words and self._chat.running is not None:
            self.tell(words)

    async def action_answer_again(self) -> None:
        """Answer the last question again; one that has no reply gets its first."""
        async with self._chat.switching:
            self._replies.answer_again()

    async def action_go_on(self) -> None:
        """Continue the last reply, which did not end by itself."""
        async with self._chat.switching:
            self._replies.go_on()

    async def action_compare(self, model: str = "") -> None:
        """Have another model answer the last question; without ``model``, show two versions."""
        async with self._chat.switching:
            if model:
                self._replies.compare(model)
            else:
                self.turns.show_beside()

    @on(PromptArea.TakeBackWanted)
    async def _take_back(self) -> None:
        async with self._chat.switching:
            if mine := self._chat.queued_here:
                self._chat.queue.remove(mine[-1])
                self.draft.show_queue()
                await self.composer.put(mine[-1].draft)

    @on(entered.LeaveWanted)
    def _quit(self) -> None:
        """End the app; here, because what was sent just before comes here too, and first."""
        self.draft.keeper.typed = self.composer.unsent
        self._engine.pictures.stop_decoding()
        self.app.exit()

    async def stop(self, *, empties: bool) -> None:
        """End the running reply, its queue goes back to the drafts; else leave an edit.

        Else the composer ``empties``, at the second call.
        """
        if (running := self._chat.running) is not None:
            self._engine.stop(running.session_id or "")
            self.post_message(messages.WorkChanged("stopping …"))
            waiting = self._chat.take_queue(running)
            self.draft.show_queue()
            async with self._chat.switching:
                await self.draft.give_back(*waiting)
        elif self.composer.edited is not None:
            async with self._chat.switching:
                await self.composer.give_up_edit()
        elif empties:
            async with self._chat.switching:
                await self.composer.empty()

    # The running reply

    def _start(self, running: RunningTurn, ask: Ask) -> None:
        self.composer.busy = True
        self.notices.clear()  # they concern what was before
        if running.notice:
            self.tell(running.notice)
        self.post_message(messages.WorkChanged("sending …"))

        def first() -> Iterator[Event]:
            if running.draft is not None and not running.edited:
                self.draft.keeper.check(running.session_id, running.draft)
            self._summariser.make_way()
            yield from ask()

        self._runner.start(running, first)

    def _show_work(self) -> None:
        """Show whether a reply is written that concerns the chat which was just opened."""
        if not self._chat.at_once():
            return
        self.composer.busy = self._chat.running is not None
        self.post_message(messages.WorkChanged("writing …" if self.composer.busy else ""))

    async def _happened(self, running: RunningTurn, event: Event) -> None:
        if isinstance(event, UserTurnStored):
            if self._chat.got_id(event.session_id, running.view):
                self.draft.keeper.move_to(event.session_id)
            self.draft.keeper.save(event.session_id)
            self.post_message(messages.SessionsChanged())
        elif isinstance(event, StoreLost):
            self._tell_of(running, event.message, error=True)
        elif isinstance(event, ContextPlanned) and (words := lowered_words(event.context)):
            self._tell_of(running, f"{words} F3, then c, chooses.")
        if running.session_id == self._chat.session_id:
            await self.turns.pane.apply(event, running)
        if running is self._chat.running:
            self.post_message(messages.ReplyMoved(event))

    async def _ended(self, running: RunningTurn, error: str) -> None:
        chat, composer = self._chat, self.composer
        composer.busy = chat.running is not None
        if not composer.busy:
            self.post_message(messages.WorkChanged(""))
        self.notices.take_off(running.notice)
        if error:
            self._tell_of(running, error, error=True)
            if running.command and not running.has_begun and running.session_id == chat.session_id:
                composer.area.put_first(running.command)
            if not running.stored and running.draft is not None:
                chat.system = running.system or chat.system
                chat.schema = running.schema or chat.schema
                await self.draft.give_back(Queued(running.session_id, running.view, running.draft))
                if running.edited and running.session_id == chat.session_id:
                    composer.edited = running.edited
            elif running.has_begun and running.session_id == chat.session_id:
                await self.turns.pane.fail(error)  # else it was refused, and all is as it was
        self.post_message(messages.SessionsChanged())
        if error or running.failed or running.stopped:
            waiting = chat.take_queue(running)
            await self.draft.give_back(*waiting)
            if running.failed and (waiting or not chat.is_here(running)):
                again = "what waited to be sent is in the message again"
                self._tell_of(running, f"The reply failed{f': {again}' if waiting else ''}.")
        else:
            self._replies.send_next()
        self.draft.show_queue()
        self.draft.measure()
        if not chat.runs:
            self._summariser.consider(chat.session_id)
        self.turns.look_up_versions(2)
        if running.compares and not error and running.session_id == chat.session_id:
            self.turns.show_beside()

    def _tell_of(self, running: RunningTurn, words: str, *, error: bool = False) -> None:
        """Show a notice about a reply; name its chat where another is on the screen."""
        if not self._chat.is_here(running):
            name = self._name_of(running.session_id) if running.session_id else "New chat"
            words = f"“{name}”: {words}"
        self.tell(words, error=error)

    # The selected turn

    async def action_turn(self, name: str) -> None:
        """Do something with the selected turn, or the last that it can be done with."""
        async with self._chat.switching:
            session_id, turn = self._chat.session_id, self.turns.target(name)
            if session_id is None or turn is None:
                return
            match name:
                case "again":
                    self._leave_turn()
                    reply = next((one for one in self._chat.turns if one.parent == turn.id), turn)
                    versioned = reply if turn.role is Role.USER else turn
                    kept = kept_words(versioned.id, self._chat.turns, self.turns.versions)
                    self._replies.answer_again(turn.id)
                    self._tell_kept(kept)
                case "go_on":
                    self._leave_turn()
                    self._replies.go_on()
                case "edit":
                    self._edit(session_id, turn.id)
                case "quote":
                    self._leave_turn()
                    area = self.composer.area
                    before = area.text.rstrip()
                    area.set_text((f"{before}\n\n" if before else "") + quoted(turn.text) + "\n\n")
                case _:
                    self.turns.do(name, session_id, turn)

    @on(TurnKeys.Pressed)
    async def _act(self, event: TurnKeys.Pressed) -> None:
        await self.action_turn(event.name)

    @on(messages.BranchWanted)
    async def _branch(self, event: messages.BranchWanted) -> None:
        async with self._chat.switching:
            self._leave_turn()
            kept = kept_words(event.turn_id, self._chat.turns, self.turns.versions)
            self._replies.branch(event.turn_id, event.place, event.token)
            self._tell_kept(kept)

    @on(TurnKeys.Left)
    def _leave_turn(self, event: TurnKeys.Left | None = None) -> None:
        """Select no turn and go back to the text."""
        self.turns.deselect()
        self.composer.area.focus()
        if event is not None and event.typed:
            self.composer.area.insert(event.typed)
        if event is not None and event.sends:
            self.composer.area.action_send()

    def _edit(self, session_id: str, turn_id: str) -> None:
        async def begin(draft: Draft) -> None:
            async with self._chat.switching:
                if session_id == self._chat.session_id:
                    self._leave_turn()
                    await self.composer.begin_edit(turn_id, draft)

        if self._chat.running is not None:
            self.tell(BUSY)
        else:
            self.in_thread(lambda: partial(begin, self._engine.store.draft_of(session_id, turn_id)))

    @on(PictureView.Opened)
    async def _show_clicked(self, event: PictureView.Opened) -> None:
        await self.draft.attachments.action_show_picture(str(event.number))
