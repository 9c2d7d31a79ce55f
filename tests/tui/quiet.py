"""Waits for an event loop without work, and style sheets that are parsed once for all apps.

Textual's pilot takes a process for idle when it has used little CPU time for 20 ms: on a loaded
machine it goes on before the key that it pressed was handled.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from functools import partialmethod
from typing import Any

import pytest
import textual.app
import textual.pilot
from textual._compositor import Compositor
from textual._context import active_app, visible_screen_stack
from textual.app import App
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.geometry import Region
from textual.pilot import Pilot

import tui.app
import tui.disk
import tui.widgets.composer
from tests.wait import LIMIT_S

PAINTS = 50
"""Paints after which a screen that always wants another one is taken for quiet."""
TURNS = 2000
"""Turns of the loop after which callbacks that always schedule others are taken for quiet."""
NOTICE_S = 3600.0
"""Seconds that a notice stands: longer than any test."""


async def loop_drained() -> None:
    """Wait until the event loop has nothing to run but timers and threads."""
    ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]
    for _ in range(TURNS):
        if not ready:
            return
        await asyncio.sleep(0)


async def settle(app: App[Any]) -> None:
    """Wait until every message was handled and the screen is painted."""
    for _ in range(PAINTS):
        await loop_drained()
        if not app._running or not app.screen_stack:
            return
        screen = app.screen
        if not (
            screen._layout_required
            or screen._scroll_required
            or screen._repaint_required
            or screen._recompose_required
            or screen._dirty_widgets
            or screen._callbacks
        ):
            return
        screen._on_timer_update()


_textual_wait = textual.pilot.wait_for_idle


async def _wait_for_idle(min_sleep: float = 0, max_sleep: float = 1) -> None:
    # Textual's wait lets timers fire, settling lets a loaded machine finish what they began.
    await _textual_wait(min_sleep, max_sleep)
    await settle(active_app.get())


def make_deterministic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pilot wait for events, and let notices stand until they are cleared."""
    for module in (textual.app, textual.pilot):
        monkeypatch.setattr(module, "wait_for_idle", _wait_for_idle)
    patient = partialmethod(Pilot._wait_for_screen, timeout=LIMIT_S)
    monkeypatch.setattr(Pilot, "_wait_for_screen", patient)
    monkeypatch.setattr(tui.app, "NOTICE_S", NOTICE_S)
    monkeypatch.setattr(tui.disk, "PATIENCE_S", LIMIT_S)
    monkeypatch.setattr(tui.widgets.composer, "PATIENCE_S", NOTICE_S)


_parse_rules = Stylesheet._parse_rules
_parsed: dict[frozenset[tuple[str, str]], dict[tuple[object, ...], list[RuleSet]]] = {}
"""Parsed rules for each set of variables, that is for each theme."""


def _parse_rules_once(self: Stylesheet, css: str, *where: Any, **how: Any) -> list[RuleSet]:
    variables, rules = self.__dict__.get("_parsed_here", (None, {}))
    if variables is not self._variables:
        rules = _parsed.setdefault(frozenset(self._variables.items()), {})
        self.__dict__["_parsed_here"] = self._variables, rules
    key = (css, where, *how.items())
    if key not in rules:
        rules[key] = _parse_rules(self, css, *where, **how)
    found: list[RuleSet] = rules[key]
    return found


# Each new app parses the same rules again, which is half of the CPU time of its start.
Stylesheet._parse_rules = _parse_rules_once  # type: ignore[method-assign]


def slow_down_threads(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Start every thread of the app late and end it late, up to ``seconds`` each."""
    run = asyncio.BaseEventLoop.run_in_executor

    def late(function: Callable[..., Any], *arguments: Any) -> Any:
        time.sleep(random.uniform(0, seconds))
        try:
            return function(*arguments)
        finally:
            time.sleep(random.uniform(0, seconds))

    def run_late(
        self: asyncio.BaseEventLoop, executor: Any, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        return run(self, executor, late, function, *arguments)

    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", run_late)


_render_update = Compositor.render_update


def _render_for_a_terminal(
    self: Compositor, full: bool = False, screen_stack: Any = None, simplify: bool = False
) -> Any:
    if full or not active_app.get().is_headless:
        return _render_update(self, full, screen_stack, simplify)
    visible_screen_stack.set([] if screen_stack is None else screen_stack)
    dirty = self._dirty_regions.copy()
    self._dirty_regions.clear()
    if dirty:
        crop = Region.from_union(dirty).intersection(self.size.region)
        for _ in self._get_renders(crop):
            pass
    return None


# Widgets are painted as ever; their lines are cut and put together only for who looks at them.
Compositor.render_update = _render_for_a_terminal  # type: ignore[method-assign]
