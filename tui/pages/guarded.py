"""Screens that survive what comes at the wrong moment, and rest below a dialog."""

from __future__ import annotations

from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.geometry import Offset
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

ResultT = TypeVar("ResultT")


class GuardedScreen(Screen[ResultT]):
    """Drops mouse hits on widgets that already left the tree.

    While a reply streams, blocks are replaced under the mouse. The compositor
    still knows the old ones for one frame, and Textual 8.2 asks the hit widget
    for its parent's region (Textual issue 6643).
    """

    def get_widget_and_offset_at(self, x: int, y: int) -> tuple[Widget | None, Offset | None]:
        """Return the widget under a coordinate, and None for one that is detached."""
        widget, offset = super().get_widget_and_offset_at(x, y)
        if widget is not None and widget is not self and widget.parent is None:
            return None, None
        return widget, offset

    def _compositor_refresh(self) -> None:
        """Below a dialog, paint a change once: Textual 8.2 would go on painting both for ever."""
        super()._compositor_refresh()
        if self is not self.app.screen:
            self._repaint_required = False

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Leave the page, once: see :meth:`Dialog.dismiss`."""
        return super().dismiss(result) if self.is_active else AwaitComplete()


class Dialog(ModalScreen[ResultT]):
    """A window over the page."""

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Close it, once.

        A second enter that was typed before the first one was worked off comes when it is
        closed already, and Textual would then take off the page below.
        """
        return super().dismiss(result) if self.is_active else AwaitComplete()
