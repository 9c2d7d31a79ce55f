"""``phichat chat --plain``: the app line by line, for screen readers and dumb terminals.

Nothing moves the cursor, draws a box or has a colour. A line is a message, or a command that begins
with a slash. Replies come sentence by sentence.
"""

from __future__ import annotations

import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import chain
from types import FrameType
from typing import TYPE_CHECKING

import click

from assistant.cli.document_passwords import ask_for_passwords, question, unseen
from assistant.cli.plain_input import PlainInput
from assistant.cli.plain_reply import PlainReply
from assistant.values.conversation import Draft, PictureFile, Role, Turn
from assistant.values.errors import PhichatError
from assistant.values.events import Event, UserTurnStored
from assistant.values.sampling import Parameters
from assistant.values.text import one_line, plain
from assistant.values.words import counted
from tui.slashes import find_slash, slash_without_slash, split_slash

if TYPE_CHECKING:
    from assistant.engine.engine import Engine

LISTED = 20
"""Chats or pictures that a command names; /search and other words find the others."""
SHOWN = 3
"""Last messages of a chat that are said when it is opened."""
OWN_WAY = ("phichat sessions list", "/chats")
"""A command of the shell that errors name, and the one that does it here."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command; ``run`` is given what follows its name."""

    name: str
    argument: str
    does: str
    run: Callable[[PlainChat, str], object]


class PlainChat:
    """One conversation after another, on standard input and output."""

    def __init__(
        self, engine: Engine, commands: Sequence[Command], session_id: str | None = None
    ) -> None:
        self.engine = engine
        self.commands = commands
        self.session_id = session_id
        self.attached: list[PictureFile] = []
        self.is_over = False
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._is_answering = threading.Event()
        self.input = PlainInput()
        self._doubted = ""
        """The last line, if it was taken for a command without its slash."""
        self.begin(session_id)

    def begin(self, session_id: str | None) -> None:
        """Go to another chat, None for a new one."""
        self.session_id, self.system, self.schema = session_id, "", ""
        self.deleted: str | None = None
        """The chat that was deleted last, until another is opened."""

    def run(self, pictures: Sequence[str] = ()) -> None:
        """Talk until /quit or the end of standard input."""
        name = self.engine.model.facts().name
        self.say(f"phichat with {one_line(name)}. /help lists the commands, /quit ends.")
        self.engine.model.preload()
        if self.session_id is not None:
            self.show_last(SHOWN)
        threading.Thread(target=self._read, daemon=True).start()
        ask_for_passwords(self._password)
        for source in pictures:
            self._try(lambda source=source: self.open_picture(source))  # type: ignore[misc]
        while not self.is_over:
            click.echo("You: ", nl=False)
            try:
                line = self._lines.get()
            except KeyboardInterrupt:
                self.say("\n/quit ends.")
                continue
            if line is None:
                click.echo()
                return
            self._try(lambda line=line: self._take(line))  # type: ignore[misc]

    def open(self) -> str:
        """Return the id of the open chat. Raises PhichatError for one without a message."""
        if self.session_id is None:
            raise PhichatError("This chat has no message yet.")
        return self.session_id

    def last(self, role: Role) -> Turn:
        """Return the last message, or reply, of the open chat. Raises PhichatError."""
        turns = self.engine.store.conversation(self.open()).turns
        found = next((turn for turn in reversed(turns) if turn.role is role), None)
        if found is None:
            raise PhichatError("This chat has none yet.")
        return found

    def say(self, words: str) -> None:
        click.echo(plain(words))

    def show_last(self, count: int) -> None:
        """Say the last messages of the open chat."""
        conversation = self.engine.store.conversation(self.open())
        messages = counted(len(conversation.turns), "message")
        self.say(f"{one_line(conversation.title)}: {messages}.")
        for turn in conversation.turns[max(0, len(conversation.turns) - count) :]:
            self.show(turn)

    def show(self, turn: Turn) -> None:
        """Say one message or reply, and its pictures."""
        for picture in turn.pictures:
            pinned = ", pinned" if picture.pinned else ""
            self.say(f"Picture {picture.number}: {described(picture)}{pinned}")
        speaker = "You" if turn.role is Role.USER else one_line(turn.model or "The model", 40)
        left_out = " (left out)" if turn.excluded else ""
        self.say(f"{speaker}{left_out}: {turn.text}")

    def open_picture(self, source: str) -> None:
        """Attach a file, all pages that a source names, or an address."""
        for file in self.engine.pictures.open_each(source):
            self.attach(file)

    def _password(self, name: str) -> str:
        with unseen(question(name)):
            line = self._lines.get()
        if line is None:
            self._lines.put(None)
        return line or ""

    def attach(self, file: PictureFile) -> None:
        """Attach a picture that is open to the next message."""
        self.attached.append(file)
        tokens = counted(self.engine.pictures.tokens(file), "token")
        self.say(f"Attached: {described(file)}, {tokens}. {file.notice}".rstrip())

    def answer(self, events: Iterator[Event]) -> None:
        """Print a reply; ctrl-C stops it and keeps its text."""
        reply = PlainReply(one_line(self.engine.model.facts().name, 40))
        before = signal.signal(signal.SIGINT, self._stop_soon)
        self._is_answering.set()
        try:
            with closing(events):  # type: ignore[type-var]
                for event in events:
                    if isinstance(event, UserTurnStored):
                        self.begin(event.session_id)
                        self.attached.clear()
                    reply.hear(event)
        finally:
            self._is_answering.clear()
            signal.signal(signal.SIGINT, before)

    def _read(self) -> None:
        """Read standard input; /stop is obeyed while a reply is written, other lines wait."""
        with suppress(OSError):  # a terminal that went away
            for line in self.input.lines():
                if line.strip() == "/stop" and self._is_answering.is_set():
                    self.engine.stop()
                else:
                    self._lines.put(line)
        self._lines.put(None)

    def _try(self, do: Callable[[], object]) -> None:
        try:
            do()
        except PhichatError as error:
            self.say(f"Error: {error}".replace(*OWN_WAY))

    def _take(self, line: str) -> None:
        doubted, self._doubted = self._doubted, ""
        if command := split_slash(line):
            self._run(*command)
        elif line != doubted and (slash := slash_without_slash(line)) is not None:
            self._doubted = line
            self.say(f"{slash.name} is the command; the same line again goes to the model.")
        elif line.strip() or self.attached:
            found = self.engine.pictures.find_dropped(line)
            opened = [list(self.engine.pictures.open_each(one)) for one in found.sources]
            for file in chain.from_iterable(opened):  # all of them, or none
                self.attach(file)
            if found.words or not found.sources:
                self._send(found.words or line)

    def _run(self, name: str, argument: str) -> None:
        """Run a command by its name, by one of the app's other names, or by its beginning."""
        slash, wanted = find_slash(name), name.lower()
        known = slash.name if slash else wanted
        found = (
            [one for one in self.commands if one.name == wanted]
            or [one for one in self.commands if one.name == known]
            or [one for one in self.commands if one.name.startswith(wanted)]
            or [one for one in self.commands if slash and known.startswith(one.name)]
        )
        if len(found) == 1 and argument and not found[0].argument:
            self.say(f"{name} takes nothing after it. Nothing was done.")
            return
        if len(found) == 1:
            found[0].run(self, argument)
            return
        several = " and ".join(one.name for one in found)
        what = f"{name} begins {several}." if found else f"There is no command {name}."
        self.say(f"{what} /help lists them.")

    def _send(self, text: str) -> None:
        draft = Draft(text, tuple(self.attached))
        parameters = Parameters(schema=self.schema) if self.schema else None
        system = self.system or None
        self.answer(self.engine.send(self.session_id, draft, system=system, parameters=parameters))

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        # a thread, because this one may hold the very lock that stop() takes
        threading.Thread(target=self.engine.stop, daemon=True).start()


def described(one: object) -> str:
    """Describe a picture in words."""
    name, width, height = (getattr(one, field) for field in ("name", "width", "height"))
    return f"{one_line(name)}, {width} by {height} pixels"


def number_of(typed: str, usual: int) -> int:
    """Read the number after a command; ``usual`` where there is none."""
    if typed and not typed.isdecimal():
        raise PhichatError(f"{one_line(typed, 30)} is no number.")
    return int(typed or usual)
