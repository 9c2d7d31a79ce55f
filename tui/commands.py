"""The one table of keys and slash commands: bindings, completion and help come from it."""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True, slots=True)
class Key:
    """One or more keys that do the same thing.

    ``keys`` are Textual's names, comma-separated; ``shown`` is how a person
    writes them. ``action`` is empty where the terminal or Textual itself acts.
    """

    keys: str
    shown: str
    action: str
    does: str

    def binding(self, *, priority: bool = False) -> Binding:
        """Return this row as a Textual binding."""
        return Binding(self.keys, self.action, self.does, show=False, priority=priority)


@dataclass(frozen=True, slots=True)
class Slash:
    """A command typed into the composer."""

    name: str
    argument: str
    action: str
    does: str


CHAT_KEYS = (
    Key("escape", "esc", "stop", "Stop the reply; what was written stays"),
    Key("ctrl+o", "ctrl+o", "attach", "Attach a picture: type a path or URL, or pick a file"),
    Key("ctrl+r", "ctrl+r", "answer_again", "Answer the last question again"),
    Key("ctrl+n", "ctrl+n", "new_session", "New chat"),
    Key("ctrl+b", "ctrl+b", "toggle_sessions", "Show or hide the list of chats"),
    Key("f2", "F2", "rename_session", "Rename this chat"),
    Key("f3", "F3", "show_picture", "The picture in sight, large, with its facts; a click too"),
    Key("f1", "F1", "help", "This help"),
    Key("pageup", "page up", "scroll_chat('page_up')", "Scroll the chat up; older turns load"),
    Key("pagedown", "page down", "scroll_chat('page_down')", "Scroll the chat down"),
    Key("ctrl+end", "ctrl+end", "scroll_chat('end')", "Go to the end of the chat"),
)
"""Keys of the chat screen, wherever the focus is."""

COMPOSER_KEYS = (
    Key("enter", "enter", "send", "Send"),
    Key(
        "ctrl+j,shift+enter,alt+enter",
        "ctrl+j",
        "break_line",
        "New line; shift+enter, alt+enter where terminals tell",
    ),
    Key("tab", "tab", "complete", "Complete a /command or a picture's path"),
    Key("up", "up", "cursor_up", "In the first line: the prompt before"),
    Key("down", "down", "cursor_down", "In the last line: the prompt after"),
    Key("backspace", "backspace", "delete_left", "In the empty composer: drop the last picture"),
)
"""Keys of the composer."""

LIST_KEYS = (
    Key("enter", "enter", "select", "Open the chat"),
    Key("delete", "delete", "delete", "Delete the chat, after a question"),
)
"""Keys of the list of chats."""

APP_KEYS = (
    Key("ctrl+p", "ctrl+p", "", "Command palette: themes and everything else by name"),
    Key("ctrl+c", "ctrl+c", "", "Copy the selected text"),
    Key("ctrl+q", "ctrl+q", "", "Quit; nothing is lost"),
)
"""Keys that Textual itself answers."""

SLASHES = (
    Slash("/attach", "PATH or URL", "attach", "Attach pictures; quote paths with blanks"),
    Slash("/picture", "NUMBER", "show_picture", "Show a picture large, with its facts"),
    Slash("/new", "", "new_session", "New chat"),
    Slash("/rename", "TITLE", "rename_session", "Rename this chat"),
    Slash("/delete", "", "delete_session", "Delete this chat, after a question"),
    Slash("/retry", "", "answer_again", "Answer the last question again"),
    Slash("/stop", "", "stop", "Stop the reply"),
    Slash("/help", "", "help", "All keys and commands"),
    Slash("/quit", "", "quit", "Quit; nothing is lost"),
)
"""Slash commands, in the order of the help screen."""

SLASH_NAMES = tuple(slash.name for slash in SLASHES)


def find_slash(name: str) -> Slash | None:
    """Return the command of this name."""
    return next((slash for slash in SLASHES if slash.name == name), None)


def split_slash(text: str) -> tuple[str, str] | None:
    """Return name and argument where ``text`` is a slash command, else None.

    ``/home/me/cat.png is this a cat?`` is not one: a command is one word of
    letters after the slash.
    """
    first, _, argument = text.strip().partition(" ")
    if not first.startswith("/") or "\n" in first or not first[1:].isalpha():
        return None
    return first, argument.strip()
