"""The app's own colours: lamplight on ink, and the same on paper."""

from __future__ import annotations

from textual.theme import Theme

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
        "phi-quiet": "#8a8d99",
        "phi-faint": "#5b5f6e",
        "phi-line": "#32343d",
        "phi-code": "#0f1013",
        "border": "#454854",
        "border-blurred": "#32343d",
        "input-cursor-background": "#e3b873",
        "input-cursor-foreground": "#15161a",
        "input-selection-background": "#e3b873 30%",
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
    primary="#8f5b12",
    secondary="#1f6b5e",
    accent="#1f6b5e",
    foreground="#2c2a26",
    background="#f6f2e9",
    surface="#efeadd",
    panel="#e6dfcf",
    success="#3d7335",
    warning="#8f5b12",
    error="#a8372a",
    dark=False,
    variables={
        "phi-quiet": "#6c6759",
        "phi-faint": "#a39c8a",
        "phi-line": "#dcd4c1",
        "phi-code": "#ebe5d6",
        "border": "#c9bfa6",
        "border-blurred": "#dcd4c1",
        "input-cursor-background": "#8f5b12",
        "input-cursor-foreground": "#f6f2e9",
        "input-selection-background": "#8f5b12 25%",
        "block-cursor-background": "#ddd4bd",
        "block-cursor-foreground": "#1d1b17",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#e6dfcf",
        "block-cursor-blurred-foreground": "#2c2a26",
        "block-hover-background": "#ebe5d6",
        "scrollbar": "#d3cab4",
        "scrollbar-hover": "#c0b59a",
        "scrollbar-active": "#8f5b12",
        "scrollbar-background": "#f6f2e9",
        "scrollbar-background-hover": "#f6f2e9",
        "scrollbar-background-active": "#f6f2e9",
        "scrollbar-corner-color": "#f6f2e9",
        "link-color": "#1f6b5e",
        "footer-key-foreground": "#8f5b12",
        "markdown-h1-color": "#1d1b17",
        "markdown-h2-color": "#1d1b17",
        "markdown-h3-color": "#8f5b12",
        "markdown-h4-color": "#8f5b12",
    },
)

THEMES = (INK, PAPER)
"""Registered by the app."""


def fallback_variables(dark: bool) -> dict[str, str]:
    """Return our own variables for a theme that is not ours."""
    own = INK if dark else PAPER
    return {name: value for name, value in own.variables.items() if name.startswith("phi-")}
