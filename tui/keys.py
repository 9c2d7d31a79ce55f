"""Table of keys, of which bindings, hints, palette and help are made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from textual.binding import Binding, BindingType


@dataclass(frozen=True, slots=True)
class Key:
    """One or more keys that do the same thing.

    ``keys`` are Textual's names, comma-separated; ``shown`` is how the user writes them.
    The handler of ``action`` is a method ``action_...``: for :data:`CHAT_KEYS` of any part of the
    chat screen, for others of the widget. It is empty where the terminal or Textual acts.
    """

    keys: str
    shown: str
    action: str
    does: str
    short: str = ""
    """Word beside the key where the focus is; "" where the key speaks for itself."""

    def binding(self, *, priority: bool = False, through: str = "") -> Binding:
        """Return this row as a Textual binding; ``through`` is an action that gets this one."""
        action = f"{through}({self.action!r})" if through else self.action
        return Binding(self.keys, action, self.does, show=False, priority=priority, id=self.name)

    @property
    def name(self) -> str:
        """Name of this row in the setting ``keys``: ``scroll_chat_page_up``."""
        return re.sub(r"\W+", "_", self.action).strip("_")


def bindings(rows: Iterable[Key], *, vi: bool = False) -> list[BindingType]:
    """Return the bindings of rows that have an action; ``vi``: j, k, g and G stand for arrows.

    That is for pages and dialogs without a field for letters.
    """
    letters = [Binding(key, f"app.simulate_key('{to}')", show=False) for key, to in VI_LETTERS]
    return [*(row.binding() for row in rows if row.action), *(letters if vi else ())]


CHAT_KEYS = (
    Key(
        "escape",
        "esc",
        "stop",
        "Stop the reply; clear the notice; leave an edit; twice: empty the text",
    ),
    Key("ctrl+o", "ctrl+o", "attach", "Attach a picture: type a path or URL, or pick a file"),
    Key("ctrl+r", "ctrl+r", "answer_again", "Answer the last question again"),
    Key("ctrl+t", "ctrl+t", "go_on", "Let a half reply go on"),
    Key("ctrl+up", "ctrl+up", "select_turn(-1)", "Select a turn, then the one above it"),
    Key("ctrl+down", "ctrl+down", "select_turn(1)", "The turn below; below the last, the text"),
    Key("ctrl+n", "ctrl+n", "new_session", "New chat"),
    Key("ctrl+b", "ctrl+b", "toggle_sessions", "Show or hide the list of chats"),
    Key("ctrl+f", "ctrl+f", "search", "Search all chats"),
    Key("f2", "F2", "rename_session", "Rename this chat"),
    Key("f3", "F3", "show_picture", "The picture in sight, large, with its facts; a click too"),
    Key("f4", "F4", "show_context", "What the model sees, exactly, and how full the context is"),
    Key("ctrl+l", "ctrl+l", "toggle_meter", "Show or hide the meter of the context"),
    Key("f5", "F5", "show_engine", "The engine: its state, its memory plan; starts it again"),
    Key("f6", "F6", "switch_session", "Go to another chat by its title"),
    Key("f7", "F7", "bring_back_session", "Bring back the chat that was deleted last"),
    Key("f8", "F8", "show_models", "Models: get one, use one or a server; stop a download"),
    Key("f9", "F9", "show_settings", "Settings, of all chats and of this one"),
    Key("f10", "F10", "show_pictures", "All pictures of all chats"),
    Key("f12", "F12", "show_notices", "All notices since the start; a click on the notice too"),
    Key("f1", "F1", "help", "The keys of where you are, then all keys and commands"),
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
    Key("tab", "tab", "complete", "Complete a /command, an @picture, a path or a #number"),
    Key("ctrl+v", "ctrl+v", "paste", "Attach the picture in the clipboard, or paste its text"),
    Key("ctrl+g", "ctrl+g", "edit_outside", "Write the message in $VISUAL or $EDITOR"),
    Key(
        "up",
        "up",
        "cursor_up",
        "In the first line: a queued message, or the prompt before",
    ),
    Key("down", "down", "cursor_down", "In the last line: the prompt after"),
    Key("escape", "esc", "close_menu", "Close the list of what can be typed; ↑ ↓ go through it"),
    Key("backspace", "backspace", "delete_left", "Where the text begins: drop the last picture"),
)
"""Keys of the composer."""

OPENING_KEYS = (
    Key("delete,backspace", "delete", "take_off", "Take the picture off; a fetch ends", "take off"),
    Key("escape", "esc", "leave", "Back to the text", "back"),
)
"""Keys of a picture that is being opened."""

CHIP_KEYS = (
    OPENING_KEYS[0],
    Key(
        "enter", "enter", "choose_detail", "Choose in how many crops the model looks at it", "crops"
    ),
    Key("left", "left", "move(-1)", "The picture before"),
    Key("right", "right", "move(1)", "The picture after"),
    *OPENING_KEYS[1:],
)
"""Keys of an attached picture."""

TURN_KEYS = (
    Key("up,ctrl+up", "up", "select(-1)", "The turn above"),
    Key("down,ctrl+down", "down", "select(1)", "The turn below"),
    Key("left", "left", "do('step_back')", "The version before, of several"),
    Key("right", "right", "do('step_on')", "The version after"),
    Key("enter", "enter", "do('menu')", "All that can be done with the turn", "all"),
    Key("escape", "esc", "leave", "Back to the text", "back"),
)
"""Keys of a selected turn, beside those of :data:`TURN_ACTIONS`."""


@dataclass(frozen=True, slots=True)
class TurnAction:
    """Action on a selected turn, by its key, from its menu or the palette."""

    key: str
    name: str
    short: str
    does: str

    @property
    def shown(self) -> str:
        """The key, as the user writes it."""
        return self.key


TURN_ACTIONS = (
    TurnAction("c", "copy", "copy", "Copy the message"),
    TurnAction("k", "copy_code", "code", "Copy a code block"),
    TurnAction("r", "again", "again", "Answer again; the old reply stays"),
    TurnAction("t", "thought", "thought", "Show what the model thought before it, or fold it"),
    TurnAction("g", "go_on", "go on", "Let the half reply go on"),
    TurnAction("e", "edit", "edit", "Edit and send again; the old version stays"),
    TurnAction("p", "pin", "pin", "Pin: the model always sees it"),
    TurnAction("x", "exclude", "take out", "Take out of what the model sees"),
    TurnAction("q", "quote", "quote", "Quote it in the message"),
    TurnAction("f", "fork", "fork", "Fork: a new chat with all up to here"),
    TurnAction("u", "doubts", "doubts", "How sure the model was of each word; go on differently"),
)

UNDOING = {
    "pin": TurnAction("p", "pin", "unpin", "Unpin: the model sees it while there is room"),
    "exclude": TurnAction("x", "exclude", "put back", "Put back into what the model sees"),
}
"""Actions that undo what a mark on a turn says."""

LIST_KEYS = (
    Key("enter", "enter", "select", "Open the chat", "open"),
    Key("n", "n", "new", "New chat", "new"),
    Key("f2", "F2", "rename", "Rename the chat", "rename"),
    Key("p", "p", "pin", "Pin the chat: it stays on top", "pin"),
    Key("f", "f", "fork", "Fork: a new chat that begins as this one", "fork"),
    Key("delete", "delete", "delete", "Delete the chat; F7 brings it back", "remove"),
    Key("slash", "/", "search", "Search all chats"),
    Key("escape", "esc", "leave", "Back to the text", "back"),
)
"""Keys of the list of chats."""

UNPIN = Key("p", "p", "pin", "Unpin the chat: it goes back to its place by age", "unpin")
"""The same key on a chat that is pinned."""

SEARCH_KEYS = (
    Key("enter", "enter", "", "Go to the place"),
    Key("up", "up", "move('cursor_up')", "The place above"),
    Key("down", "down", "move('cursor_down')", "The place below"),
    Key("pageup", "page up", "move('page_up')", "A page up"),
    Key("pagedown", "page down", "move('page_down')", "A page down"),
    Key("escape", "esc", "close", "Back to the chat"),
)
"""Keys of the search."""

ALL_PICTURES_KEYS = (
    Key("enter", "enter", "", "Go to the message that shows it"),
    Key("ctrl+o", "ctrl+o", "attach", "Attach it in the open chat"),
    Key("up", "up", "move('cursor_up')", "The picture above"),
    Key("down", "down", "move('cursor_down')", "The picture below"),
    Key("pageup", "page up", "move('page_up')", "A page up"),
    Key("pagedown", "page down", "move('page_down')", "A page down"),
    Key("escape,f10", "esc", "close", "Back to the chat"),
)
"""Keys of the page with all pictures."""

SHARED_KEYS = (
    Key("enter", "enter", "", "Read the chat: ↑ ↓ scroll it"),
    Key("i", "i", "take", "Take a copy into your own chats, and open it"),
    Key("escape,q", "esc", "back", "Back to the list, then to the chat"),
)
"""Keys of the page with the chats that others share."""

CONTEXT_KEYS = (
    Key("i", "i", "toggle_ids", "Show the token ids, or hide them"),
    Key("up", "up", "scroll('up')", "A line up"),
    Key("down", "down", "scroll('down')", "A line down"),
    Key("pageup", "page up", "scroll('page_up')", "A page up"),
    Key("pagedown,space", "page down", "scroll('page_down')", "A page down"),
    Key("home", "home", "scroll('home')", "The beginning"),
    Key("end", "end", "scroll('end')", "The end"),
    Key("escape,f4,q", "esc", "close", "Back to the chat"),
)
"""Keys of the exact prompt."""

COMPARE_KEYS = (
    Key("1", "1", "take(1)", "Let the chat go on with the first answer"),
    Key("2", "2", "take(2)", "Let the chat go on with the second"),
    Key("up", "up", "scroll('up')", "A line up, in both"),
    Key("down", "down", "scroll('down')", "A line down, in both"),
    Key("pageup", "page up", "scroll('page_up')", "A page up"),
    Key("pagedown,space", "page down", "scroll('page_down')", "A page down"),
    Key("escape,q", "esc", "dismiss(None)", "Back to the chat; all stays as it is"),
)
"""Keys of two answers beside each other."""

ENGINE_KEYS = (
    Key("r", "r", "dismiss(True)", "Start the engine again"),
    Key("escape,f5,q", "esc", "dismiss(False)", "Back to the chat"),
)
"""Keys of the engine's state."""

MODELS_KEYS = (
    Key("enter", "enter", "", "Use what is marked, or get it; a number does it at once"),
    Key("up", "↑ ↓", "", "What is above or below"),
    Key("f", "f", "find_servers", "Find servers on this machine: llama.cpp, Ollama, vLLM …"),
    Key("s", "s", "stop_download", "Stop the download; what came is kept"),
    Key("escape,f8,q", "esc", "close", "Back to the chat"),
)
"""Keys of the models."""

SETTINGS_KEYS = (
    Key("enter", "enter", "select", "Change the setting"),
    Key("delete", "delete", "reset", "Back to its default"),
    Key("tab", "tab", "switch", "Settings of all chats, or of the open one"),
    Key("r", "r", "restart", "Start the engine again, where a change needs it"),
    Key("escape,f9,q", "esc", "close", "Back to the chat"),
)
"""Keys of the settings."""

PICTURE_KEYS = (
    Key("left,up", "← or ↑", "step(-1)", "The picture before"),
    Key("right,down", "→ or ↓", "step(1)", "The next picture"),
    Key("c", "c", "choose_detail", "Choose in how many crops the model looks at it from now on"),
    Key("r", "r", "frame_part", "Frame a part of it, to attach that; dragging the mouse does too"),
    Key("escape,f3,q", "esc", "dismiss(None)", "Back to the chat"),
)
"""Keys of a picture that is shown large."""

REGION_KEYS = (
    Key("left", "← ↑ → ↓", "move(-1, 0)", "Move the frame"),
    Key("right", "", "move(1, 0)", "Move the frame to the right"),
    Key("up", "", "move(0, -1)", "Move the frame up"),
    Key("down", "", "move(0, 1)", "Move the frame down"),
    Key("shift+left", "shift+arrows", "grow(-1, 0)", "Make the frame smaller or larger"),
    Key("shift+right", "", "grow(1, 0)", "Make the frame wider"),
    Key("shift+up", "", "grow(0, -1)", "Make the frame lower"),
    Key("shift+down", "", "grow(0, 1)", "Make the frame higher"),
    Key("enter", "enter", "take", "Attach the part as a picture of its own, at full size"),
    Key("escape", "esc", "leave", "No frame"),
)
"""Keys of the frame around a part of a picture; rows that others stand for show no key."""

DOUBTS_KEYS = (
    Key("left", "← →", "step(-1)", "The doubtful word before or after; shift: any word"),
    Key("right", "", "step(1)", "The doubtful word after"),
    Key("shift+left", "", "next(-1)", "The word before"),
    Key("shift+right", "", "next(1)", "The word after"),
    Key("up", "↑ ↓", "choose(-1)", "Another runner-up of the word"),
    Key("down", "", "choose(1)", "The runner-up below"),
    Key("enter", "enter", "take", "Go on from the word with the runner-up, as another version"),
    Key("escape,q", "esc", "dismiss(None)", "Back to the chat"),
)
"""Keys of the page with the doubtful words of a reply."""

NOTICES_KEYS = (
    Key("up", "↑ ↓", "", "What is above or below"),
    Key("escape,f12,q", "esc", "dismiss(None)", "Back to the chat"),
)
"""Keys of the list of notices."""

PICK_KEYS = (
    Key("enter", "enter", "", "Attach what is typed or marked; open a folder"),
    Key("tab", "tab", "", "Complete the path; then from the line to the list"),
    Key("up", "↑ ↓", "", "From the line to the list, and through it; what is typed filters it"),
    Key("space", "space", "", "In the list: mark several pictures; again: no longer"),
    Key("enter", "enter", "", "On a PDF or a video: its pages or frames, to choose some"),
    Key("left", "←", "", "In the list: the folder above"),
    Key("escape", "esc", "dismiss(None)", "Back to the chat"),
)
"""Keys of the dialog that attaches a picture."""

STRIP_KEYS = (
    Key("left", "← →", "go(-1)", "The page before or after"),
    Key("right", "", "go(1)", "The page after"),
    Key("pageup,up", "page up", "turn(-1)", "As many pages back as are in sight"),
    Key("pagedown,down", "page down", "turn(1)", "As many pages on"),
    Key("home", "home", "go(-100000)", "The first page"),
    Key("end", "end", "go(100000)", "The last page"),
    Key("space", "space", "mark", "Mark several pages; again: no longer"),
    Key("a", "a", "mark_all", "Mark all pages; again: none"),
    Key("enter", "enter", "take", "Attach what is marked, else the page under the cursor"),
    Key("t", "t", "take_text", "The same, and quote the text of the pages in the message"),
    Key("escape,q", "esc", "dismiss(None)", "Back"),
)
"""Keys of the pages of a document, and of the frames of a video."""

CHOICES_KEYS = (
    Key("enter", "enter", "", "Take what is marked; what is downloaded is asked first", "takes it"),
    Key("up", "↑ ↓", "", "What is above or below; below the last is the text", "others"),
    Key("escape", "esc", "", "Back to the text", "back"),
)
"""Keys of the choices in an empty chat."""

CHOICE_KEYS = (
    Key("enter", "enter", "", "Take what is marked or typed"),
    Key("up", "↑ ↓", "", "What is above or below, of several"),
    Key("escape", "esc", "dismiss(None)", "Back; all stays as it is"),
)
"""Keys of a dialog with one question."""

WRITE_KEYS = (
    Key("ctrl+s", "ctrl+s", "keep", "Keep the text"),
    Key("escape", "esc", "dismiss(None)", "Back; it stays as it was"),
)
"""Keys of a dialog with a text of several lines."""

KEYS_BY_NAME = {
    key.name: key.keys for key in (*CHAT_KEYS, *COMPOSER_KEYS, *TURN_KEYS, *CHIP_KEYS, *LIST_KEYS)
}
"""The keys of every action that can be bound to others, by the names in the setting ``keys``."""

VI_LETTERS = (("j", "down"), ("k", "up"), ("g", "home"), ("G", "end"))
"""Letters of lists and pages, and the keys that they stand for."""

APP_KEYS = (
    Key("ctrl+p", "ctrl+p", "", "Command palette: themes and everything else by name"),
    Key("ctrl+c", "ctrl+c", "", "Copy the selected text; twice where none is: quit"),
    Key("j", "j k g G", "", "In lists and on pages: down, up, first, last"),
    Key("shift+tab", "shift+tab", "", "From the text to the pictures attached above it"),
    Key("ctrl+q", "ctrl+q", "", "Quit; nothing is lost"),
)
"""Keys that Textual itself answers."""
