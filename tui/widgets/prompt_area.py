"""Text area of the composer: enter sends, ctrl+j breaks the line, up and down walk the history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.actions import SkipAction
from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from assistant.values.text import plain
from assistant.values.words import counted
from tui.disk import from_disk
from tui.keys import CHAT_KEYS, COMPOSER_KEYS
from tui.requests import notify
from tui.terminal import columns
from tui.terminal.editor import EditorError, lend
from tui.widgets.completion import (
    Completion,
    KnownPicture,
    complete_path,
    complete_reference,
    last_word,
    looks_like_picture,
    mistaken_slash,
)
from tui.widgets.completion_menu import CompletionMenu
from tui.widgets.offers import Offer, commands_for, file_word, files_for
from tui.widgets.prompt_history import PromptHistory

if TYPE_CHECKING:
    from assistant.pictures.dropped import Dropped

FindDropped = Callable[[str], Awaitable["Dropped"]]
"""Finds the paths and addresses in a pasted text, and the words beside them."""
JOINERS = ("\u200c", "\u200d")
"""Zero-width non-joiner and joiner, which terminals send as keys of their own."""
NamesPictures = Callable[[str], Awaitable[bool]]
"""Says whether a text names pictures that are not attached."""


class PromptArea(TextArea):
    """A TextArea with the keys of a chat; what is pasted may be dropped files."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Priority, because TextArea would take enter and tab for itself.
        *(
            key.binding(priority=key.action in {"send", "break_line", "complete"})
            for key in COMPOSER_KEYS
        ),
        # TextArea's own page keys move the cursor; here they scroll the chat.
        *(
            Binding(key.keys, f"screen.call({key.action!r})", key.does, show=False)
            for key in CHAT_KEYS
            if key.action.startswith("scroll_chat")
        ),
    ]

    @dataclass
    class Submitted(Message):
        """Enter was pressed; the area has let go of the text."""

        text: str

    @dataclass
    class FilesDropped(Message):
        """Files were dropped on the terminal, or their paths were pasted.

        ``words`` are what the message has of the pasted ``text``.
        """

        sources: tuple[str, ...]
        text: str = ""
        words: str = ""

    @dataclass
    class BackspacedAtStart(Message):
        """Backspace was pressed where there is nothing to take away but a picture."""

    @dataclass
    class PictureWanted(Message):
        """The picture in the clipboard shall be attached.

        ``text`` is what to paste where there is none.
        """

        text: str

    @dataclass
    class NamedWanted(Message):
        """The pictures that the text names shall be attached."""

    @dataclass
    class TakeBackWanted(Message):
        """The last queued message shall come back."""

    @dataclass
    class EmptiedWanted(Message):
        """The message that was emptied shall come back."""

    @dataclass
    class Completed(Message):
        """Tab was pressed; several ``candidates`` were possible."""

        candidates: tuple[str, ...]

    class LeftUpwards(Message):
        """Up was pressed in an empty text, and there is no prompt before."""

    def __init__(
        self,
        find_dropped: FindDropped,
        names_pictures: NamesPictures,
        placeholder: str,
        menu: CompletionMenu,
    ) -> None:
        super().__init__(
            soft_wrap=True,
            show_line_numbers=False,
            highlight_cursor_line=False,
            compact=True,
            tab_behavior="focus",
            placeholder=placeholder,
        )
        self.prompts = PromptHistory()
        self.pictures: tuple[KnownPicture, ...] = ()
        """Pictures that ``#`` can refer to."""
        self.has_queue = False
        """Messages wait to be sent: up takes the last one back."""
        self.menu = menu
        self.has_emptied = False
        """The message was emptied: up brings it back."""
        self._find_dropped = find_dropped
        self._names_pictures = names_pictures
        self._files: tuple[str, tuple[Offer, ...]] = ("", ())
        """The last @word that was looked up, and what it may mean."""

    def set_text(self, text: str) -> None:
        """Replace the text and put the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)

    def put_first(self, text: str) -> None:
        """Put a text in front of what was typed meanwhile."""
        self.set_text("\n".join(filter(str.strip, (text, self.text))))

    # A priority binding runs before the letters that were typed just before it have arrived
    # here. The next three actions call_later, so that they run behind those letters.

    def action_send(self) -> None:
        """Let go of the text at once: what is typed from now on belongs to the next message."""
        self.call_later(self._submit)

    async def _submit(self) -> None:
        if await self._looked():
            self.take(self.menu.chosen, runs=True)
            return
        text = self.text
        self.set_text("")
        self.has_emptied = False
        self.post_message(self.Submitted(text))

    def look(self) -> bool:
        """Offer what can stand at the cursor; return whether there is something."""
        before = self._before
        word = file_word(before)
        if word == self._files[0]:
            commands = commands_for(before) if before == self.text else ()
            self.menu.show(before, commands or self._files[1])
        elif not word:
            self._files = ("", ())
            self.look()
        else:  # the menu stays as it is until the disk has answered
            job: Any = partial(self._find_files, word)  # no coroutine yet: another may replace it
            self.run_worker(job, exclusive=True, group="files")
        return self.menu.is_open

    async def _looked(self) -> bool:
        """Do the same, after the disk has answered."""
        if (word := file_word(self._before)) != self._files[0]:
            await self._find_files(word)
        return self.look()

    async def _find_files(self, word: str) -> None:
        found = await from_disk(lambda: files_for(word)) if word else ()
        self._files = (word, found or ())
        if file_word(self._before) == word:
            self.look()

    @property
    def _before(self) -> str:
        """Text before the cursor in its line."""
        row, column = self.cursor_location
        return self.document.get_line(row)[:column]

    def take(self, offer: Offer, *, runs: bool) -> None:
        """Complete the text by an offer; ``runs`` a command at once where that is safe."""
        if runs and offer.command is not None and offer.runs:
            self.set_text("")
            self.post_message(self.Submitted(offer.command.name))
            return
        row, column = self.cursor_location
        self.replace(offer.text, (row, column - len(offer.fragment)), (row, column))
        if offer.picture:
            self.post_message(self.FilesDropped((offer.picture,)))

    def action_close_menu(self) -> None:
        """Close the menu; where there is none the key is the chat's."""
        if not self.look():
            raise SkipAction
        self.menu.close()

    def action_break_line(self) -> None:
        """Start a new line."""
        self.call_later(lambda: self._replace_via_keyboard("\n", *self.selection))

    def action_complete(self) -> None:
        """Complete what stands before the cursor; from an empty text move the focus on."""
        self.call_later(self._complete_here)

    async def _complete_here(self) -> None:
        if await self._looked():
            self.take(self.menu.chosen, runs=False)
            return
        text, before, (row, column) = self.text, self._before, self.cursor_location
        complete = partial(_completion, before, self.pictures, first_line=row == 0)
        fragment, completion = await from_disk(complete) or (before, None)
        is_whole = completion is not None and completion.text.rstrip() == fragment
        if (completion is None or is_whole) and await self._names_pictures(text):
            self.post_message(self.NamedWanted())
            return
        if completion is None:
            if not text.strip():  # else what is typed next would be keys of the list
                self.screen.focus_next()
            return
        if completion.text != fragment:
            self.replace(completion.text, (row, column - len(fragment)), (row, column))
        several = completion.candidates if len(completion.candidates) > 1 else ()
        self.post_message(self.Completed(several))

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up: in the menu, in the text, or in its first line to the prompt before."""
        if not select and self.look():
            self.menu.action_cursor_up()
        elif select or not self.cursor_at_first_line:
            super().action_cursor_up(select)
        elif self.has_queue and not self.text:
            self.post_message(self.TakeBackWanted())
        elif self.has_emptied and not self.text:
            self.post_message(self.EmptiedWanted())
        elif (older := self.prompts.older(self.text)) is not None:
            self.set_text(older)
        elif not self.text:
            self.post_message(self.LeftUpwards())

    def action_cursor_down(self, select: bool = False) -> None:
        """Move down: in the menu, in the text, or in its last line to the prompt after."""
        if not select and self.look():
            self.menu.action_cursor_down()
        elif select or not self.cursor_at_last_line:
            super().action_cursor_down(select)
        elif (newer := self.prompts.newer(self.text)) is not None:
            self.set_text(newer)

    def action_delete_left(self) -> None:
        """Delete to the left; where the text begins that is the last picture."""
        if self.selection.is_empty and self.cursor_location == (0, 0):
            self.post_message(self.BackspacedAtStart())
        else:
            super().action_delete_left()

    def get_cursor_left_location(self) -> tuple[int, int]:
        """Return the place before the sign left of the cursor: a joined emoji is one sign."""
        row, column = self.cursor_location
        begins = [begin for begin, _, _ in self._signs(row) if begin < column]
        return (row, begins[-1]) if begins else super().get_cursor_left_location()

    def get_cursor_right_location(self) -> tuple[int, int]:
        """Return the place behind the sign right of the cursor."""
        row, column = self.cursor_location
        ends = [end for _, end, _ in self._signs(row) if end > column]
        return (row, ends[0]) if ends else super().get_cursor_right_location()

    def _signs(self, row: int) -> Sequence[tuple[int, int, int]]:
        line = self.document[row]
        return [] if line.isascii() else columns.signs(line)

    def on_key(self, event: events.Key) -> None:
        """Take the joiners that TextArea drops: Persian words and joined emoji have them."""
        if event.character in JOINERS:
            event.stop()
            self._replace_via_keyboard(event.character, *self.selection)

    def action_paste(self) -> None:
        """Attach the picture in the system's clipboard, or paste what was copied in this app."""
        self.post_message(self.PictureWanted(self.app.clipboard))

    def action_edit_outside(self) -> None:
        """Have the text edited in the user's own editor."""
        try:
            with self.app.suspend():  # after an error in there the terminal would not come back
                edited = lend(self.text)
        except SuspendNotSupported:
            edited = EditorError("This terminal can't be lent to an editor.")
        if isinstance(edited, EditorError):
            notify(self, str(edited), error=True)
        else:
            self.set_text(edited)
        self.app.refresh(layout=True)

    def paste_text(self, text: str) -> None:
        """Put ``text`` where the cursor is."""
        if result := self._replace_via_keyboard(plain(text), *self.selection):
            self.move_cursor(result.end_location)

    def exchange(self, old: str, new: str) -> None:
        """Replace the last ``old`` of the text, if it is still there; "" stands at the cursor."""
        if not old:
            self.insert(plain(new))
            return
        before, found, _ = self.text.rpartition(plain(old))
        if found:
            begin, end = _place(before), _place(before + found)
            self.replace(plain(new), begin, end)

    async def take_paste(self, text: str, *, is_text_for_field: bool = False) -> str:
        """Attach the pictures that a paste names and paste its words; a field shall have text.

        Return a sentence about what came here, "" for nothing.
        """
        if not text:  # what terminals send when the clipboard has a picture
            self.post_message(self.PictureWanted(""))
            return "The picture in the clipboard is for the message."
        found = await self._find_dropped(text)
        is_pictures = not found.words and all(map(looks_like_picture, found.sources))
        if is_text_for_field and not (found.sources and is_pictures):
            return ""
        if found.sources:
            self.post_message(self.FilesDropped(found.sources, text, found.words))
        if found.words:
            self.paste_text(found.words)
            self.focus()
        if not found.sources:
            return "The text was pasted into the message."
        are = "is" if len(found.sources) == 1 else "are"
        return f"{counted(len(found.sources), 'picture')} {are} attached to the message."

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        await self.take_paste(event.text)


def _place(before: str) -> tuple[int, int]:
    """Return row and column behind this much of a text."""
    return before.count("\n"), len(before) - before.rfind("\n") - 1


def _completion(
    before: str, pictures: Sequence[KnownPicture], *, first_line: bool
) -> tuple[str, Completion | None]:
    """Return the fragment that ends ``before`` and what it can become."""
    if first_line and before.startswith("/attach "):
        fragment = last_word(before.removeprefix("/attach "))
        return fragment, complete_path(fragment)
    name, blank, argument = before.partition(" ")
    if first_line and (slash := mistaken_slash(name)):
        return before, Completion(f"{slash.name} {argument}" if blank else f"{slash.name} ")
    fragment = last_word(before)
    if fragment.startswith("#"):
        return fragment, complete_reference(fragment, pictures)
    if fragment.startswith(("/", "~", "./", "../", "'", '"')):
        return fragment, complete_path(fragment)
    return fragment, None
