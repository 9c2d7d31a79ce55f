"""Welcome in an empty chat: the ways to begin, and choices for a new user."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

from tui.widgets.choices import Choices, Offer
from tui.widgets.indent import Indented

WAYS = (
    ("enter", "try a picture of ours, with a question"),
    ("drop a file", "on this window, or paste its path"),
    ("ctrl+o", "pick a file, type a path or a URL"),
    ("/attach", "cat.jpg, ~/scans/page.png, https://…"),
)

SIGN = """\
   ▐▌
 ▄▀▐▌▀▄
▐▌ ▐▌ ▐▌
 ▀▄▐▌▄▀
   ▐▌"""
"""A phi; shown where there is room for it."""

PROMISE = "What they show, what they say, how two of them differ."
DEMO_SAYS = "The demo model answers: it knows only coloured shapes."
OFFER_SAYS = "A real model is fetched while you chat, and runs on this machine."
REACH = "↑, then enter, or a click:"
LOOKING = "Looking at this machine …"


class Welcome(VerticalScroll, can_focus=False):
    """Fills the chat until the first message is sent. Nothing in it takes the focus by itself."""

    is_demo: reactive[bool] = reactive(False)
    """Whether the bundled demo model answers."""
    offer: reactive[Offer | None] = reactive(None)
    """Models that are offered to a new user."""

    def compose(self) -> ComposeResult:
        yield Static(Content(SIGN), classes="sign")
        yield Static(Content.styled("Talk about pictures.", "bold"), classes="headline")
        yield Static(Content.styled(PROMISE, "$phi-quiet"), classes="promise")
        ways = [
            (Content.styled(f"{way:>12}  ", "bold $primary"), Content(what)) for way, what in WAYS
        ]
        yield Static(Indented(14, *ways), classes="ways")
        yield Static(classes="says")
        yield Choices()

    @property
    def choices(self) -> Choices:
        """The rows that can be chosen."""
        return self.query_one(Choices)

    def on_mount(self) -> None:
        self._show()

    def watch_is_demo(self) -> None:
        self._show()

    def watch_offer(self) -> None:
        self._show()

    def _show(self) -> None:
        if not self.is_mounted:
            return
        self.set_class(self.offer is not None, "-offers")
        says = [Content.styled(DEMO_SAYS, "bold $warning")] if self.is_demo else []
        if self.offer is not None:
            looking = self.offer.models is None
            says.append(Content.styled(LOOKING if looking else OFFER_SAYS, "$phi-quiet"))
        self.choices.show(self.offer, is_demo=self.is_demo)
        if self.choices.display:
            says.append(Content.styled(REACH, "$phi-quiet"))
        self.query_one(".says", Static).update(Content("\n").join(says))
        self.query_one(".says", Static).display = bool(says)
