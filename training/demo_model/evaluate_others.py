"""Evaluation on pictures that other programs made: matplotlib, ImageMagick, cameras.

    python -m training.demo_model.evaluate_others [--model FOLDER] [--seed N] [--pictures 20]

Nothing here is drawn by `pictures`, and no wording is a template's. Bar charts come from
matplotlib in its default style, shapes and words from ImageMagick, photographs and
clip art from the held-out part of `pictures.sources`. A program that is not installed is named,
and its rows are missing from the table. A reply is right when it names what it should, and
nothing else of its kind.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import shutil
import subprocess
import time
from random import Random
from typing import Any

from PIL import Image

from training.demo_model.evaluate_table import Sessions, Table, open_sessions
from training.demo_model.pictures import sources
from training.demo_model.small_talk import FOREIGN

_WORDS = ("Bakery", "exit", "Platform", "OPEN", "library", "Harbour", "quiet", "MARKET", "museum")
_CONVERT = shutil.which("convert-im6.q16") or shutil.which("magick") or ""
_DRAWN = {
    "circle": "circle {x},{y} {x},{top}",
    "square": "rectangle {left},{top} {right},{bottom}",
    "triangle": "polygon {x},{top} {left},{bottom} {right},{bottom}",
}


def _convert(*arguments: str) -> Image.Image:
    # by its own name: "convert" is other programs' name, too
    packed = subprocess.run([_CONVERT, *arguments, "png:-"], check=True, capture_output=True)
    return Image.open(io.BytesIO(packed.stdout)).convert("RGB")


def shape_picture(rng: Random) -> tuple[Image.Image, str, str]:
    """Draw one shape with ImageMagick; returns (picture, colour, shape)."""
    colour = rng.choice(("red", "green", "blue", "yellow", "orange", "purple", "black"))
    shape = rng.choice(tuple(_DRAWN))
    x, y, r = rng.randint(150, 350), rng.randint(150, 250), rng.randint(50, 130)
    drawn = _DRAWN[shape].format(x=x, y=y, left=x - r, right=x + r, top=y - r, bottom=y + r)
    return _convert("-size", "500x400", "xc:white", "-fill", colour, "-draw", drawn), colour, shape


def word_picture(rng: Random) -> tuple[Image.Image, str]:
    """Print a word or a number with ImageMagick's label."""
    word = rng.choice(_WORDS) if rng.random() < 0.6 else str(rng.randint(10, 99999))
    size = str(rng.randint(30, 90))
    font = str(rng.choice(sources.fonts(held_out=True)))
    label = _convert("-background", "white", "-font", font, "-pointsize", size, f"label:{word}")
    page = Image.new("RGB", (500, 300), "white")
    page.paste(label, (rng.randint(0, max(0, 500 - label.width)), rng.randint(0, 180)))
    return page, word


def chart_picture(pyplot: Any, rng: Random) -> tuple[Image.Image, list[str], list[int], str]:
    """Draw a bar chart in matplotlib's default style; returns (picture, names, values, title)."""
    names = rng.sample(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat"), rng.randint(3, 5))
    values = rng.sample(range(5, 60, 6), len(names))
    title = rng.choice(("Ticket sales", "Rainfall", "Coffee", "Page views"))
    figure, axes = pyplot.subplots()
    axes.bar(names, values)
    axes.set_title(title)
    packed = io.BytesIO()
    figure.savefig(packed, format="png")
    pyplot.close(figure)
    return Image.open(packed).convert("RGB"), names, values, title


def run_shapes(sessions: Sessions, table: Table, rng: Random, count: int) -> None:
    """Ask about the colour and the shape of ImageMagick's shapes."""
    for _ in range(count):
        image, colour, shape = shape_picture(rng)
        session, reply = sessions.ask(None, "So, what colour is this thing?", [image])
        table.compare("ImageMagick: colour", colour, reply, f"It is {colour}.")
        _, reply = sessions.ask(session, "And which shape would you call it?")
        table.compare("ImageMagick: shape", shape, reply, f"It is a {shape}.")


def run_words(sessions: Sessions, table: Table, rng: Random, count: int) -> None:
    """Ask what ImageMagick's labels say."""
    for _ in range(count):
        image, word = word_picture(rng)
        _, reply = sessions.ask(None, "Can you tell me what is written there?", [image])
        table.compare("ImageMagick: a word or number", word, reply, f'It says "{word}".')


def run_charts(sessions: Sessions, table: Table, rng: Random, count: int) -> None:
    """Ask about matplotlib's bar charts."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    for _ in range(count):
        image, names, values, title = chart_picture(pyplot, rng)
        tallest, shortest = names[values.index(max(values))], names[values.index(min(values))]
        session, reply = sessions.ask(None, "Which of the bars is the tallest?", [image])
        table.compare("matplotlib: tallest", tallest, reply, f'The tallest bar is "{tallest}".')
        _, reply = sessions.ask(session, "And which one is the shortest?")
        table.compare("matplotlib: shortest", shortest, reply, f'The shortest bar is "{shortest}".')
        _, reply = sessions.ask(session, "What does the title say?")
        table.compare("matplotlib: title", title, reply, f'The title is "{title}".')


def run_photographs(sessions: Sessions, table: Table, rng: Random, count: int) -> None:
    """Ask what photographs and clip art show, which the model does not know."""
    for path in rng.sample(sources.foreign_pictures(held_out=True), count):
        with Image.open(path) as file:
            file.thumbnail((800, 800))
            image = file.convert("RGB")
        _, reply = sessions.ask(None, "What is this a picture of?", [image])
        table.compare("photographs and clip art", path.name, reply, FOREIGN)


def main() -> None:
    """Parse the command line, evaluate, print the table and some mistakes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="demo", help="a model's name or folder")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--pictures", type=int, default=20, help="of each kind")
    args = parser.parse_args()
    print(f"seed {args.seed}", flush=True)
    table, rng = Table(), Random(args.seed)
    with open_sessions(args.model) as sessions:
        if _CONVERT:
            run_shapes(sessions, table, rng, args.pictures)
            run_words(sessions, table, rng, args.pictures)
        else:
            print("ImageMagick is not installed: apt install imagemagick")
        if importlib.util.find_spec("matplotlib"):
            run_charts(sessions, table, rng, args.pictures)
        else:
            print("matplotlib is not installed: pip install matplotlib")
        run_photographs(sessions, table, rng, args.pictures)
    table.show(mistakes=4)


if __name__ == "__main__":
    main()
