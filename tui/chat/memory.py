"""What the model is reminded of: quotations, pins, the summary, what it is told beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from assistant.values.context import Why
from assistant.values.conversation import ExportFormat, Summary
from assistant.values.errors import PhichatError
from assistant.values.text import one_line
from tui import messages
from tui.pages.write import WriteScreen
from tui.widgets.chat_pane import ChatPane
from tui.widgets.completion import references

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.message import Message

    from assistant.engine import Engine
    from tui.chat.screen import ChatScreen

NOTHING_YET = "This chat has no message yet."


class Memory:
    """Each method is one command; the engine is asked in threads."""

    def __init__(self, screen: ChatScreen, engine: Engine) -> None:
        self._screen = screen
        self._engine = engine

    def recall(self, words: str, *, everywhere: bool = False) -> None:
        """Quote earlier turns with these words, as one turn that the model reads next."""
        if not words:
            self._screen.tell("Say which words: /recall WORDS quotes earlier turns that have them.")
        elif self._screen.turns.running is not None:
            self._screen.tell("A reply is still being written; wait for it, or stop it with esc.")
        else:
            self._change(lambda one: self._engine.memory.recall(one, words, everywhere=everywhere))

    def pin(self, argument: str, *, pinned: bool) -> None:
        """Pin pictures (``#3``), or else the selected or the last turn."""
        numbers = references(argument) or [int(w) for w in argument.split() if w.isdecimal()]
        turn = self._screen.actions.turn
        turns = self._screen.query_one(ChatPane).turns
        if argument and not numbers:
            self._screen.tell("Say which picture: /pin #3. Alone it pins the selected turn.")
        elif numbers:

            def pin(session_id: str) -> None:
                for number in numbers:
                    self._engine.store.set_picture_pinned(session_id, number, pinned)

            words = ", ".join(f"#{number}" for number in numbers)
            does = "always sees" if pinned else "may do without"
            self._change(pin, f"The model {does} {words}.")
        elif turn or turns:
            chosen = turn or turns[-1]
            self._change(lambda _: self._engine.store.set_turn_pinned(chosen.id, pinned))
        else:
            self._screen.tell(NOTHING_YET)

    async def summary(self) -> None:
        """Show the summary of what no longer fits, to be changed."""
        session_id = self._screen.session_id
        if session_id is None:
            self._screen.tell(NOTHING_YET)
            return

        def read() -> Message:
            summary = self._engine.store.conversation(session_id).summary
            left_out = self._engine.prompts.context(session_id).left_out
            gone = any(one.why is Why.NO_ROOM and one.picture is None for one in left_out)
            if summary is None and not gone:
                return messages.Told("The model still sees all of this chat: nothing to sum up.")
            return messages.SummaryRead(session_id, summary)

        self._screen.in_thread(read)

    async def edit_summary(self, session_id: str, summary: Summary | None) -> None:
        """Let the person change it; runs as a worker, because a dialog is waited for."""
        text = await self._screen.app.push_screen_wait(
            WriteScreen(
                "What the model is told of the turns that no longer fit",
                summary.text if summary else "",
                "ctrl+s keeps it · empty: no summary · esc leaves it as it was",
            )
        )
        if text is not None:
            self._change(lambda _: self._engine.memory.set_summary(session_id, text))

    async def system(self, text: str) -> None:
        """Tell the model something before the open chat; without ``text``, ask for it."""
        session_id = self._screen.session_id
        if session_id is None:
            self._screen.tell("Send a message first; then /system TEXT is for this chat.")
        elif text:
            self._change(
                lambda one: self._engine.store.set_system(one, text), "The model is told that."
            )
        else:
            self._screen.in_thread(
                lambda: messages.SystemRead(
                    session_id, self._engine.store.conversation(session_id).system or ""
                )
            )

    async def edit_system(self, session_id: str, old: str) -> None:
        """Let the person change what the model is told; runs as a worker."""
        text = await self._screen.app.push_screen_wait(
            WriteScreen(
                "What the model is told before this chat",
                old,
                "ctrl+s keeps it · empty: nothing · esc leaves it as it was",
            )
        )
        if text is not None and text != old:
            self._change(lambda _: self._engine.store.set_system(session_id, text.strip() or None))

    def stop_at(self, text: str) -> None:
        """End the replies of the open chat before ``text``, in which ``\\n`` breaks the line."""
        stop = (text.replace("\\n", "\n"),) if text else None

        def change(session_id: str) -> None:
            parameters = self._engine.store.conversation(session_id).parameters
            self._engine.store.set_parameters(session_id, parameters.changed(stop=stop))

        self._change(
            change, f"Replies end before “{text}”." if text else "Replies end by themselves."
        )

    def export(self, argument: str) -> None:
        """Write the open chat to a file; its suffix says how."""
        session_id = self._screen.session_id
        if session_id is None:
            self._screen.tell(NOTHING_YET)
            return
        path = Path(argument.strip("'\"") or "chat.html").expanduser().absolute()

        def write() -> Message:
            try:
                kind = ExportFormat(path.suffix.lower().removeprefix("."))
            except ValueError:
                raise PhichatError(
                    "Give a file that ends with .html, .md or .json: /export talk.html"
                ) from None
            written = self._engine.store.export_to(path, [session_id], kind)
            return messages.Told(f"Written: {one_line(str(written[0]))}")

        self._screen.in_thread(write)

    def _change(self, change: Callable[[str], object], words: str = "") -> None:
        session_id = self._screen.session_id
        if session_id is None:
            self._screen.tell(NOTHING_YET)
            return

        def job() -> Message:
            change(session_id)
            return messages.TurnMarked(words)

        self._screen.in_thread(job)
