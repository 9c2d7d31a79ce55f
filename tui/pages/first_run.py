"""The first start: the demo model is ready, and the real ones are one keystroke away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from tui.pages.models import ModelsScreen

if TYPE_CHECKING:
    from assistant.models.catalogue import FoundModel


class FirstRunScreen(ModelsScreen):
    """The models page with a welcome; closing it stays with the demo model."""

    TITLE = "Welcome to phichat"

    def heading(self) -> Content:
        """What answers now, and what could."""
        return Content.assemble(
            "The demo model is ready: it knows only coloured shapes.\n",
            ("A real one is fetched while you chat, and runs on this machine.", "$phi-quiet"),
        )

    def does(self, one: FoundModel) -> str:
        """What choosing a model does."""
        return "Stay with the demo model" if one.kind == "demo" else super().does(one)
