"""Help: the keys of the focused place first, then every key and command, from their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.table import Column, Table
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.dom import DOMNode
from textual.widgets import Static

from tui.keys import (
    ALL_PICTURES_KEYS,
    APP_KEYS,
    CHAT_KEYS,
    CHIP_KEYS,
    CHOICE_KEYS,
    CHOICES_KEYS,
    COMPARE_KEYS,
    COMPOSER_KEYS,
    CONTEXT_KEYS,
    DOUBTS_KEYS,
    ENGINE_KEYS,
    LIST_KEYS,
    MODELS_KEYS,
    NOTICES_KEYS,
    PICK_KEYS,
    PICTURE_KEYS,
    REGION_KEYS,
    SEARCH_KEYS,
    SETTINGS_KEYS,
    SHARED_KEYS,
    STRIP_KEYS,
    TURN_ACTIONS,
    TURN_KEYS,
    WRITE_KEYS,
    Key,
    TurnAction,
)
from tui.pages.dialog import VI_BINDINGS, frame
from tui.slashes import SLASHES
from tui.textual_fixes import GuardedDialog

Rows = tuple[tuple[str, str], ...]
KeyRows = Sequence[Key | TurnAction]

TYPING = "While typing"
LIST = "In the list of chats"
SEARCH = "In the search"
CHIP = "On an attached picture"
TURN = "On a selected turn"
CONTEXT = "What the model sees"
COMPARE = "Two answers"
ENGINE = "The engine"
MODELS = "Models"
CHOICES = "In an empty chat"
SETTINGS = "Settings"
PICTURE = "A picture, large"
REGION = "A part of a picture"
DOUBTS = "How sure the model was"
ALL_PICTURES = "All pictures"
SHARED = "Shared with you"
PICK = "Attaching a picture"
STRIP = "Pages of a document"
CHOICE = "In a question"
WRITE = "In a longer text"
NOTICES = "Notices"

PLACES = {
    "PromptArea": TYPING,
    "SessionList": LIST,
    "SearchScreen": SEARCH,
    "Chip": CHIP,
    "OpeningChip": CHIP,
    "TurnKeys": TURN,
    "ContextScreen": CONTEXT,
    "CompareScreen": COMPARE,
    "EngineStateScreen": ENGINE,
    "ModelsScreen": MODELS,
    "Choices": CHOICES,
    "SettingsScreen": SETTINGS,
    "PictureScreen": PICTURE,
    "FramedDrawing": REGION,
    "DoubtsScreen": DOUBTS,
    "PicturesScreen": ALL_PICTURES,
    "SharedScreen": SHARED,
    "AttachScreen": PICK,
    "StripScreen": STRIP,
    "DetailScreen": CHOICE,
    "ChooseScreen": CHOICE,
    "ConnectScreen": CHOICE,
    "PasswordScreen": CHOICE,
    "RenameScreen": CHOICE,
    "EditSettingScreen": CHOICE,
    "Palette": CHOICE,
    "SessionPalette": CHOICE,
    "WriteScreen": WRITE,
    "NoticesScreen": NOTICES,
}
"""Class of a widget or screen -> its section."""

LEFT_WIDTH = 20


def sections(rebound: Mapping[str, str], now: Mapping[str, KeyRows]) -> dict[str, Rows]:
    """Return every section; ``rebound`` are keys from the settings, by the name of their row.

    ``now`` are the rows of sections whose keys do something else in the present state.
    """

    def rows(keys: KeyRows) -> Rows:
        return tuple((rebound.get(key.name, key.shown), key.does) for key in keys)

    usual = {
        TYPING: rows(COMPOSER_KEYS),
        "Everywhere": rows((*CHAT_KEYS, *APP_KEYS)),
        TURN: rows((*TURN_KEYS, *TURN_ACTIONS)),
        CHIP: rows(CHIP_KEYS),
        LIST: rows(LIST_KEYS),
        SEARCH: rows(SEARCH_KEYS),
        CONTEXT: rows(CONTEXT_KEYS),
        COMPARE: rows(COMPARE_KEYS),
        ENGINE: rows(ENGINE_KEYS),
        MODELS: rows(MODELS_KEYS),
        CHOICES: rows(CHOICES_KEYS),
        SETTINGS: rows(SETTINGS_KEYS),
        PICTURE: rows(PICTURE_KEYS),
        REGION: rows([key for key in REGION_KEYS if key.shown]),
        DOUBTS: rows([key for key in DOUBTS_KEYS if key.shown]),
        ALL_PICTURES: rows(ALL_PICTURES_KEYS),
        SHARED: rows(SHARED_KEYS),
        PICK: rows(PICK_KEYS),
        STRIP: rows([key for key in STRIP_KEYS if key.shown]),
        CHOICE: rows(CHOICE_KEYS),
        WRITE: rows(WRITE_KEYS),
        NOTICES: rows(NOTICES_KEYS),
        "Commands": tuple((f"{s.name} {s.argument}".strip(), s.does) for s in SLASHES),
        "Pictures": (
            ("drop", "Drop files on the window; their paths become pictures"),
            ("paste", "Paste one or more paths"),
            ("type", "Type a picture's path alone and press enter"),
            ("/attach, ctrl+o", "A path or a URL; ctrl+o also shows folders"),
            ("report.pdf#2-4", "Pages of a PDF, wherever a path can be typed"),
            ("clip.mp4#0:05", "A moment of a video or GIF; 0:05-0:12: frames of a span"),
            ("/paste, ctrl+v", "The picture in the clipboard"),
            ("phichat chat a.png", "In the shell: at the start"),
        ),
    }
    return usual | {title: rows(keys) for title, keys in now.items()}


def place_of(node: DOMNode | None) -> str | None:
    """Return the section for the place of the focus."""
    for one in node.ancestors_with_self if node is not None else ():
        if section := PLACES.get(type(one).__name__):
            return section
    return None


class HelpScreen(GuardedDialog[None]):
    """Dialog that closes with escape or q, and with the key that opened it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close", show=False),
        *VI_BINDINGS,
    ]

    def __init__(
        self, here: str | None, rebound: Mapping[str, str], now: Mapping[str, KeyRows]
    ) -> None:
        """Begin with the section ``here``; see :func:`sections`."""
        super().__init__()
        self._here = here
        self._sections = sections(rebound, now)

    def compose(self) -> ComposeResult:
        found = self._sections
        order = sorted(found, key=lambda title: title != self._here)
        with frame("Keys and commands", "esc back", scrolls=True):
            for title in order:
                words = f"Here: {title[0].lower()}{title[1:]}" if title == self._here else title
                yield Static(Content.styled(words, "bold $primary"), classes="section")
                yield KeyTable(found[title])


class KeyTable(Static):
    """Keys beside what they do; above it where there is little room."""

    def __init__(self, rows: Rows) -> None:
        super().__init__(_table(rows))
        self._rows = rows
        self._is_stacked = False

    def on_resize(self, event: events.Resize) -> None:
        if (stacked := event.size.width < 2 * LEFT_WIDTH) != self._is_stacked:
            self._is_stacked = stacked
            self.update(_stacked(self._rows) if stacked else _table(self._rows))


def _stacked(rows: Rows) -> Text:
    lines = (Text.assemble((left, "bold"), f"\n  {right}") for left, right in rows)
    return Text("\n").join(lines)


def _table(rows: Rows) -> Table:
    table = Table.grid(Column(width=LEFT_WIDTH), Column(), padding=(0, 2, 0, 0))
    for left, right in rows:
        table.add_row(Text(left), Text(right))
    return table
