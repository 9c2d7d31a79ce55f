"""Turns of the open chat, the selected one, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message

from assistant.values.conversation import Role, Turn, TurnKind
from assistant.values.text import one_line, plain
from tui import messages, requests
from tui.chat.open_chat import BUSY, OpenChat
from tui.chat.part import ChatPart
from tui.chat.turn_actions import code_blocks, possible_actions, usual_turn
from tui.keys import TURN_KEYS
from tui.pages.choose import ChooseScreen
from tui.pages.compare import CompareScreen
from tui.pages.doubts import BranchChosen, DoubtsScreen
from tui.widgets.chat_pane import ChatPane
from tui.widgets.hints import Hint, hints_of
from tui.widgets.reply_text import ReplyText
from tui.widgets.reply_turn import ReplyTurn
from tui.widgets.turn_head import TurnClicked, TurnHead
from tui.widgets.turn_keys import TurnKeys

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from tui.widgets.gallery import Gallery

NOTHING_TO_COMPARE = "The last reply has one version: /compare MODEL has another model answer too."
ALWAYS = {"step_back", "step_on", "menu"}
"""Actions that fit every turn."""


class Turns(ChatPart):
    """Selects turns, marks what stands above them, and does what concerns stored turns alone."""

    def __init__(self, engine: Engine, chat: OpenChat, gallery: Gallery) -> None:
        super().__init__(engine, chat, id="turns")
        self.pane = ChatPane(gallery, chat.turns)
        self.keys = TurnKeys()
        self._left_out_words: Mapping[str, str] = {}
        self._summary: tuple[str | None, str] = (None, "")
        self._marked: object = None
        self.versions: dict[str, tuple[int, int]] = {}
        """The version that a turn is, and of how many, by the ids of turns looked up so far."""

    def compose(self) -> ComposeResult:
        with self.keys:
            yield self.pane

    async def action_scroll_chat(self, where: str) -> None:
        """Scroll the chat by a page (``page_up``, ``page_down``), or to its ``end``."""
        await self.pane.chat.go(where)

    # Marks above the turns

    def show_left_out(self, words: Mapping[str, str]) -> None:
        """Say above turns, by their ids, what the model does not see of them."""
        self._left_out_words = words
        self.mark()

    def show_summary(self, turn_id: str | None, text: str) -> None:
        """Show the summary above the first turn that the model still sees, and nowhere else."""
        self._summary = (turn_id, text)
        self.mark()

    def mark(self) -> None:
        """Mark the turns that are mounted now."""
        heads = list(self.pane.query(TurnHead))
        marked = (self._left_out_words, self._summary, [id(head) for head in heads])
        if marked == self._marked:
            return
        self._marked = marked
        turn_id, text = self._summary
        for head in heads:
            head.show_seen(self._left_out_words.get(head.turn_id, ""))
            head.show_summary(text if head.turn_id == turn_id else "")

    # Selecting

    async def action_select_turn(self, by: int) -> None:
        """Select the last turn, or the one above or below; below the last one is the composer."""
        async with self._chat.switching:
            ids = [turn.id for turn in self._chat.turns]
            if self._chat.selected in ids:
                place = ids.index(self._chat.selected) + by
            elif by < 0:
                place = len(ids) - 1
            else:
                return
            if place >= len(ids):
                self.post_message(TurnKeys.Left())
            elif place >= 0:
                await self.select(ids[place])

    @on(TurnKeys.Moved)
    async def _move(self, event: TurnKeys.Moved) -> None:
        await self.action_select_turn(event.by)

    @on(TurnClicked)
    async def _select_clicked(self, event: TurnClicked) -> None:
        if self.screen.get_selected_text() is None:
            async with self._chat.switching:
                await self.select(event.turn_id)

    async def select(self, turn_id: str) -> None:
        """Select a turn, bring it into sight and show what can be done with it."""
        self._highlight(selected=False)
        self._chat.selected = turn_id
        if self._chat.selected_turn is None:
            self.post_message(TurnKeys.Left())
            return
        await self.pane.chat.bring_into_sight(turn_id)
        self._highlight(selected=True)
        self.keys.begin()
        self.post_message(messages.HintsChanged())
        self.look_up_versions(1, turn_id)

    async def go_to(self, turn_id: str) -> bool:
        """Show and select a turn; return False when it is not on this branch."""
        if found := await self.pane.chat.show_turn(turn_id):
            await self.select(turn_id)
        return found

    def deselect(self) -> None:
        """Select nothing."""
        self._highlight(selected=False)
        self._chat.selected = None
        self.keys.end()

    def refresh_marks(self) -> None:
        """Mark what is selected and the versions, after the turns were changed."""
        for turn_id, (place, count) in self.versions.items():
            if (widget := self.pane.chat.widget_of(turn_id)) is not None:
                widget.head.show_versions(place, count)
        if self._chat.selected is None:
            return
        if self._chat.selected_turn is None:
            self.post_message(TurnKeys.Left())
            return
        self._highlight(selected=True)
        self.post_message(messages.HintsChanged())

    def _highlight(self, *, selected: bool) -> None:
        turn_id = self._chat.selected
        if turn_id is not None and (widget := self.pane.chat.widget_of(turn_id)) is not None:
            widget.set_class(selected, "-selected")

    def hints(self) -> tuple[Content, tuple[Hint, ...]]:
        """Return the selected turn in a word, and what can be done with it as it is now."""
        if (turn := self._chat.selected_turn) is None:
            return Content(""), ()
        place, count = self.versions.get(turn.id, (1, 1))
        words = "Reply" if turn.role is Role.ASSISTANT else "Message"
        if turn.kind is TurnKind.RECALL:
            words = "Quotation"
        versions = f" ‹{place}/{count}›" if count > 1 else ""
        hints = [*hints_of(possible_actions(turn, self._chat.turns)), *hints_of(TURN_KEYS)]
        if count > 1:
            hints.insert(0, ("← →", "versions"))
        return Content.styled(words + versions, "bold $accent"), tuple(hints)

    # Versions

    def look_up_versions(self, last: int, turn_id: str | None = None) -> None:
        """Count which version of how many the ``last`` turns are, or the one with ``turn_id``."""
        ids = [turn_id] if turn_id else [turn.id for turn in self._chat.turns[-last:]]

        def look() -> requests.Answer:
            found = {}
            for one in ids:
                versions = [turn.id for turn in self._engine.store.siblings(one)]
                found[one] = (versions.index(one) + 1, len(versions))
            return partial(self._show_versions, found)

        if ids:
            self.in_thread(requests.unless_deleted(look))

    def _show_versions(self, found: dict[str, tuple[int, int]]) -> None:
        self.versions |= found
        self.refresh_marks()

    def _step(self, session_id: str, turn: Turn, by: int) -> None:
        """Go to the version before or after of a turn."""

        def choose() -> requests.Answer:
            ids = [one.id for one in self._engine.store.siblings(turn.id)]
            place = ids.index(turn.id) + by
            if not 0 <= place < len(ids):
                end = "first" if by < 0 else "last"
                words = (
                    f"This is the {end} version." if len(ids) > 1 else "It has no other version."
                )
                return partial(self.tell, words)
            return self._read_branch(session_id, ids[place], select=ids[place])

        if self._chat.running is not None:
            self.tell(BUSY)
        else:
            self.in_thread(choose)

    def choose(self, session_id: str, turn_id: str) -> None:
        """Go to the branch of a turn, without selecting that."""
        if self._chat.running is not None:
            self.tell(BUSY)
        else:
            self.in_thread(lambda: self._read_branch(session_id, turn_id, select=None))

    def show_beside(self) -> None:
        """Show the last reply beside the version before it, or after it where there is none."""
        session_id, last = self._chat.session_id, self._chat.last_turn_id
        if session_id is None or last is None:
            self.tell(NOTHING_TO_COMPARE)
            return

        def choose(turn_id: str | None) -> None:
            if turn_id is not None:
                self.choose(session_id, turn_id)

        def read() -> Callable[[], object]:
            versions = self._engine.store.siblings(last)
            place = [one.id for one in versions].index(last)
            if len(versions) < 2 or versions[place].role is not Role.ASSISTANT:
                return partial(self.tell, NOTHING_TO_COMPARE)
            first = max(0, place - 1)  # before the first version is none
            pair = versions[first : first + 2]
            return partial(self.open_page, CompareScreen(*pair), choose)

        self.in_thread(read)

    def _read_branch(
        self, session_id: str, turn_id: str, *, select: str | None
    ) -> messages.SessionRead:
        conversation = self._engine.store.choose(session_id, turn_id)
        return messages.SessionRead(
            conversation, self._engine.store.changes(), self._chat.ended, select=select
        )

    # What is done with a turn

    def target(self, name: str) -> Turn | None:
        """Return the turn that an action is for; say so where there is none."""
        turns = self._chat.turns
        turn = self._chat.selected_turn or usual_turn(name, turns)
        if turn is None:
            self.tell("This chat has no such turn yet.")
        elif name not in ALWAYS | {action.name for action in possible_actions(turn, turns)}:
            self.tell("This can't be done with the selected turn.")
        else:
            return turn
        return None

    def do(self, name: str, session_id: str, turn: Turn) -> None:
        """Do what neither writes in the composer nor asks for a reply."""
        match name:
            case "step_back" | "step_on":
                self._step(session_id, turn, -1 if name == "step_back" else 1)
            case "menu":
                self._open_menu(turn)
            case "copy":
                self.app.copy_to_clipboard(plain(turn.text))
            case "thought":
                if isinstance(reply := self.pane.chat.widget_of(turn.id), ReplyTurn):
                    reply.unfold_thought()
            case "doubts":
                self._show_doubts(turn)
            case "copy_code":
                self._copy_code(turn)
            case "fork":
                self.in_thread(
                    lambda: messages.SessionForked(self._engine.store.fork(session_id, turn.id))
                )
            case "pin":
                self._store(lambda: self._engine.store.set_turn_pinned(turn.id, not turn.pinned))
            case "exclude":
                self._store(
                    lambda: self._engine.store.set_turn_excluded(turn.id, not turn.excluded)
                )

    def _open_menu(self, turn: Turn) -> None:
        actions = possible_actions(turn, self._chat.turns)
        rows = [
            Content.assemble((f" {action.key}  ", "bold $primary"), action.does)
            for action in actions
        ]

        def chosen(place: int | None) -> None:
            if place is not None:
                self.post_message(TurnKeys.Pressed(actions[place].name))

        self.open_page(ChooseScreen("This turn", rows, [action.key for action in actions]), chosen)

    def _show_doubts(self, turn: Turn) -> None:
        """Show how sure the model was of each word of a reply."""

        def chosen(branch: BranchChosen | None) -> None:
            if branch is not None:
                self.post_message(messages.BranchWanted(turn.id, branch.place, branch.token))

        def show() -> requests.Answer:
            tokens = self._engine.tokens(turn)
            return lambda: self.open_page(DoubtsScreen(tokens), chosen)

        self.in_thread(show)

    def _copy_code(self, turn: Turn) -> None:
        blocks = code_blocks(turn.text)

        def chosen(place: int | None) -> None:
            if place is not None:
                self.app.copy_to_clipboard(plain(blocks[place][1]))

        if len(blocks) == 1:
            chosen(0)
            return
        rows = [
            Content.assemble(
                (f"{one_line(language, 12) or 'text':<13}", "$phi-quiet"), one_line(code, 50)
            )
            for language, code in blocks
        ]
        self.open_page(ChooseScreen("Copy which one?", rows), chosen)

    def _store(self, mark: Callable[[], None]) -> None:
        def job() -> Message:
            mark()
            return messages.TurnMarked()

        self.in_thread(job)

    # Links

    @on(ReplyText.LinkClicked)
    def _tell_address(self, event: ReplyText.LinkClicked) -> None:
        """Show where a link leads; the model wrote it, so nothing is opened."""
        self.tell(event.address)
