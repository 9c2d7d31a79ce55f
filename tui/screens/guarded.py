"""A screen that survives clicks on what is just being replaced, and rests below a dialog."""

from __future__ import annotations

from typing import TypeVar

from textual.geometry import Offset
from textual.screen import Screen
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
