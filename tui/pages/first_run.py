"""Models page of the first start: the demo model is ready, real ones are one key away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.content import Content

from tui.pages.models import ModelsScreen

if TYPE_CHECKING:
    from assistant.models.catalogue import FoundModel


class FirstRunScreen(ModelsScreen):
    """Models page with a welcome; closing it keeps the demo model.

    It comes some seconds after the composer: a user who types already goes on typing there.
    """

    TITLE = "Welcome to phichat"
    _is_left = False

    def heading(self) -> Content:
        return Content.assemble(
            "The demo model is ready: it knows only coloured shapes.\n",
            ("A real one is fetched while you chat, and runs on this machine.", "$phi-quiet"),
        )

    def on_key(self, event: events.Key) -> None:
        is_choice = (event.character or "").isdigit() and not self._is_left
        if event.is_printable and not is_choice:
            event.stop()
            self._is_left = True  # digits that follow belong to the message too
            self.dismiss(None)
            self.app.call_later(self.app.post_message, events.Key(event.key, event.character))

    def does(self, one: FoundModel) -> str:
        return "Stay with the demo model" if one.kind == "demo" else super().does(one)
