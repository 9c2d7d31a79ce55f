"""Models page: each model with what choosing it does and whether it fits this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from assistant.values.text import one_line
from assistant.values.words import counted, file_size
from tui.keys import MODELS_KEYS, bindings
from tui.pages.connect import WHERE_IT_GOES, ConnectScreen
from tui.pages.dialog import ChoiceDialog, frame
from tui.pages.engine_screen import EngineScreen
from tui.requests import Answer, in_background
from tui.widgets.indent import Indented
from tui.widgets.model_rows import does, facts, fit

if TYPE_CHECKING:
    from assistant.core.memory.speed_estimate import Speed
    from assistant.engine.engine import Engine
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


def confirmation(one: FoundModel) -> ConfirmScreen:
    """Ask before a download: a key that was meant for something else fetches nothing."""
    title = one.known.title if one.known else one_line(one.name, 50)
    size = file_size(max(0, one.bytes - one.bytes_here)) if one.bytes else "its files"
    rows = [Content(f"Fetch {size} now, while you chat"), Content("Not now")]
    return ConfirmScreen(f"Get {title}?", rows, marked=1)


class ModelsScreen(EngineScreen[ModelChosen | None]):
    """Page that returns the chosen model, or None when nothing changes."""

    TITLE = "Models"
    BINDINGS: ClassVar = [
        *bindings(MODELS_KEYS, vi=True),
        *(Binding(str(n), f"choose({n})", f"Choose {n}", show=False) for n in range(1, 10)),
    ]

    def __init__(self, engine: Engine, download: Download | None, marked: str) -> None:
        """Highlight the model ``marked`` at first."""
        super().__init__(engine)
        self._download = download
        self._marked = marked
        self._models: tuple[FoundModel, ...] = ()
        self._speeds: Mapping[str, Speed] | None = None
        self._sees: dict[str, bool] = {}
        """Models of servers on this machine that were found, maybe before the others were."""

    def compose(self) -> ComposeResult:
        with frame(self.TITLE, "1 2 3 or enter choose · f finds servers here · esc back"):
            yield Static(self.heading(), classes="question")
            yield OptionList()
            yield Static(classes="download")

    def heading(self) -> Content:
        return Content("Which model shall answer? All but a server's run on this machine.")

    def _find(self) -> Answer:
        return partial(self._show, self._engine.model.available(self._engine.store.models()))

    def on_mount(self) -> None:
        self.query_one(OptionList).add_option(Option("Looking at this machine …", disabled=True))
        self.in_thread(self._find)
        self.set_interval(LOOK_S, self._show_download)
        self._show_download()

    def _show(self, models: Sequence[FoundModel]) -> None:
        demo = [one for one in models if one.kind == "demo"]
        usable = [one for one in models if one.kind in ("hub", "folder")]
        servers = [one for one in models if one.kind == "server"]
        self._models = (*usable, *demo, *servers)
        self._add_servers()
        self._show_rows()
        names = [one.name for one in self._models]
        marked = names.index(self._marked) if self._marked in names else 0
        self.query_one(OptionList).highlighted = marked
        found = self._models
        in_background(self, lambda: partial(self._show_speeds, self._engine.model.speeds(found)))

    def _show_rows(self) -> None:
        rows = [self.row(number, one) for number, one in enumerate(self._models, 1)]
        options = self.query_one(OptionList)
        marked = options.highlighted
        options.set_options([Option(row) for row in (*rows, self._connect_row())])
        options.highlighted = marked

    def _show_speeds(self, speeds: Mapping[str, Speed]) -> None:
        self._speeds = speeds
        self._show_rows()

    def row(self, number: int, one: FoundModel) -> Indented:
        """Return what choosing a model does, what it is, and whether it fits here."""
        about = one.known.about if one.known else ""
        if one.kind == "demo":
            about = "comes with phichat; knows coloured shapes and nothing else"
        elif one.kind == "server":
            about = f"a server: {self._eyes(one)}{WHERE_IT_GOES}"
        known, fits = facts(one), fit(one, self._speeds)
        return _numbered(
            number,
            (does(one, is_fetching=self._is_fetching(one)), "bold"),
            (f"  {known}" if known else "", "$phi-quiet"),
            (f"\n{about}" if about else "", "$phi-quiet"),
            "\n" if fits.plain else "",
            fits,
        )

    def _eyes(self, one: FoundModel) -> str:
        """Say whether a model that was found sees pictures."""
        if one.name not in self._sees:
            return ""
        return "sees pictures; " if self._sees[one.name] else "text, as far as its name says; "

    def _connect_row(self) -> Indented:
        return _numbered(
            len(self._models) + 1,
            ("Connect to a server", "bold"),
            (f"\nvLLM, Ollama, …: {WHERE_IT_GOES}", "$phi-quiet"),
        )

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
            self.app.push_screen(confirmation(one), partial(self._confirmed, one.name))

    def _confirmed(self, name: str, agreed: bool | None) -> None:
        if agreed:
            self.dismiss(ModelChosen(name, is_here=False))

    def _connected(self, name: str | None) -> None:
        if name is not None:
            self.dismiss(ModelChosen(name, is_here=True))

    def action_find_servers(self) -> None:
        """Ask the ports of this machine at which servers listen."""
        self.tell("Looking for servers on this machine …")
        found = self._engine.model.servers_here
        self.in_thread(lambda: partial(self._show_servers, found()))

    def _show_servers(self, models: Sequence[tuple[str, bool]]) -> None:
        """Show the models of servers by name, and whether each sees pictures."""
        if not models:
            self.tell("No server answers on this machine, at the ports 8080, 11434, 1234 and 8000.")
            return
        self._sees |= dict(models)
        if self._models:
            first = len(self._models)
            self._add_servers()
            self._show_rows()
            self.query_one(OptionList).highlighted = first if len(self._models) > first else None
        self.tell(f"Found {counted(len(models), 'model')} on this machine.")

    def _add_servers(self) -> None:
        """List the servers' models that were found, and that are not listed yet."""
        from assistant.models.catalogue import server_model

        listed = {one.name for one in self._models}
        new = [server_model(name) for name in self._sees if name not in listed]
        self._models = (*self._models, *new)

    def action_stop_download(self) -> None:
        if self._download is not None:
            self._download.stop()


def _numbered(number: int, *parts: Content | str | tuple[str, str]) -> Indented:
    mark = Content.styled(f" {number} ", "bold $primary")
    return Indented(len(mark), (mark, Content.assemble(*parts)))
