"""Commands for the model's memory: quotations, pins, the summary, instructions; and the export."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

from assistant.values.context import Why
from assistant.values.conversation import Summary
from assistant.values.errors import SchemaError
from assistant.values.sampling import Sampling
from assistant.values.schema import read_schema
from assistant.values.text import one_line
from tui import messages
from tui.chat.open_chat import BUSY
from tui.pages.write import WriteScreen

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.message import Message

    from assistant.engine.engine import Engine
    from tui.chat.open_chat import OpenChat
    from tui.chat.part import Host
    from tui.requests import Answer

JSON_WORDS = "Answers of this chat are JSON by this schema; /schema alone ends that."
WORDS_AGAIN = "Answers of this chat are words again."
_NUMBER = re.compile(r"#?\d{1,6}", re.ASCII)
NOTHING_YET = "This chat has no message yet."


class Memory:
    """Each action is one slash command for the open chat."""

    def __init__(self, host: Host, engine: Engine, chat: OpenChat) -> None:
        self._host = host
        self._engine = engine
        self._chat = chat

    def action_recall(self, words: str = "", *, everywhere: bool = False) -> None:
        """Quote earlier turns with these words, as one turn that the model reads next."""
        if not words:
            self._host.refuse("Say which words: /recall WORDS quotes earlier turns that have them.")
        elif self._chat.running is not None:
            self._host.refuse(BUSY)
        else:
            self._change(lambda one: self._engine.memory.recall(one, words, everywhere=everywhere))

    def action_recall_everywhere(self, words: str = "") -> None:
        """Quote earlier turns of any chat."""
        self.action_recall(words, everywhere=True)

    def action_pin(self, argument: str = "", *, pinned: bool = True) -> None:
        """Pin pictures (``#3``), or else the selected or the last turn."""
        typed = argument.replace(",", " ").split()
        numbers = [int(one.removeprefix("#")) for one in typed if _NUMBER.fullmatch(one)]
        turn = self._chat.selected_turn or (self._chat.turns[-1] if self._chat.turns else None)
        if len(numbers) < len(typed):
            self._host.refuse("Say which picture: /pin #3. Alone it pins the selected turn.")
        elif numbers:

            def pin(session_id: str) -> None:
                for number in numbers:  # before any is changed: a wrong number refuses all
                    self._engine.store.picture_file(session_id, number)
                for number in numbers:
                    self._engine.store.set_picture_pinned(session_id, number, pinned)

            words = ", ".join(f"#{number}" for number in numbers)
            does = "always sees" if pinned else "may do without"
            self._change(pin, f"The model {does} {words}.")
        elif turn is not None:
            self._change(lambda _: self._engine.store.set_turn_pinned(turn.id, pinned))
        else:
            self._host.refuse(NOTHING_YET)

    def action_unpin(self, argument: str = "") -> None:
        """Unpin pictures, or else the selected or the last turn."""
        self.action_pin(argument, pinned=False)

    def action_summary(self) -> None:
        """Show the summary of what no longer fits, to be changed."""
        if (session_id := self._open()) is None:
            return

        def read() -> Answer:
            summary = self._engine.store.conversation(session_id).summary
            left_out = self._engine.prompts.context(session_id).left_out
            gone = any(one.why is Why.NO_ROOM and one.picture is None for one in left_out)
            if summary is None and not gone:
                words = "The model still sees all of this chat: nothing to sum up."
                return partial(self._host.tell, words)
            return partial(self._edit_summary, session_id, summary)

        self._host.in_thread(read)

    def _edit_summary(self, session_id: str, summary: Summary | None) -> None:
        def keep(text: str | None) -> None:
            if text is not None:
                self._change(lambda _: self._engine.memory.set_summary(session_id, text))

        self._host.open_page(
            WriteScreen(
                "What the model is told of the turns that no longer fit",
                summary.text if summary else "",
                "ctrl+s keeps it · empty: no summary · esc back",
            ),
            keep,
        )

    def action_system(self, text: str = "") -> None:
        """Set the system message of the open chat; without ``text``, ask for it."""
        session_id = self._chat.session_id
        if session_id is None and text:
            self._begin_with(text)
        elif session_id is None:
            old, default = self._chat.system, self._engine.model.settings.system
            self._write_system((default if old is None else old) or "", self._begin_with)
        elif text:
            self._change(
                lambda one: self._engine.store.set_system(one, text), "The model is told that."
            )
        else:
            self._host.in_thread(
                lambda: partial(
                    self._edit_system,
                    session_id,
                    self._engine.store.conversation(session_id).system or "",
                )
            )

    def _begin_with(self, text: str) -> None:
        """Keep a system message for the new chat, which is stored with its first message."""
        self._chat.system = text.strip()
        self._host.tell("The model is told that first in this chat; F4 shows it.")

    def _edit_system(self, session_id: str, old: str) -> None:
        def change(text: str) -> None:
            system = text.strip() or None
            self._change(lambda _: self._engine.store.set_system(session_id, system))

        self._write_system(old, change)

    def _write_system(self, old: str, change: Callable[[str], None]) -> None:
        def keep(text: str | None) -> None:
            if text is not None and text != old:
                change(text)

        self._host.open_page(
            WriteScreen(
                "What the model is told before this chat",
                old,
                "ctrl+s keeps it · empty: nothing · esc back",
            ),
            keep,
        )

    def action_stop_at(self, text: str = "") -> None:
        """End the replies of the open chat before ``text``, in which ``\\n`` breaks the line."""
        stop = (text.replace("\\n", "\n"),) if text else None

        def change(session_id: str) -> None:
            parameters = self._engine.store.conversation(session_id).parameters
            self._engine.store.set_parameters(session_id, parameters.changed(stop=stop))

        self._change(
            change, f"Replies end before “{text}”." if text else "Replies end by themselves."
        )

    def action_schema(self, source: str = "") -> None:
        """Have the answers of the open chat obey a schema; without ``source``, none."""
        session_id = self._chat.session_id
        try:
            schema = read_schema(source)
        except SchemaError as refused:
            self._host.refuse(str(refused), error=True)
            return
        words = JSON_WORDS if schema else WORDS_AGAIN
        if session_id is None:
            self._chat.schema = schema  # at once: the message may be sent before it is checked
            self._host.tell(words)

        def job() -> Answer:
            store = self._engine.store
            if session_id is not None:
                old = store.conversation(session_id).parameters
                store.set_parameters(session_id, old.changed(schema=schema or None))
            try:
                self._engine.model.check(Sampling(schema=schema))
            except SchemaError:
                if session_id is not None:
                    store.set_parameters(session_id, old)
                elif self._chat.schema == schema:
                    self._chat.schema = ""
                raise
            return messages.TurnMarked(words) if session_id is not None else None

        self._host.in_thread(job)

    def action_export(self, argument: str = "") -> None:
        """Write the open chat to a file; its suffix is the format."""
        if (session_id := self._open()) is None:
            return

        def write() -> Answer:
            written = self._engine.store.export_as(argument, session_id)
            return partial(self._host.tell, f"Written: {one_line(str(written))}")

        self._host.in_thread(write)

    def _change(self, change: Callable[[str], object], words: str = "") -> None:
        if (session_id := self._open()) is None:
            return

        def job() -> Message:
            change(session_id)
            return messages.TurnMarked(words)

        self._host.in_thread(job)

    def _open(self) -> str | None:
        if self._chat.session_id is None:
            self._host.refuse(NOTHING_YET)
        return self._chat.session_id
