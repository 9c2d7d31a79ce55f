"""Models page of the first start: the demo model is ready, real ones are one key away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from tui.pages.models import ModelsScreen

if TYPE_CHECKING:
    from assistant.models.catalogue import FoundModel


class FirstRunScreen(ModelsScreen):
    """Models page with a welcome; closing it keeps the demo model."""

    TITLE = "Welcome to phichat"

    def heading(self) -> Content:
        return Content.assemble(
            "The demo model is ready: it knows only coloured shapes.\n",
            ("A real one is fetched while you chat, and runs on this machine.", "$phi-quiet"),
        )

    def does(self, one: FoundModel) -> str:
        return "Stay with the demo model" if one.kind == "demo" else super().does(one)
