"""Messages of the composer, and which of them a text means when enter is pressed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from assistant.values.text import one_line
from tui.slashes import Slash, find_slash, matching_slashes, slash_without_slash
from tui.widgets.completion import mistaken_slash

if TYPE_CHECKING:
    from tui.widgets.named_pictures import Named

SLOW_DISK = "The disk that the message names does not answer: take the path out, or try it later."
MISSING = "check the path, or write more than it to send it as words."


@dataclass
class DraftChanged(Message):
    """Words or pictures were changed."""


@dataclass
class Sent(Message):
    """The text, of which the composer has let go, shall be sent with the pictures."""

    text: str


@dataclass
class AttachRequested(Message):
    """Paths or URLs were dropped, pasted or typed."""

    sources: tuple[str, ...]


@dataclass
class PagesWanted(Message):
    """A document has more pages than are attached unasked."""

    source: str


@dataclass
class PasswordWanted(Message):
    """A document needs a password."""

    source: str


@dataclass
class CommandEntered(Message):
    """A slash command was typed."""

    command: Slash
    argument: str
    text: str = ""
    """The whole line, as it was typed."""


@dataclass
class NothingEntered(Message):
    """Enter was pressed with no text and no picture."""


@dataclass
class CommandDoubted(Message):
    """A message of one word was to be sent, which is a command's name."""

    text: str
    command: Slash


@dataclass
class PicturesNamed(Message):
    """A message was to be sent that names pictures which are not attached."""

    text: str
    names: tuple[str, ...]


@dataclass
class LeaveWanted(Message):
    """The app shall end, after everything that the composer posted before this."""


def command_meant(text: str, name: str, argument: str) -> CommandEntered | str:
    """Return the command that a line names, or the sentence why it is none."""
    command, matches = find_slash(name), matching_slashes(name)
    if command is None and len(matches) == 1:
        command = matches[0]
    if command is not None and argument and not command.argument:
        return f"{name} takes nothing after it: take the words out, then enter."
    if command is not None:
        return CommandEntered(command, argument, text)
    words = f"There is no command {one_line(name, 30)}"
    if matches:
        return f"{words}; these begin so: {', '.join(one.name for one in matches)}."
    if slash := mistaken_slash(name):
        return f"{words}. Did you mean {slash.name}? tab takes it."
    return f"{words}; F1 lists them all."


def message_meant(text: str, found: Named | None) -> Message | str:
    """Return what a text without a command means, or the sentence why it can't be sent.

    ``found`` are the pictures that it names; None where the disk did not answer.
    """
    if found is None:
        return SLOW_DISK
    if found.alone:
        return AttachRequested(found.alone)
    if found.missing:
        return f"There is no file {one_line(found.missing, 60)}: {MISSING}"
    if slash := slash_without_slash(text):
        return CommandDoubted(text, slash)
    if found.sources:
        return PicturesNamed(text, found.names)
    return Sent(text) if text.strip() else NothingEntered()
