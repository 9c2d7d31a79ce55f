"""Table of slash commands, of which completion, palette and help are made."""

from __future__ import annotations

import difflib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slash:
    """A command typed into the composer; its ``action`` is found as that of a key is."""

    name: str
    argument: str
    action: str
    does: str
    aliases: tuple[str, ...] = ()
    """Other names, which users of other programs type."""
    whole: bool = False
    """Whether it runs only when its whole name was typed: it takes words, or something away."""


SLASHES = (
    Slash(
        "/attach",
        "PATH or URL",
        "attach",
        "Attach pictures; quote paths with blanks",
        ("/image", "/file", "/add"),
    ),
    Slash("/picture", "NUMBER", "show_picture", "Show a picture large, with its facts", ("/view",)),
    Slash(
        "/region",
        "NUMBER left,top,width,height",
        "attach_region",
        "Attach a part of a picture; NUMBER alone frames it",
        ("/crop", "/part"),
    ),
    Slash("/pictures", "WORDS", "show_pictures", "All pictures of all chats", ("/gallery",)),
    Slash("/shared", "", "show_shared", "Chats that other users share with you"),
    Slash("/paste", "", "paste_picture", "Attach the picture in the clipboard"),
    Slash("/sample", "", "try_sample", "A picture of ours to try, with a question"),
    Slash("/new", "", "new_session", "New chat", ("/clear", "/reset")),
    Slash("/rename", "TITLE", "rename_session", "Rename this chat", ("/title", "/name")),
    Slash(
        "/delete", "", "delete_session", "Delete this chat; /undo brings it back", (), whole=True
    ),
    Slash("/undo", "", "bring_back_session", "Bring back the chat that was deleted last"),
    Slash("/pinchat", "", "pin_session", "Keep this chat on top of the list; again: no longer"),
    Slash("/fork", "", "fork_session", "A new chat that begins as this one"),
    Slash(
        "/chats",
        "",
        "switch_session",
        "Go to another chat by its title",
        ("/sessions", "/resume", "/history", "/open"),
    ),
    Slash("/search", "WORDS", "search", "Search all chats", ("/find",)),
    Slash("/doubts", "", "turn('doubts')", "How sure the model was of each word of a reply"),
    Slash("/retry", "", "answer_again", "Answer the last question again", ("/regenerate",)),
    Slash(
        "/compare",
        "MODEL",
        "compare",
        "Another model's answer beside the last; alone: two versions",
        whole=True,
    ),
    Slash("/continue", "", "go_on", "Let a half reply go on"),
    Slash("/recall", "WORDS", "recall", "Quote earlier turns with these words", (), whole=True),
    Slash("/recallall", "WORDS", "recall_everywhere", "The same, from all chats", (), whole=True),
    Slash("/pin", "#NUMBER", "pin", "The model always sees this picture; alone: this turn"),
    Slash("/unpin", "#NUMBER", "unpin", "Pin it no longer"),
    Slash("/copy", "", "turn('copy')", "Copy the selected turn"),
    Slash("/edit", "", "turn('edit')", "Edit the selected message and send it again"),
    Slash("/quote", "", "turn('quote')", "Quote the selected turn"),
    Slash("/exclude", "", "turn('exclude')", "Take the selected turn out of what the model sees"),
    Slash("/summary", "", "summary", "The summary of what no longer fits, to be changed"),
    Slash("/system", "TEXT", "system", "Tell the model something before this chat"),
    Slash(
        "/stopat",
        "TEXT",
        "stop_at",
        "Replies of this chat end before this text; alone: no more",
        (),
        whole=True,
    ),
    Slash(
        "/schema",
        "FIELDS or FILE",
        "schema",
        "Answers are JSON with these fields; alone: no more",
        ("/json", "/format"),
        whole=True,
    ),
    Slash(
        "/export",
        "FILE",
        "export",
        "Write this chat to a file: .html, .md or .json",
        ("/save",),
        whole=True,
    ),
    Slash("/stop", "", "stop", "Stop the reply", ("/cancel",)),
    Slash("/context", "", "show_context", "What the model sees: the exact prompt", ("/tokens",)),
    Slash(
        "/engine", "", "show_engine", "The state of the engine, and its memory plan", ("/status",)
    ),
    Slash("/models", "", "show_models", "Get a model, or use another", ("/model",)),
    Slash(
        "/settings",
        "",
        "show_settings",
        "Settings, of all chats and of this one",
        ("/config", "/set"),
    ),
    Slash("/theme", "NAME", "theme", "Choose the colours", ("/themes", "/colors", "/colours")),
    Slash("/notices", "", "show_notices", "All notices since the start"),
    Slash("/help", "", "help", "All keys and commands", ("/keys", "/commands", "/?")),
    Slash("/quit", "", "quit", "Quit; nothing is lost", ("/exit", "/bye", ":q", ":wq", ":q!")),
)
"""Slash commands, in the order of the help screen."""

SLASH_NAMES = tuple(slash.name for slash in SLASHES)

CLEARLY_MEANT = {"/quit", "/new", "/help"}
"""Commands of which the aliases too are hardly ever messages."""

LEAST_LIKE = 0.7
"""Likeness of two words, of 1, from which one is offered for the other."""


def matching_slashes(beginning: str) -> tuple[Slash, ...]:
    """Return the commands that begin like this: that of this very name, by name, by an alias."""
    wanted = beginning.lower()
    ranks = {slash: _rank(slash, wanted) for slash in SLASHES}
    return tuple(sorted((slash for slash in SLASHES if ranks[slash] < 3), key=ranks.__getitem__))


def _rank(slash: Slash, wanted: str) -> int:
    if wanted in (slash.name, *slash.aliases):
        return 0
    if slash.name.startswith(wanted):
        return 1
    return 2 if any(alias.startswith(wanted) for alias in slash.aliases) else 3


def find_slash(name: str) -> Slash | None:
    """Return the command of this name or alias."""
    wanted = name.lower()
    return next((one for one in SLASHES if wanted in (one.name, *one.aliases)), None)


def similar_slash(name: str) -> Slash | None:
    """Return the command whose name or alias is most like this one, which is none."""
    known = [one for slash in SLASHES for one in (slash.name, *slash.aliases)]
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=LEAST_LIKE)
    return find_slash(close[0]) if close else None


def slash_without_slash(text: str) -> Slash | None:
    """Return the command that a message of one word names, most likely by mistake."""
    word = text.strip().lower()
    if not word or word.startswith("/") or len(word.split()) > 1:
        return None
    slash = find_slash(f"/{word}") or find_slash(word)
    is_meant = slash is not None and (f"/{word}" == slash.name or slash.name in CLEARLY_MEANT)
    return slash if is_meant else None


def split_slash(text: str) -> tuple[str, str] | None:
    """Return name and argument where ``text`` is a slash command, else None.

    ``/home/me/cat.png is this a cat?`` is not one: a command is one word of
    letters after the slash.
    """
    first, _, argument = text.strip().partition(" ")
    if not first.startswith("/") or "\n" in first or not (first[1:].isalpha() or first == "/?"):
        return None
    return first, argument.strip()
