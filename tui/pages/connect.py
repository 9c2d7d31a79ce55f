"""Page to connect to a server: its address, then one of its models."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from assistant.values.text import one_line
from assistant.values.words import counted
from tui import messages
from tui.pages.dialog import TypingGoesToField, frame
from tui.pages.engine_screen import EngineScreen

WHERE_IT_GOES = "your words and pictures go there"
"""Said wherever a server can be chosen."""


class ConnectScreen(TypingGoesToField, EngineScreen[str | None]):
    """Page that returns the name of a server's model, or None; it asks for the list only."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Leave it", show=False),
    ]

    def compose(self) -> ComposeResult:
        with frame("Connect to a server", "enter connects · esc back"):
            yield Static(
                Content.assemble(
                    "Any server that speaks OpenAI's protocol (vLLM, Ollama, …).\n",
                    (f"From then on {WHERE_IT_GOES}.\n", "$warning"),
                    ("A key is taken from the variable PHICHAT_SERVER_KEY.", "$phi-quiet"),
                ),
                classes="question",
            )
            yield Input(placeholder="http://localhost:8000", compact=True)
            yield Static(classes="hint")
            yield OptionList()

    def on_mount(self) -> None:
        self._names: Sequence[str] = ()
        self.query_one(OptionList).display = False
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _ask(self, event: Input.Submitted) -> None:
        event.stop()
        if not (address := event.value.strip()):
            return
        self.query_one(OptionList).display = False
        self._tell(Content("Asking it for its models …"))
        where = address if "://" in address else f"http://{address}"
        self.in_thread(lambda: partial(self._show, address, self._engine.model.at_server(where)))

    def _show(self, address: str, names: Sequence[str]) -> None:
        if address != self.query_one(Input).value.strip():
            return  # it was changed meanwhile
        if len(names) == 1:
            self.dismiss(names[0])
            return
        self._names = names
        self._tell(Content(f"It has {counted(len(names), 'model')}: choose one."))
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options(
            [Option(Content(one_line(name.partition("#")[2], 70))) for name in names]
        )
        options.display = True
        options.highlighted = 0
        options.focus()

    @on(OptionList.OptionSelected)
    def _choose(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(self._names[event.option_index])

    @on(messages.RequestRefused)
    def _show_refusal(self, event: messages.RequestRefused) -> None:
        event.stop()
        event.prevent_default()
        self._tell(Content.styled(f"✗ {one_line(event.reason)}", "$error"))

    def _tell(self, words: Content) -> None:
        self.query_one(".hint", Static).update(words)
