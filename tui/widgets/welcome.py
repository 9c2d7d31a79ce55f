"""Welcome in an empty chat: the ways to begin, and a banner for the demo model."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widgets import Static

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

DEMO_BANNER = Content.assemble(
    ("Demo model: it knows only coloured shapes.", "bold $warning"),
    (
        "\nThe README's section “From the demo to Phi-3-vision” tells how to get the real one.",
        "$phi-quiet",
    ),
)


class Welcome(Vertical):
    """Fills the chat until the first message is sent."""

    is_demo: reactive[bool] = reactive(False)
    """Whether the bundled demo model answers."""

    def compose(self) -> ComposeResult:
        yield Static(Content(SIGN), classes="sign")
        yield Static(Content.styled("Talk about pictures.", "bold"), classes="headline")
        yield Static(
            Content.styled("What they show, what they say, how two of them differ.", "$phi-quiet"),
            classes="promise",
        )
        rows = [
            Content.assemble((f"{way:>12}", "bold $primary"), ("  " + what, "$foreground 80%"))
            for way, what in WAYS
        ]
        yield Static(Content("\n").join(rows), classes="ways")
        banner = Static(DEMO_BANNER, classes="demo-banner")
        banner.display = False
        yield banner

    def watch_is_demo(self, is_demo: bool) -> None:
        self.query_one(".demo-banner", Static).display = is_demo
