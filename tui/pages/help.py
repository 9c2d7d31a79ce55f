"""Help: the keys of the focused place first, then every key and command, from their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.dom import DOMNode
from textual.widgets import Static

from tui import keys
from tui.keys import Key, TurnAction, bindings
from tui.pages.dialog import frame
from tui.slashes import SLASHES
from tui.textual_fixes import GuardedDialog

Rows = tuple[tuple[str, str], ...]
KeyRows = Sequence[Key | TurnAction]

TYPING = "While typing"
LIST = "In the list of chats"
TURN = "On a selected turn"

_QUESTIONS = (
    "DetailScreen", "ChooseScreen", "ConnectScreen", "PasswordScreen", "RenameScreen",
    "EditSettingScreen", "Palette", "SessionPalette",
)  # fmt: skip

SECTIONS: tuple[tuple[str, KeyRows, tuple[str, ...]], ...] = (
    (TYPING, keys.COMPOSER_KEYS, ("PromptArea",)),
    ("Everywhere", (*keys.CHAT_KEYS, *keys.APP_KEYS), ()),
    (TURN, (*keys.TURN_KEYS, *keys.TURN_ACTIONS), ("TurnKeys",)),
    ("On an attached picture", keys.CHIP_KEYS, ("Chip", "OpeningChip")),
    (LIST, keys.LIST_KEYS, ("SessionList",)),
    ("In the search", keys.SEARCH_KEYS, ("SearchScreen",)),
    ("What the model sees", keys.CONTEXT_KEYS, ("ContextScreen",)),
    ("Two answers", keys.COMPARE_KEYS, ("CompareScreen",)),
    ("The engine", keys.ENGINE_KEYS, ("EngineStateScreen",)),
    ("Models", keys.MODELS_KEYS, ("ModelsScreen",)),
    ("In an empty chat", keys.CHOICES_KEYS, ("Choices",)),
    ("Settings", keys.SETTINGS_KEYS, ("SettingsScreen",)),
    ("A picture, large", keys.PICTURE_KEYS, ("PictureScreen",)),
    ("A part of a picture", keys.REGION_KEYS, ("FramedDrawing",)),
    ("How sure the model was", keys.DOUBTS_KEYS, ("DoubtsScreen",)),
    ("All pictures", keys.ALL_PICTURES_KEYS, ("PicturesScreen",)),
    ("Shared with you", keys.SHARED_KEYS, ("SharedScreen",)),
    ("Attaching a picture", keys.PICK_KEYS, ("AttachScreen",)),
    ("Pages of a document", keys.STRIP_KEYS, ("StripScreen",)),
    ("In a question", keys.CHOICE_KEYS, _QUESTIONS),
    ("In a longer text", keys.WRITE_KEYS, ("WriteScreen",)),
    ("Notices", keys.NOTICES_KEYS, ("NoticesScreen",)),
)
"""Title, rows, and the classes of the widgets and screens where these are the keys."""

PLACES = {name: title for title, _, names in SECTIONS for name in names}

LEFT_WIDTH = 20


def sections(rebound: Mapping[str, str], now: Mapping[str, KeyRows]) -> dict[str, Rows]:
    """Return every section; ``rebound`` are keys from the settings, by the name of their row.

    ``now`` are the rows of sections whose keys do something else in the present state.
    """

    def rows(keys: KeyRows) -> Rows:
        return tuple((rebound.get(key.name, key.shown), key.does) for key in keys if key.shown)

    return {
        **{title: rows(now.get(title, usual)) for title, usual, _ in SECTIONS},
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


def place_of(node: DOMNode | None) -> str | None:
    """Return the section for the place of the focus."""
    for one in node.ancestors_with_self if node is not None else ():
        if section := PLACES.get(type(one).__name__):
            return section
    return None


class HelpScreen(GuardedDialog[None]):
    """Dialog that closes with escape or q, and with the key that opened it."""

    BINDINGS: ClassVar = [
        Binding("escape,q", "dismiss(None)", "Close", show=False),
        *bindings((), vi=True),
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


def _stacked(rows: Rows) -> Group:
    parts: list[RenderableType] = []
    for left, right in rows:
        parts += [Text(left, "bold"), Padding(Text(right), (0, 0, 0, 2))]
    return Group(*parts)


def _table(rows: Rows) -> Table:
    table = Table.grid(Column(width=LEFT_WIDTH), Column(), padding=(0, 2, 0, 0))
    for left, right in rows:
        table.add_row(Text(left), Text(right))
    return table
