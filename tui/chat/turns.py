"""What is done with single turns, and with what the model is reminded of: who does it."""

from __future__ import annotations

from textual import on

from tui import messages
from tui.chat.memory import Memory
from tui.chat.state import StateScreen
from tui.chat.talk import Talk
from tui.chat.turn_actions import TurnActions
from tui.widgets.composer import Composer
from tui.widgets.turn_bar import TurnBar
from tui.widgets.turn_head import TurnClicked
from tui.widgets.turn_window import TAIL


class TurnScreen(StateScreen):
    """The part of the chat screen that passes on what concerns single turns."""

    talk: Talk
    actions: TurnActions
    memory: Memory

    # Memory

    def action_recall(self, words: str = "") -> None:
        """Quote earlier turns of this chat."""
        self.memory.recall(words)

    def action_recall_everywhere(self, words: str = "") -> None:
        """Quote earlier turns of any chat."""
        self.memory.recall(words, everywhere=True)

    def action_pin(self, argument: str = "") -> None:
        """Pin a picture or a turn."""
        self.memory.pin(argument, pinned=True)

    def action_unpin(self, argument: str = "") -> None:
        """Pin it no longer."""
        self.memory.pin(argument, pinned=False)

    async def action_summary(self) -> None:
        """Show the summary of what no longer fits, to be changed."""
        await self.memory.summary()

    async def action_system(self, text: str = "") -> None:
        """Tell the model something before this chat."""
        await self.memory.system(text)

    def action_stop_at(self, text: str = "") -> None:
        """End the replies of this chat before a text."""
        self.memory.stop_at(text)

    def action_export(self, path: str = "") -> None:
        """Write this chat to a file."""
        self.memory.export(path)

    @on(messages.SummaryRead)
    def _edit_summary(self, event: messages.SummaryRead) -> None:
        self.run_worker(self.memory.edit_summary(event.session_id, event.summary))

    @on(messages.SystemRead)
    def _edit_system(self, event: messages.SystemRead) -> None:
        self.run_worker(self.memory.edit_system(event.session_id, event.text))

    # Single turns

    async def action_select_turn(self, by: int) -> None:
        """Select a turn, or the one above or below."""
        async with self.switching:
            await self.actions.move(by)

    async def action_turn(self, name: str) -> None:
        """Do something with the selected turn."""
        async with self.switching:
            await self.actions.do(name)

    @on(TurnClicked)
    async def _select_clicked(self, event: TurnClicked) -> None:
        if self.get_selected_text() is None:
            async with self.switching:
                await self.actions.select(event.turn_id)

    @on(TurnBar.Moved)
    async def _move_selection(self, event: TurnBar.Moved) -> None:
        await self.action_select_turn(event.by)

    @on(TurnBar.Pressed)
    async def _do_with_turn(self, event: TurnBar.Pressed) -> None:
        await self.action_turn(event.name)

    @on(TurnBar.Left)
    def _leave_turn(self, event: TurnBar.Left) -> None:
        self.actions.leave(event.typed)

    @on(messages.SessionOpened)
    def _count_versions(self, event: messages.SessionOpened) -> None:
        self.actions.look_up_versions([turn.id for turn in event.conversation.turns[-TAIL:]])

    @on(messages.VersionsCounted)
    def _show_versions(self, event: messages.VersionsCounted) -> None:
        self.actions.versions_counted(event.versions)

    @on(messages.EditBegun)
    async def _begin_edit(self, event: messages.EditBegun) -> None:
        async with self.switching:
            if event.session_id == self.session_id:
                self.actions.leave()
                await self.query_one(Composer).begin_edit(event.turn_id, event.draft)
