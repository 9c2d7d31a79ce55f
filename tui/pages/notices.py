"""Dialog with all notices since the start, the newest first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui.keys import NOTICES_KEYS, bindings
from tui.pages.dialog import frame
from tui.textual_fixes import GuardedDialog
from tui.widgets.notice_line import Notice


class NoticesScreen(GuardedDialog[None]):
    """Shows each notice with its time."""

    BINDINGS: ClassVar = bindings(NOTICES_KEYS, vi=True)

    def __init__(self, notices: Sequence[Notice]) -> None:
        super().__init__()
        self._notices = notices

    def compose(self) -> ComposeResult:
        with frame("Notices", "esc back", scrolls=True):
            for notice in reversed(self._notices):
                time = (f"{notice.at:%H:%M}  ", "$phi-quiet")
                yield Static(Content.assemble(time, notice.content))
            if not self._notices:
                yield Static(Content("There was none since the start."))
