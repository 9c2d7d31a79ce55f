"""Line above the chat: its title, its pictures, its model."""

from __future__ import annotations

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from assistant.values.text import one_line
from assistant.values.words import counted, model_name


class ChatHeader(Widget):
    """Title on the left, counts and the way to help on the right."""

    chat_title: reactive[str] = reactive("New chat")
    """The title of the open chat."""
    pictures: reactive[int] = reactive(0)
    """The number of its pictures."""
    other_model: reactive[str] = reactive("")
    """The model that this chat was held with, where another one answers now."""
    server: reactive[str] = reactive("")
    """The server that answers; "" while all stays on this machine."""

    def render(self) -> Content:
        parts = ["F1 help"]
        if self.pictures:
            parts.insert(0, counted(self.pictures, "picture"))
        if self.other_model:
            parts.insert(0, f"held with {model_name(self.other_model)}: F8 uses it again")
        if self.server:
            parts.insert(0, f"⇄ {self.server} answers")
        facts = " · ".join(parts)
        room = max(0, self.size.width - len(facts) - 2)
        # the title gives way to the facts
        title = Content.styled(one_line(self.chat_title), "bold").truncate(room, ellipsis=True)
        gap = " " * max(2, self.size.width - title.cell_length - len(facts))
        return Content.assemble(title, gap, (facts, "$phi-quiet"))
