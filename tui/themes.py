"""Themes of the app: lamplight on ink, the same on paper, high contrast, the terminal's own."""

from __future__ import annotations

from textual.theme import BUILTIN_THEMES, Theme

from tui.terminal.detect import Colours, Graphics

INK = Theme(
    name="phichat-ink",
    primary="#e3b873",
    secondary="#84bfb0",
    accent="#84bfb0",
    foreground="#d9d5cb",
    background="#15161a",
    surface="#1c1d22",
    panel="#272930",
    success="#9cc48a",
    warning="#e3b873",
    error="#e08a7d",
    dark=True,
    variables={
        "phi-quiet": "#a3a6b1",
        "phi-faint": "#a3a6b1",
        "phi-line": "#32343d",
        "phi-code": "#0f1013",
        "border": "#454854",
        "border-blurred": "#32343d",
        "input-cursor-background": "#e3b873",
        "input-cursor-foreground": "#15161a",
        "input-selection-background": "#e3b873 30%",
        "screen-selection-background": "#4a3d24",
        "screen-selection-foreground": "#f2ede1",
        "block-cursor-background": "#2f313a",
        "block-cursor-foreground": "#f2ede1",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#272930",
        "block-cursor-blurred-foreground": "#d9d5cb",
        "block-hover-background": "#212228",
        "scrollbar": "#32343d",
        "scrollbar-hover": "#454854",
        "scrollbar-active": "#e3b873",
        "scrollbar-background": "#15161a",
        "scrollbar-background-hover": "#15161a",
        "scrollbar-background-active": "#15161a",
        "scrollbar-corner-color": "#15161a",
        "link-color": "#84bfb0",
        "footer-key-foreground": "#e3b873",
        "markdown-h1-color": "#f2ede1",
        "markdown-h2-color": "#f2ede1",
        "markdown-h3-color": "#e3b873",
        "markdown-h4-color": "#e3b873",
    },
)

PAPER = Theme(
    name="phichat-paper",
    primary="#70460a",
    secondary="#185a4f",
    accent="#185a4f",
    foreground="#2c2a26",
    background="#f6f2e9",
    surface="#efeadd",
    panel="#e6dfcf",
    success="#1e5f1a",
    warning="#70460a",
    error="#962c20",
    dark=False,
    variables={
        "phi-quiet": "#5a5548",
        "phi-faint": "#5a5548",
        "phi-line": "#dcd4c1",
        "phi-code": "#ebe5d6",
        "border": "#c9bfa6",
        "border-blurred": "#dcd4c1",
        "input-cursor-background": "#70460a",
        "input-cursor-foreground": "#f6f2e9",
        "input-selection-background": "#70460a 25%",
        "screen-selection-background": "#e3cfa6",
        "screen-selection-foreground": "#2c2a26",
        "block-cursor-background": "#e3dbc9",
        "block-cursor-foreground": "#1d1b17",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e6dfcf",
        "block-cursor-blurred-foreground": "#2c2a26",
        "block-hover-background": "#ebe5d6",
        "scrollbar": "#d3cab4",
        "scrollbar-hover": "#c0b59a",
        "scrollbar-active": "#70460a",
        "scrollbar-background": "#f6f2e9",
        "scrollbar-background-hover": "#f6f2e9",
        "scrollbar-background-active": "#f6f2e9",
        "scrollbar-corner-color": "#f6f2e9",
        "link-color": "#185a4f",
        "footer-key-foreground": "#70460a",
        "markdown-h1-color": "#1d1b17",
        "markdown-h2-color": "#1d1b17",
        "markdown-h3-color": "#70460a",
        "markdown-h4-color": "#70460a",
    },
)

CONTRAST = Theme(
    name="phichat-contrast",
    primary="#ffd75f",
    secondary="#5fffff",
    accent="#5fffff",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#262626",
    success="#5fff87",
    warning="#ffd75f",
    error="#ffafaf",
    dark=True,
    text_alpha=1.0,
    variables={
        "phi-quiet": "#d0d0d0",
        "phi-faint": "#d0d0d0",
        "phi-line": "#ffffff",
        "phi-code": "#121212",
        "border": "#ffffff",
        "border-blurred": "#b2b2b2",
        "input-cursor-background": "#ffffff",
        "input-cursor-foreground": "#000000",
        "input-selection-background": "#005fff",
        "input-selection-foreground": "#ffffff",
        "screen-selection-background": "#005fff",
        "screen-selection-foreground": "#ffffff",
        "block-cursor-background": "#00356b",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#303030",
        "block-cursor-blurred-foreground": "#ffffff",
        "block-hover-background": "#303030",
        "scrollbar": "#b2b2b2",
        "scrollbar-active": "#ffffff",
        "scrollbar-background": "#000000",
        "link-color": "#5fffff",
        "footer-key-foreground": "#ffd75f",
    },
)
"""Every text is at least 7:1 against its ground (WCAG 2.2, 1.4.6); a test computes it."""


def _own_colours(*, is_light: bool) -> Theme:
    """Make the theme of the terminal's own sixteen colours on its own ground.

    Dark blue can't be read on black. On white, nothing but blue can: bold letters are bright.
    """
    loud, other = ("blue", "default") if is_light else ("yellow", "cyan")
    chosen = "ansi_white" if is_light else "ansi_blue"
    ink, paper = ("black", "white") if is_light else ("white", "black")
    return Theme(
        name="phichat-ansi",
        primary=f"ansi_{loud}",
        secondary=f"ansi_{other}",
        accent=f"ansi_{other}",
        foreground="ansi_default",
        background="ansi_default",
        surface="ansi_default",
        panel="ansi_default",
        boost="ansi_default",
        success="ansi_blue" if is_light else "ansi_green",
        warning=f"ansi_{loud}",
        error="ansi_red" if is_light else "ansi_bright_red",
        dark=not is_light,
        ansi=True,
        variables={
            **BUILTIN_THEMES["ansi-light" if is_light else "ansi-dark"].variables,
            "phi-quiet": "ansi_default",
            "phi-faint": "ansi_default",
            "phi-line": "ansi_default",
            "phi-code": "ansi_default",
            "border": "ansi_default",
            "border-blurred": "ansi_default",
            "block-cursor-background": chosen,
            "block-cursor-foreground": f"ansi_{ink}",
            "block-cursor-text-style": "bold",
            "block-cursor-blurred-background": chosen,
            "block-cursor-blurred-foreground": f"ansi_{ink}",
            "input-cursor-background": f"ansi_{ink}",
            "input-cursor-foreground": f"ansi_{paper}",
            "input-cursor-text-style": "none",
            "input-selection-background": "ansi_blue",
            "input-selection-foreground": "ansi_white",
            "screen-selection-background": "ansi_blue",
            "screen-selection-foreground": "ansi_white",
        },
    )


ANSI, ANSI_LIGHT = _own_colours(is_light=False), _own_colours(is_light=True)
"""One name: the app registers the one that can be read on the terminal's ground."""

THEMES = (INK, PAPER, CONTRAST, ANSI)


def themes_for(graphics: Graphics) -> tuple[Theme, ...]:
    """Return the themes that this terminal can show."""
    own = ANSI_LIGHT if graphics.is_light else ANSI
    return (own,) if graphics.colours <= Colours.NAMED else (INK, PAPER, CONTRAST, own)


AUTO_THEME = "auto"
"""Setting: the theme follows the terminal's background."""


def theme_of(setting: str, graphics: Graphics) -> str:
    """Return the name of the theme for a setting; one that is not shown is taken for "auto"."""
    names = [theme.name for theme in themes_for(graphics)]
    fitting = (setting, (PAPER if graphics.is_light else INK).name, ANSI.name)
    return next(name for name in fitting if name in names)


def fallback_variables(dark: bool) -> dict[str, str]:
    """Return our own variables for a theme that is not ours."""
    own = INK if dark else PAPER
    return {name: value for name, value in own.variables.items() if name.startswith("phi-")}
