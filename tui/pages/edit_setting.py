"""Dialog for the value of one setting: chosen or typed, checked by the schema."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from assistant.settings.load import read_value
from assistant.settings.schema import SETTABLE, SettingsError
from assistant.values.text import one_line
from tui.keys import CHOICE_KEYS, bindings
from tui.pages.dialog import TypingGoesToField, frame
from tui.textual_fixes import GuardedDialog


class EditSettingScreen(TypingGoesToField, GuardedDialog[str | None]):
    """Dialog that returns a text which the schema accepts; None leaves the setting as it is."""

    BINDINGS: ClassVar = bindings(CHOICE_KEYS)

    def __init__(self, name: str, text: str, choices: Sequence[tuple[str, str]]) -> None:
        """``choices`` are words and the text that each stands for."""
        super().__init__()
        self._setting = name
        self._text = text
        self._choices = choices

    def compose(self) -> ComposeResult:
        field = SETTABLE[self._setting]
        with frame(self._setting, "enter takes it · type another · esc back"):
            yield Static(Content(field.description), classes="question")
            if self._choices:
                yield OptionList(*[Option(self._row(*choice)) for choice in self._choices])
            hint = "name = text" if field.is_table else field.must_be
            yield Input(self._text, placeholder=hint, compact=True)
            yield Static(classes="hint")

    def _row(self, words: str, text: str) -> Content:
        mark = "● " if text == self._text else "  "
        row = Content.assemble(mark, one_line(words, 60))
        return (
            row
            if words == text
            else Content.assemble(row, (f"  {one_line(text, 60)}", "$phi-quiet"))
        )

    def on_mount(self) -> None:
        texts = [text for _, text in self._choices]
        if texts:
            options = self.query_one(OptionList)
            options.highlighted = texts.index(self._text) if self._text in texts else 0
            options.focus()
        else:
            self.query_one(Input).focus()

    @on(OptionList.OptionSelected)
    def _take_choice(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        text = self._choices[event.option_index][1]
        if SETTABLE[self._setting].is_table:  # to be changed, not to be taken as it is
            area = self.query_one(Input)
            area.value = text
            area.focus()
        else:
            self._take(text)

    @on(Input.Submitted)
    def _take_typed(self, event: Input.Submitted) -> None:
        event.stop()
        self._take(event.value)

    def _take(self, text: str) -> None:
        try:
            if not SETTABLE[self._setting].is_table:
                read_value(self._setting, text)
            elif "=" not in text:
                raise SettingsError("Type a name, =, and a text; nothing after = takes it out.")
        except SettingsError as refused:
            self.query_one(".hint", Static).update(Content.styled(f"✗ {refused}", "$error"))
            self.query_one(Input).focus()
        else:
            self.dismiss(text)
