"""Recording for the README, docs/phichat.svg: the app, its keys and the demo model's real answers.

python -m docs.record
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw
from textual import events

from docs.animation import Animation
from tests.tui.quiet import settle

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from assistant.values.events import Event
    from tui.chat.screen import ChatScreen

OUT = Path(__file__).resolve().parent / "phichat.svg"
SIZE = (92, 26)
LIMIT_S = 300
"""Seconds: a state that has not come by then does not come."""

KEY_S, WORD_S, LOOK_S, END_S = 0.07, 0.16, 1.6, 4.0
"""Seconds that a frame stands: after a key, after a word of a reply, to be read, at the end."""


def draw_sail(path: Path) -> None:
    """Draw a second picture: what the demo model knows, and a thing that it sees only closer."""
    sail = Image.new("RGB", (1440, 960), (236, 240, 244))
    draw = ImageDraw.Draw(sail)
    draw.polygon([(750, 120), (1140, 810), (360, 810)], fill=(205, 40, 40))
    draw.ellipse((1240, 780, 1300, 840), fill=(40, 150, 60))
    sail.save(path)


@dataclass
class Pace:
    """Lets a reply appear word by word: the camera takes a frame after each."""

    _next: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    said: str = ""
    words: int = 0
    is_over: bool = False

    def slowed(self, send: Callable[..., Iterator[Event]]) -> Callable[..., Iterator[Event]]:
        """Return ``send``, which hands out each word of a reply when `next_word` asks for it."""
        from assistant.values.events import Progressed, ReplyGrew

        def events(*arguments: Any, **more: Any) -> Iterator[Event]:
            self.said, self.is_over, text = "", False, ""
            for event in send(*arguments, **more):
                if isinstance(event, ReplyGrew):
                    text += event.text  # in parts that depend on the machine
                    continue
                if isinstance(event, Progressed):  # so do its figures
                    continue
                for word in re.findall(r"\s*\S+", text):
                    self._next.acquire()
                    self.said += word
                    self.words += 1
                    yield ReplyGrew(word)
                text = ""
                yield event
            self._next.acquire()
            self.is_over = True

        return events

    def next_word(self) -> int:
        """Let the next word appear, or the reply end; return the number of words before it."""
        words = self.words
        self._next.release()
        return words


class Camera:
    """Presses keys and takes frames of the screen."""

    def __init__(self, pilot: Pilot[None], pace: Pace) -> None:
        self._pilot = pilot
        self._pace = pace
        self.animation = Animation(*SIZE)

    async def take(self, seconds: float) -> None:
        """Take a frame that stands for ``seconds``."""
        await self._pilot.pause(0.05)
        await settle(self._pilot.app)
        await self.until(self._is_at_rest)
        await settle(self._pilot.app)
        self.animation.add(self._pilot.app.screen._compositor.render_strips(), seconds)

    def _is_at_rest(self) -> bool:
        """Say whether pictures are drawn, and the chat stands at its end."""
        from tui.widgets.chat_view import ChatView
        from tui.widgets.picture_drawing import PictureDrawing

        screen = self._pilot.app.screen
        at_end = all(view.is_vertical_scroll_end for view in screen.query(ChatView))
        return at_end and all(drawing.drawn for drawing in screen.query(PictureDrawing))

    def shown(self) -> str:
        """Return the text on the screen."""
        strips = self._pilot.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips).replace("\u00a0", " ")

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait for a state, and until it is painted."""
        async with asyncio.timeout(LIMIT_S):
            while not condition():
                await self._pilot.pause(0.02)

    async def type(self, text: str) -> None:
        """Type a text, a frame for each key."""
        for character in text:
            self._pilot.app.post_message(events.Key(character, character))
            await self.take(KEY_S)
        await self.take(LOOK_S / 2)

    async def ask(self) -> None:
        """Press enter, and watch the reply grow."""
        from tui.widgets.chat_view import ChatView

        chat, view = self._screen.chat, self._screen.conversation.query_one(ChatView)
        before = len(view.turns)
        await self._pilot.press("enter")
        await self.until(lambda: chat.running is not None and chat.running.reply is not None)
        await self.until(lambda: "New chat" not in self.shown().splitlines()[0])
        await self.until(lambda: len(view.turns) == before + 2)
        await self.take(LOOK_S / 2)
        while not self._pace.is_over:
            words = self._pace.next_word()
            await self.until(lambda words=words: self._pace.is_over or self._pace.words > words)
            await self.until(lambda: self._pace.said in self.shown())
            if not self._pace.is_over:
                await self.take(WORD_S)
        await self.until(lambda: chat.running is None)
        await self.take(LOOK_S)

    async def hold(self, key: str, presses: int, each: int) -> None:
        """Press a key so often, a frame for every few."""
        for _ in range(presses // each):
            await self._pilot.press(*[key] * each)
            await self.take(KEY_S)

    async def attach(self, keys: Callable[[], Any]) -> None:
        """Attach a picture by ``keys``; wait until its tokens are counted and it was looked at."""
        await keys()
        composer = self._screen.conversation.composer
        await self.until(lambda: composer.chips.files and " seen" in self.shown())
        await self.until(lambda: " tokens" in self.shown())
        await self.take(LOOK_S)

    @property
    def _screen(self) -> ChatScreen:
        from tui.chat.screen import ChatScreen

        (screen,) = (s for s in self._pilot.app.screen_stack if isinstance(s, ChatScreen))
        return screen


async def record() -> str:
    """Play the scene in the current folder, where ``sail.png`` is; return it as SVG."""
    from assistant.engine.open import open_engine
    from assistant.settings.load import load as load_settings
    from tui.app import PhichatApp

    settings = load_settings()
    settings.config_file.parent.mkdir(parents=True, exist_ok=True)
    settings.config_file.touch()
    engine, pace = open_engine(settings), Pace()
    engine.send = pace.slowed(engine.send)  # type: ignore[method-assign]
    app = PhichatApp(engine, settings)
    app.animation_level = "none"
    async with app.run_test(size=SIZE) as pilot:
        camera = Camera(pilot, pace)
        camera._screen.conversation.composer.area.cursor_blink = False
        await camera.until(lambda: "●" in camera.shown() and "coloured" in camera.shown())
        await camera.take(LOOK_S)
        # 1) A sample, by the key that the empty chat names.
        await camera.attach(lambda: pilot.press("enter"))
        await camera.ask()
        await camera.type("What colour is it?")
        await camera.ask()
        # 2) Another picture in the middle, by its path.
        await camera.type("sail.png")
        await camera.attach(lambda: pilot.press("enter"))
        await camera.type("What do you see?")
        await camera.ask()
        # 3) A part of it: the small thing at the right. No frame of the page before, which
        #    has the time of day.
        await pilot.press("f3")
        await camera.until(lambda: "r a part" in camera.shown() and "▀" in camera.shown())
        await pilot.press("r")
        await camera.take(LOOK_S)
        await camera.hold("shift+left", 8, 4)
        await camera.hold("right", 28, 7)
        await camera.hold("down", 6, 6)
        await camera.take(LOOK_S)
        await camera.attach(lambda: pilot.press("enter"))
        await camera.type("And what do you see here?")
        await camera.ask()
        # 4) A question about the first again.
        await camera.type("What colour was the shape in the first picture?")
        await camera.ask()
        await camera.take(END_S)
    engine.close()
    return camera.animation.svg(
        "phichat: a conversation about two pictures and a part of one in a terminal"
    )


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        os.environ["PHICHAT_HOME"] = folder
        draw_sail(Path("sail.png"))
        svg = asyncio.run(record())
    OUT.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
