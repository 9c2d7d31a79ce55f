"""The selected turn, and what a person does with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.content import Content

from assistant.values.conversation import FinishReason, Role, Turn, TurnKind
from assistant.values.text import one_line, plain
from tui import messages
from tui.keys import TURN_ACTIONS, TurnAction
from tui.pages.choose import ChooseScreen
from tui.widgets.chat_pane import ChatPane
from tui.widgets.composer import Composer
from tui.widgets.turn_bar import TurnBar
from tui.widgets.turn_head import TurnHead

if TYPE_CHECKING:
    from textual.message import Message

    from assistant.engine import Engine
    from tui.chat.screen import ChatScreen

_FENCE = re.compile(
    r"^[ \t]*(?P<fence>```+|~~~+)(?P<info>[^\n]*)\n(?P<code>.*?)"
    r"(?:\n[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_HALF = (FinishReason.STOPPED, FinishReason.LENGTH, FinishReason.INTERRUPTED, FinishReason.ERROR)


def code_blocks(text: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a Markdown text as (language, code)."""
    return [(match["info"].strip(), match["code"]) for match in _FENCE.finditer(text)]


def quoted(text: str) -> str:
    """Return a text as a Markdown quotation."""
    return "\n".join(f"> {line}".rstrip() for line in plain(text).strip().splitlines())


class TurnActions:
    """Knows which turn is selected; the turns themselves are the pane's."""

    def __init__(self, screen: ChatScreen, engine: Engine) -> None:
        self._screen = screen
        self._engine = engine
        self._selected: str | None = None
        self._summary: tuple[str | None, str] = (None, "")
        self.versions: dict[str, tuple[int, int]] = {}
        """Which version of how many each turn is, as far as it was looked up."""

    @property
    def turn(self) -> Turn | None:
        """The selected turn."""
        turns = self._pane.turns
        return next((turn for turn in turns if turn.id == self._selected), None)

    # Selecting

    async def move(self, by: int) -> None:
        """Select the turn above or below; below the last one is the composer."""
        turns = self._pane.turns
        ids = [turn.id for turn in turns]
        if self._selected in ids:
            place = ids.index(self._selected) + by
        elif by < 0:
            place = len(ids) - 1
        else:
            return
        if place >= len(ids):
            self.leave()
        elif place >= 0:
            await self.select(ids[place])

    async def select(self, turn_id: str) -> None:
        """Select a turn, bring it into sight and show what can be done with it."""
        self._mark(self._selected, selected=False)
        self._selected = turn_id
        if (turn := self.turn) is None:
            self.leave()
            return
        widget = self._pane.widget_of(turn_id)
        if widget is None:
            await self._pane.show_turn(turn_id)
        else:
            widget.scroll_visible(animate=False)
        self._mark(turn_id, selected=True)
        self._show_bar(turn)
        self.look_up_versions([turn_id])

    def leave(self, typed: str = "") -> None:
        """Select nothing and go back to the text."""
        self._mark(self._selected, selected=False)
        self._selected = None
        self._bar.hide()
        area = self._composer.area
        area.focus()
        if typed:
            area.insert(typed)

    def refresh(self) -> None:
        """The turns were changed: mark them anew."""
        for turn_id, (place, count) in self.versions.items():
            if (widget := self._pane.widget_of(turn_id)) is not None:
                widget.head.show_versions(place, count)
        if self._selected is not None and self.turn is None:
            self.leave()
        elif self._selected is not None:
            self._mark(self._selected, selected=True)
            if self._bar.has_focus:
                assert self.turn is not None
                self._show_bar(self.turn)

    def show_summary(self, turn_id: str | None, text: str) -> None:
        """Show the summary above the first turn that the model still sees, and nowhere else."""
        self._summary = (turn_id, text)
        self.mark_summary()

    def mark_summary(self) -> None:
        """The same, after other turns were mounted."""
        turn_id, text = self._summary
        for head in self._pane.query(TurnHead):
            head.show_summary(text if head.turn_id == turn_id else "")

    def _show_bar(self, turn: Turn) -> None:
        place, count = self.versions.get(turn.id, (1, 1))
        words = "Reply" if turn.role is Role.ASSISTANT else "Message"
        if turn.kind is TurnKind.RECALL:
            words = "Quotation"
        what = Content.styled(words + (f" ‹{place}/{count}›" if count > 1 else ""), "bold $accent")
        self._bar.show(what, self.possible(turn), has_versions=count > 1)

    def _mark(self, turn_id: str | None, *, selected: bool) -> None:
        if turn_id is not None and (widget := self._pane.widget_of(turn_id)) is not None:
            widget.set_class(selected, "-selected")

    # Versions

    def look_up_versions(self, turn_ids: list[str]) -> None:
        """Have counted which version of how many these turns are."""

        def look() -> Message:
            found = {}
            for turn_id in turn_ids:
                ids = [turn.id for turn in self._engine.store.siblings(turn_id)]
                found[turn_id] = (ids.index(turn_id) + 1, len(ids))
            return messages.VersionsCounted(found)

        if turn_ids:
            self._screen.in_thread(look)

    def versions_counted(self, found: dict[str, tuple[int, int]]) -> None:
        """Show what was counted."""
        self.versions |= found
        self.refresh()

    def step(self, by: int) -> None:
        """Go to the version before or after of the selected turn."""
        session_id, turn = self._screen.session_id, self.turn
        if session_id is None or turn is None or self._is_running():
            return

        def choose() -> Message:
            ids = [one.id for one in self._engine.store.siblings(turn.id)]
            place = ids.index(turn.id) + by
            if not 0 <= place < len(ids):
                words = "There is only this version." if len(ids) == 1 else "This is the last one."
                return messages.Told(words)
            conversation = self._engine.store.choose(session_id, ids[place])
            return messages.SessionRead(
                conversation,
                self._engine.store.changes(),
                self._screen.turns.ended,
                select=ids[place],
            )

        self._screen.in_thread(choose)

    # Doing

    def possible(self, turn: Turn) -> list[TurnAction]:
        """What makes sense for this turn."""
        is_reply = turn.role is Role.ASSISTANT
        is_message = turn.role is Role.USER and turn.kind is TurnKind.MESSAGE
        is_last = bool(self._pane.turns) and self._pane.turns[-1].id == turn.id
        fits = {
            "copy_code": bool(code_blocks(turn.text)),
            "again": is_reply or is_message,
            "go_on": is_reply and is_last and turn.finish_reason in _HALF,
            "edit": is_message,
        }
        return [action for action in TURN_ACTIONS if fits.get(action.name, True)]

    async def do(self, name: str) -> None:
        """Do what was chosen for the selected turn."""
        turn, session_id = self.turn or self._usual(name), self._screen.session_id
        if turn is None or session_id is None:
            self._screen.tell("This chat has no such turn yet.")
            return
        if name not in {"step_back", "step_on", "menu"} | {a.name for a in self.possible(turn)}:
            self._screen.tell("This can't be done with the selected turn.")
            return
        match name:
            case "step_back" | "step_on":
                self.step(-1 if name == "step_back" else 1)
            case "menu":
                self._screen.run_worker(self._menu(turn))
            case "copy":
                self._screen.app.copy_to_clipboard(plain(turn.text))
            case "copy_code":
                self._screen.run_worker(self._copy_code(turn))
            case "again":
                self.leave()
                self._screen.talk.answer_again(turn.id)
            case "go_on":
                self.leave()
                self._screen.talk.go_on()
            case "edit":
                self._edit(session_id, turn)
            case "pin":
                self._store(lambda: self._engine.store.set_turn_pinned(turn.id, not turn.pinned))
            case "exclude":
                self._store(
                    lambda: self._engine.store.set_turn_excluded(turn.id, not turn.excluded)
                )
            case "fork":
                self._screen.chats.fork(session_id, turn.id)
            case "quote":
                area = self._composer.area
                before = area.text.rstrip()
                self.leave()
                area.set_text((f"{before}\n\n" if before else "") + quoted(turn.text) + "\n\n")

    def _usual(self, name: str) -> Turn | None:
        """What is meant where no turn is selected: the last that this can be done with."""
        turns = reversed(self._pane.turns)
        return next((one for one in turns if name in {a.name for a in self.possible(one)}), None)

    async def _menu(self, turn: Turn) -> None:
        actions = self.possible(turn)
        rows = [
            Content.assemble((f" {action.key}  ", "bold $primary"), action.does)
            for action in actions
        ]
        keys = [action.key for action in actions]
        place = await self._screen.app.push_screen_wait(ChooseScreen("This turn", rows, keys))
        if place is not None:
            await self._screen.action_turn(actions[place].name)

    async def _copy_code(self, turn: Turn) -> None:
        blocks = code_blocks(turn.text)
        place: int | None = 0
        if len(blocks) > 1:
            rows = [
                Content.assemble(
                    (f"{one_line(language, 12) or 'text':<13}", "$phi-quiet"), one_line(code, 50)
                )
                for language, code in blocks
            ]
            place = await self._screen.app.push_screen_wait(ChooseScreen("Copy which one?", rows))
        if place is not None:
            self._screen.app.copy_to_clipboard(plain(blocks[place][1]))

    def _edit(self, session_id: str, turn: Turn) -> None:
        if not self._is_running():

            def read() -> Message:
                draft = self._engine.store.draft_of(session_id, turn.id)
                return messages.EditBegun(session_id, turn.id, draft)

            self._screen.in_thread(read)

    def _store(self, mark: Callable[[], None]) -> None:
        def job() -> Message:
            mark()
            return messages.TurnMarked()

        self._screen.in_thread(job)

    def _is_running(self) -> bool:
        busy = self._screen.turns.running is not None
        if busy:
            self._screen.tell("A reply is still being written; wait for it, or stop it with esc.")
        return busy

    @property
    def _pane(self) -> ChatPane:
        return self._screen.query_one(ChatPane)

    @property
    def _composer(self) -> Composer:
        return self._screen.query_one(Composer)

    @property
    def _bar(self) -> TurnBar:
        return self._screen.query_one(TurnBar)
