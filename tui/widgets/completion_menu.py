"""Menu of what can be typed next, below the text, which keeps the focus."""

from __future__ import annotations

from dataclasses import dataclass

from textual import on
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.widgets.offers import Offer

LABEL_WIDTH = 24


class CompletionMenu(OptionList, can_focus=False):
    """Shows all offers and scrolls through them."""

    @dataclass
    class Clicked(Message):
        """An offer was clicked."""

        offer: Offer

    class Toggled(Message):
        """The menu was opened or closed."""

    def __init__(self) -> None:
        super().__init__()
        self.display = False
        self._offers: tuple[Offer, ...] = ()
        self._closed_for: str | None = None
        self._before = ""

    @property
    def is_open(self) -> bool:
        return self.display

    @property
    def chosen(self) -> Offer:
        """The highlighted offer of an open menu."""
        return self._offers[self.highlighted or 0]

    def show(self, before: str, offers: tuple[Offer, ...]) -> None:
        """Show the offers for the text ``before`` the cursor, unless they were closed there."""
        if before != self._closed_for:
            self._closed_for = None
        self._before = before
        if offers != self._offers:
            self._offers = offers
            self.clear_options()
            self.add_options(map(_row, offers))
            self.highlighted = 0 if offers else None
        is_open = bool(offers) and self._closed_for is None
        self._toggle(is_open)

    def close(self) -> None:
        """Show nothing until the text is another."""
        self._closed_for = self._before
        self._toggle(False)

    def _toggle(self, is_open: bool) -> None:
        if self.display != is_open:  # each change lays out all
            self.display = is_open
            self.post_message(self.Toggled())

    @on(OptionList.OptionSelected)
    def _take_clicked(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Clicked(self._offers[event.option_index]))


def _row(offer: Offer) -> Option:
    return Option(
        Content.assemble(
            (offer.label.ljust(LABEL_WIDTH), "$foreground"), (f" {offer.about}", "$phi-quiet")
        )
    )
