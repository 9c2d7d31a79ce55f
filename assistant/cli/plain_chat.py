"""``phichat chat --plain``: the app line by line, for screen readers and dumb terminals.

Nothing moves the cursor, draws a box or has a colour. A line is a message, or a command that begins
with a slash. Replies come sentence by sentence.
"""

from __future__ import annotations

import queue
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, ClassVar

import click

from assistant.cli import prompt as prompt_lines
from assistant.values.conversation import Draft, ExportFormat, FinishReason, PictureFile, Role, Turn
from assistant.values.errors import PhichatError
from assistant.values.events import (
    ContextPlanned,
    Event,
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    Stage,
    StoreLost,
    UserTurnStored,
)
from assistant.values.lowered import lowered_words
from assistant.values.sampling import Parameters
from assistant.values.schema import read_schema
from assistant.values.text import PlainStream, one_line, plain
from assistant.values.words import counted

if TYPE_CHECKING:
    from assistant.engine.engine import Engine

STAGES = {
    Stage.LOADING: "Loading the model.",
    Stage.QUEUED: "Waiting.",
    Stage.PICTURES: "Looking at the pictures.",
    Stage.PREFILL: "Reading the chat.",
    Stage.REGIME: "Reading the chat again: it has become long.",
    Stage.STORING: "Waiting for the database.",
}
ENDS = {
    FinishReason.LENGTH: "The reply reached the longest length. /continue lets it go on.",
    FinishReason.STOPPED: "Stopped. /continue lets it go on.",
}
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")

LISTED = 20
"""Chats that /chats names; /search finds the others."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command; ``run`` is given what follows its name."""

    name: str
    argument: str
    does: str
    run: Callable[[PlainChat, str], object]


class PlainChat:
    """One conversation after another, on standard input and output."""

    COMMANDS: ClassVar[tuple[Command, ...]]

    def __init__(self, engine: Engine, session_id: str | None = None) -> None:
        self._engine = engine
        self._session_id = session_id
        self._attached: list[PictureFile] = []
        self._system: str | None = None
        self._schema = ""
        self._is_over = False
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._is_answering = threading.Event()

    def run(self, pictures: Sequence[str] = ()) -> None:
        """Talk until /quit or the end of standard input."""
        name = self._engine.model.facts().name
        self._say(f"phichat with {one_line(name)}. /help lists the commands, /quit ends.")
        self._engine.model.preload()
        if self._session_id is not None:
            self._show_chat("3")
        for source in pictures:
            self._try(lambda source=source: self._attach(source))  # type: ignore[misc]
        threading.Thread(target=self._read, daemon=True).start()
        while not self._is_over:
            click.echo("You: ", nl=False)
            try:
                line = self._lines.get()
            except KeyboardInterrupt:
                self._say("\n/quit ends.")
                continue
            if line is None:
                click.echo()
                return
            self._try(lambda line=line: self._take(line))  # type: ignore[misc]

    # Lines

    def _read(self) -> None:
        """Read standard input; /stop is obeyed while a reply is written, other lines wait."""
        for line in sys.stdin:
            while line.endswith("\\\n"):
                line = f"{line[:-2]}\n{sys.stdin.readline()}"
            line = line.strip("\n")
            if line.strip() == "/stop" and self._is_answering.is_set():
                self._engine.stop()
            else:
                self._lines.put(line)
        self._lines.put(None)

    def _try(self, do: Callable[[], object]) -> None:
        try:
            do()
        except PhichatError as error:
            self._say(f"Error: {error}")

    def _take(self, line: str) -> None:
        words = line.strip()
        name, _, argument = words.partition(" ")
        if name[:1] == "/" and name[1:].isalpha():
            found = [one for one in self.COMMANDS if one.name == name]
            found = found or [one for one in self.COMMANDS if one.name.startswith(name)]
            if len(found) != 1:
                several = " and ".join(one.name for one in found)
                what = f"{name} begins {several}." if found else f"There is no command {name}."
                self._say(f"{what} /help lists them.")
                return
            found[0].run(self, argument.strip())
        elif words or self._attached:
            self._send(line)

    def _say(self, words: str) -> None:
        click.echo(plain(words))

    # Replies

    def _send(self, text: str) -> None:
        draft = Draft(text, tuple(self._attached))
        parameters = Parameters(schema=self._schema) if self._schema else None
        self._answer(
            self._engine.send(self._session_id, draft, system=self._system, parameters=parameters)
        )

    def _answer(self, events: Iterator[Event]) -> None:
        """Print a reply; ctrl-C stops it and keeps its text."""
        teller = _Teller(one_line(self._engine.model.facts().name, 40))
        before = signal.signal(signal.SIGINT, self._stop_soon)
        self._is_answering.set()
        try:
            with closing(events):  # type: ignore[type-var]
                for event in events:
                    if isinstance(event, UserTurnStored):
                        self._session_id, self._system, self._schema = event.session_id, None, ""
                        self._attached.clear()
                    teller.hear(event)
        finally:
            self._is_answering.clear()
            signal.signal(signal.SIGINT, before)

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        # a thread, because this one may hold the very lock that stop() takes
        threading.Thread(target=self._engine.stop, daemon=True).start()

    def _no_reply(self, _: str) -> None:
        self._say("No reply is being written.")

    def _open(self) -> str:
        if self._session_id is None:
            raise PhichatError("This chat has no message yet.")
        return self._session_id

    def _go_on(self, _: str) -> None:
        self._answer(self._engine.continue_reply(self._open()))

    def _again(self, _: str) -> None:
        self._answer(self._engine.regenerate(self._open()))

    # Pictures

    def _attach(self, source: str) -> None:
        if not source:
            for number, file in enumerate(self._attached, 1):
                self._say(f"Attached {number}: {_picture(file)}")
            if not self._attached:
                self._say("Nothing is attached. Name a file: /attach holiday.jpg")
            return
        path = str(Path(source).expanduser()) if "://" not in source else source
        for file in self._engine.pictures.open_each(path):
            self._attached.append(file)
            tokens = counted(self._engine.pictures.tokens(file), "token")
            self._say(f"Attached: {_picture(file)}, {tokens}. {file.notice}".rstrip())

    def _paste(self, _: str) -> None:
        file = self._engine.pictures.open_clipboard()
        self._attached.append(file)
        self._say(f"Attached: {_picture(file)}.")

    def _take_off(self, number: str) -> None:
        at = int(number) if number.isdecimal() else len(self._attached)
        if not 0 < at <= len(self._attached):
            raise PhichatError("There is no such picture: /attach alone lists them.")
        self._say(f"Taken off: {one_line(self._attached.pop(at - 1).name)}.")

    # Chats

    def _list(self, _: str) -> None:
        for one in self._engine.store.sessions(LISTED):
            here = ", open" if one.id == self._session_id else ""
            turns, pictures = counted(one.turns, "turn"), counted(one.pictures, "picture")
            self._say(f"{one.id}: {one_line(one.title, 60)}, {turns}, {pictures}{here}")

    def _switch(self, name: str) -> None:
        if not name:
            raise PhichatError("Say which chat: /open ID. /chats lists them.")
        self._session_id = self._engine.store.find_session(name)
        self._show_chat("3")

    def _new(self, _: str) -> None:
        self._session_id, self._system, self._schema = None, None, ""
        self._say("A new chat.")

    def _show_chat(self, count: str) -> None:
        conversation = self._engine.store.conversation(self._open())
        last = int(count) if count.isdecimal() else 2
        self._say(f"{one_line(conversation.title)}: {counted(len(conversation.turns), 'turn')}.")
        for turn in conversation.turns[max(0, len(conversation.turns) - last) :]:
            self._show(turn)

    def _show(self, turn: Turn) -> None:
        for picture in turn.pictures:
            self._say(f"Picture {picture.number}: {_picture(picture)}")
        speaker = "You" if turn.role is Role.USER else one_line(turn.model or "The model", 40)
        self._say(f"{speaker}: {turn.text}")

    def _version(self, _: str) -> None:
        """Go to the version of the last reply before this one, round and round."""
        store = self._engine.store
        last = store.tail(self._open(), 1)[-1]
        versions = [one.id for one in store.siblings(last.id)]
        before = versions[versions.index(last.id) - 1]
        store.choose(self._open(), before)
        self._say(f"Version {versions.index(before) + 1} of {len(versions)}:")
        self._show(store.turn(before))

    def _rename(self, title: str) -> None:
        if not title:
            raise PhichatError("Give the title: /rename TITLE")
        self._engine.store.rename(self._open(), title)

    def _delete(self, _: str) -> None:
        deleted = self._open()
        self._engine.store.delete(deleted)
        self._session_id = None
        self._say(f"Deleted. For a day it comes back with: phichat sessions restore {deleted}")

    def _search(self, words: str) -> None:
        if not words:
            raise PhichatError("Say which words: /search WORDS")
        for hit in self._engine.store.search(words, limit=LISTED):
            found = one_line(plain(hit.snippet.text).replace("\n", " "), 100)
            self._say(f"{hit.session_id}: {one_line(hit.session_title, 60)}: {found}")

    def _export(self, name: str) -> None:
        path = Path(name.strip("'\"") or "chat.html").expanduser()
        try:
            kind = ExportFormat(path.suffix.lower().removeprefix("."))
        except ValueError:
            raise PhichatError("Give a file that ends with .html, .md or .json.") from None
        written = self._engine.store.export_to(path, [self._open()], kind)
        self._say(f"Written: {written[0]}")

    # What the model sees and is

    def _context(self, _: str) -> None:
        draft = Draft("", tuple(self._attached)) if self._attached else None
        report = self._engine.prompts.context(self._session_id, draft, system=self._system)
        for picture in report.pictures:
            self._say(prompt_lines.picture_line(picture))
        for one in report.left_out:
            self._say(prompt_lines.left_out_line(one))
        self._say(prompt_lines.budget_line(report))

    def _tell(self, text: str) -> None:
        """Set the system message of this chat."""
        if self._session_id is None:
            self._system = text
        else:
            self._engine.store.set_system(self._session_id, text or None)
        self._say("The model reads that first in this chat." if text else "Nothing comes first.")

    def _answer_in_json(self, source: str) -> None:
        schema = read_schema(source)
        self._engine.model.check(
            Parameters(schema=schema).over(self._engine.model.settings.sampling)
        )
        if self._session_id is None:
            self._schema = schema
        else:
            parameters = self._engine.store.conversation(self._session_id).parameters
            changed = parameters.changed(schema=schema or None)
            self._engine.store.set_parameters(self._session_id, changed)
        self._say("Answers of this chat are JSON." if schema else "Answers are words again.")

    def _model(self, name: str) -> None:
        if name:
            self._engine.model.use(name)
        self._say(f"{one_line(self._engine.model.facts().name)} answers.")

    def _help(self, _: str) -> None:
        self._say("A line is a message; a backslash at its end goes on in the next line.")
        self._say("Ctrl-C stops the reply.")
        for one in self.COMMANDS:
            self._say(f"{' '.join(filter(None, (one.name, one.argument)))}: {one.does}")

    def _quit(self, _: str) -> None:
        self._is_over = True


PlainChat.COMMANDS = (
    Command(
        "/attach",
        "PATH or URL",
        "Attach a picture. Alone: say what is attached.",
        PlainChat._attach,
    ),
    Command("/paste", "", "Attach the picture in the clipboard.", PlainChat._paste),
    Command(
        "/off", "NUMBER", "Take an attached picture off. Alone: the last.", PlainChat._take_off
    ),
    Command("/stop", "", "While a reply is written: stop it.", PlainChat._no_reply),
    Command("/continue", "", "Let a half reply go on.", PlainChat._go_on),
    Command("/retry", "", "Answer the last question again.", PlainChat._again),
    Command("/version", "", "Go to the version before of the last reply.", PlainChat._version),
    Command("/show", "NUMBER", "Say the last turns again, so many.", PlainChat._show_chat),
    Command("/chats", "", "List the chats.", PlainChat._list),
    Command("/open", "ID", "Go to another chat.", PlainChat._switch),
    Command("/new", "", "Begin a new chat.", PlainChat._new),
    Command("/rename", "TITLE", "Rename this chat.", PlainChat._rename),
    Command("/delete", "", "Delete this chat.", PlainChat._delete),
    Command("/search", "WORDS", "Search all chats.", PlainChat._search),
    Command("/export", "FILE", "Write this chat to a .html, .md or .json file.", PlainChat._export),
    Command(
        "/context", "", "Say what the model sees, and how full the context is.", PlainChat._context
    ),
    Command("/system", "TEXT", "Have the model read this first.", PlainChat._tell),
    Command(
        "/schema",
        "FIELDS or FILE",
        "Answers are JSON with these fields. Alone: no more.",
        PlainChat._answer_in_json,
    ),
    Command(
        "/model", "NAME", "Answer with another model. Alone: say which answers.", PlainChat._model
    ),
    Command("/help", "", "List the commands.", PlainChat._help),
    Command("/quit", "", "Leave; nothing is lost.", PlainChat._quit),
)


def _picture(one: object) -> str:
    """Describe a picture in words."""
    name, width, height = (getattr(one, field) for field in ("name", "width", "height"))
    return f"{one_line(name)}, {width} by {height} pixels"


class _Teller:
    """Prints one reply in whole sentences, and each stage before it once."""

    def __init__(self, speaker: str) -> None:
        self._speaker = speaker
        self._stages: set[Stage] = set()
        self._shown = PlainStream()
        self._held = ""
        self._has_begun = False

    def hear(self, event: Event) -> None:
        """Take one event of the reply."""
        match event:
            case Progressed() if event.stage not in self._stages:
                self._stages.add(event.stage)
                click.echo(STAGES[event.stage])
            case ContextPlanned() if words := lowered_words(event.context):
                click.echo(words)
            case ReplyGrew():
                self._write(self._shown.feed(event.text))
            case StoreLost():
                click.echo(plain(event.message))
            case ReplyFailed():
                self._end()
                raise PhichatError(event.message, code=event.code)
            case ReplyEnded():
                self._end()
                reason = event.turn.finish_reason
                with suppress(KeyError):
                    click.echo(ENDS[reason] if reason else "")
                if event.unstored:
                    click.echo(plain(event.unstored))

    def _write(self, text: str) -> None:
        self._held += text
        *whole, self._held = _SENTENCE.split(self._held)
        for sentence in filter(None, whole):
            self._line(sentence)

    def _end(self) -> None:
        self._write(self._shown.finish())
        if self._held:
            self._line(self._held)
        self._held = ""

    def _line(self, words: str) -> None:
        click.echo(words if self._has_begun else f"{self._speaker}: {words}")
        self._has_begun = True
