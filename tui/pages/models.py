"""Models page: each model with what choosing it does and whether it fits this machine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from assistant.values.text import one_line
from assistant.values.words import counted, file_size
from tui.keys import MODELS_KEYS
from tui.pages.connect import WHERE_IT_GOES, ConnectScreen
from tui.pages.dialog import ChoiceDialog, frame
from tui.pages.engine_screen import EngineScreen

if TYPE_CHECKING:
    from assistant.engine import Engine
    from assistant.models.catalogue import FoundModel
    from tui.pages.download import Download

LOOK_S = 0.3
"""Seconds between two looks at the download."""


@dataclass(frozen=True, slots=True)
class ModelChosen:
    """Choice of a model; ``is_here`` says that nothing must be fetched."""

    name: str
    is_here: bool


class ConfirmScreen(ChoiceDialog[bool]):
    """Question with yes in the first row."""

    def result(self, place: int) -> bool:
        return place == 0


class ModelsScreen(EngineScreen[ModelChosen | None]):
    """Page that returns the chosen model, or None when nothing changes."""

    TITLE = "Models"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(key.binding() for key in MODELS_KEYS if key.action),
        *(Binding(str(n), f"choose({n})", f"Choose {n}", show=False) for n in range(1, 10)),
    ]

    @dataclass
    class Found(Message):
        """The models were looked up."""

        models: tuple[FoundModel, ...]

    def __init__(self, engine: Engine, download: Download | None, marked: str) -> None:
        """Highlight the model ``marked`` at first."""
        super().__init__(engine)
        self._download = download
        self._marked = marked
        self._models: tuple[FoundModel, ...] = ()

    def compose(self) -> ComposeResult:
        with frame(self.TITLE, "1 2 3 or enter choose · esc closes"):
            yield Static(self.heading(), classes="question")
            yield OptionList()
            yield Static(classes="download")

    def heading(self) -> Content:
        return Content("Which model shall answer? All but a server's run on this machine.")

    def _find(self) -> Found:
        return self.Found(tuple(self._engine.model.available(self._engine.store.models())))

    def on_mount(self) -> None:
        self.query_one(OptionList).add_option(Option("Looking at this machine …", disabled=True))
        self.in_thread(self._find)
        self.set_interval(LOOK_S, self._show_download)
        self._show_download()

    @on(Found)
    def _show(self, event: Found) -> None:
        demo = [one for one in event.models if one.kind == "demo"]
        usable = [one for one in event.models if one.kind in ("hub", "folder")]
        servers = [one for one in event.models if one.kind == "server"]
        self._models = (*usable, *demo, *servers)
        options = self.query_one(OptionList)
        options.clear_options()
        rows = [self.row(number, one) for number, one in enumerate(self._models, 1)]
        options.add_options([Option(row) for row in (*rows, self._connect_row())])
        names = [one.name for one in self._models]
        options.highlighted = names.index(self._marked) if self._marked in names else 0

    def row(self, number: int, one: FoundModel) -> Content:
        """Return what choosing a model does, what it is, and whether it fits here."""
        does, about = self.does(one), one.known.about if one.known else ""
        if one.kind == "demo":
            about = "comes with phichat; knows coloured shapes and nothing else"
        elif one.kind == "server":
            about = f"a server: {WHERE_IT_GOES}"
        facts = ", ".join(_facts(one))
        return Content.assemble(
            (f" {number} ", "bold $primary"),
            (does, "bold"),
            (f"  {facts}" if facts else "", "$phi-quiet"),
            (f"\n   {about}" if about else "", "$phi-quiet"),
            *_fit(one),
        )

    def _connect_row(self) -> Content:
        return Content.assemble(
            (f" {len(self._models) + 1} ", "bold $primary"),
            ("Connect to a server", "bold"),
            (f"\n   vLLM, Ollama, …: {WHERE_IT_GOES}", "$phi-quiet"),
        )

    def does(self, one: FoundModel) -> str:
        """Return what choosing a model does."""
        name = one.known.title if one.known else one_line(one.name, 50)
        if one.in_use and one.whole:
            return f"● {name}: in use"
        if self._is_fetching(one):
            return f"{name}: is being fetched"
        if one.whole:
            return f"Use {'the demo model' if one.kind == 'demo' else name}"
        return f"Get {name}" if not one.bytes_here else f"Go on fetching {name}"

    def _is_fetching(self, one: FoundModel) -> bool:
        download = self._download
        return download is not None and not download.is_over and download.model_id == one.name

    def _show_download(self) -> None:
        line, download = self.query_one(".download", Static), self._download
        line.display = download is not None
        if download is None:
            return
        if download.error:
            line.update(Content.styled(f"✗ {download.error}", "$error"))
        elif download.is_over:
            words = "stopped; what came is kept" if download.was_stopped else "is here"
            line.update(Content(f"{download.model_id}: {words}"))
        else:
            line.update(Content(f"{download.words()} · s stops it, what came is kept"))

    def action_choose(self, number: int) -> None:
        if self._models and number <= len(self._models) + 1:
            self._choose(number - 1)

    @on(OptionList.OptionSelected)
    def _choose_option(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._choose(event.option_index)

    def _choose(self, place: int) -> None:
        if place == len(self._models):
            self.app.push_screen(ConnectScreen(self._engine), self._connected)
            return
        one = self._models[place]
        if self._is_fetching(one):
            self.tell("It is being fetched; s stops that.")
        elif one.problem and one.kind == "folder":
            self.tell(one.problem, error=True)
        elif one.whole:
            self.dismiss(ModelChosen(one.name, is_here=True))
        else:
            self.app.push_screen(self._confirmation(one), partial(self._confirmed, one.name))

    def _confirmation(self, one: FoundModel) -> ChoiceDialog[bool]:
        """Ask before a download: a key that was meant for something else fetches nothing."""
        title = one.known.title if one.known else one_line(one.name, 50)
        size = file_size(max(0, one.bytes - one.bytes_here)) if one.bytes else "its files"
        rows = [Content(f"Fetch {size} now, while you chat"), Content("Not now")]
        return ConfirmScreen(f"Get {title}?", rows, marked=1)

    def _confirmed(self, name: str, agreed: bool | None) -> None:
        if agreed:
            self.dismiss(ModelChosen(name, is_here=False))

    def _connected(self, name: str | None) -> None:
        if name is not None:
            self.dismiss(ModelChosen(name, is_here=True))

    def action_stop_download(self) -> None:
        if self._download is not None:
            self._download.stop()


def _facts(one: FoundModel) -> list[str]:
    facts = []
    if one.bytes:
        facts.append(file_size(one.bytes))
    if one.known is not None:
        facts.append(one.known.licence)
    if one.whole and one.kind in ("hub", "folder"):
        facts.append("here")
    elif one.bytes_here and not one.whole:
        facts.append(f"{file_size(one.bytes_here)} of it here")
    return facts


def _fit(one: FoundModel) -> list[tuple[str, str]]:
    plan = one.plan
    if plan is None:
        return [(f"\n   ✗ {one_line(one.problem)}", "$error")] if one.problem else []
    if plan.problem is not None:
        needed = file_size(plan.fixed_bytes + plan.reserve)
        free = file_size(plan.available)
        return [(f"\n   ✗ doesn't fit here now: needs {needed}, {free} are free", "$error")]
    held = plan.dtype if plan.weights == "float" else plan.weights
    words = f"\n   ✓ fits here: {held} weights, {counted(plan.context_tokens, 'token')} of context"
    return [(words, "$success")]
