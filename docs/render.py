"""Draws docs/phichat.svg, the README's picture: the app with a real conversation of the demo model.

python -m docs.render
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

OUT = Path(__file__).parent / "phichat.svg"
SIZE = (124, 40)

TALK = (
    ("What do you see?", "sun.png"),
    ("What colour is it?", None),
    ("And which shape is in this one?", "sail.png"),
    ("What colour was the shape in the first picture?", None),
)


def draw_pictures(folder: Path) -> None:
    """Two drawings within what the demo model knows."""
    sun = Image.new("RGB", (480, 320), (24, 30, 52))
    ImageDraw.Draw(sun).ellipse((170, 70, 350, 250), fill=(255, 214, 10))
    sun.save(folder / "sun.png")
    sail = Image.new("RGB", (480, 320), (236, 240, 244))
    ImageDraw.Draw(sail).polygon([(250, 40), (380, 270), (120, 270)], fill=(205, 40, 40))
    sail.save(folder / "sail.png")


async def render(home: Path) -> str:
    """Draw the app's screen as SVG."""
    from assistant.engine import open_engine
    from assistant.settings import load as load_settings
    from assistant.values.conversation import Draft
    from assistant.values.events import UserTurnStored
    from tui.app import PhichatApp

    settings = load_settings()
    engine = open_engine(settings)
    session = None
    for text, name in TALK:
        files = () if name is None else (engine.pictures.open(str(home / name)),)
        for event in engine.send(session, Draft(text, files)):
            if isinstance(event, UserTurnStored):
                session = event.session_id
    assert session is not None
    engine.store.rename(session, "Two drawings")
    app = PhichatApp(engine, settings, session_id=session)
    async with app.run_test(size=SIZE) as pilot:
        for _ in range(20):
            await pilot.pause(0.1)
        picture = app.export_screenshot(title="phichat")
    engine.close()
    return picture


def main() -> None:
    """Write the file."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["PHICHAT_HOME"] = home
        draw_pictures(Path(home))
        OUT.write_text(asyncio.run(render(Path(home))), encoding="utf-8")


if __name__ == "__main__":
    main()
