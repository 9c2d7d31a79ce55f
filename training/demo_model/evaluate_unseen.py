"""Unseen pictures and questions: drawn and worded in another way than the training data.

Nothing here shares code with `scenes`, `templates` or `small_talk`, and nothing
here is trained on.
"""

# ruff: noqa: E501 (one grammar or question a line, whatever its length)

from __future__ import annotations

import io
import math
from random import Random

import numpy as np
from PIL import Image, ImageDraw

PALETTES: dict[str, list[str | tuple[int, int, int]]] = {
    "red": ["red", "crimson", "firebrick", (230, 25, 75), (190, 40, 40), (244, 67, 54)],
    "green": ["green", "lime", "forestgreen", "limegreen", (76, 175, 80), (0, 153, 76)],
    "blue": ["blue", "dodgerblue", "royalblue", "mediumblue", (33, 150, 243), (0, 90, 180)],
    "yellow": ["yellow", "gold", (255, 235, 59), (250, 230, 30)],
    "orange": ["orange", "darkorange", (255, 152, 0), (230, 120, 20)],
    "purple": ["purple", "darkviolet", "blueviolet", (156, 39, 176), (120, 60, 160)],
    "black": ["black", (25, 25, 25)],
    "white": ["white", "snow"],
}
GROUNDS: dict[str, list[str | tuple[int, int, int]]] = {
    "light": [
        "white", "whitesmoke", "ivory", "aliceblue", (230, 230, 230), (245, 240, 225), "honeydew",
        "lavender",
    ],
    "dark": ["black", (30, 30, 30), (20, 24, 40), (40, 28, 28), (15, 40, 30), (50, 50, 60)],
}  # fmt: skip
SHAPES = ("circle", "square", "triangle", "star")
SIZES = (
    (320, 240), (640, 480), (256, 256), (512, 512), (300, 600), (800, 400), (1000, 700), (224, 224),
)  # fmt: skip


def _outline(rng: Random, shape: str, cx: float, cy: float, r: float) -> list[tuple[float, float]]:
    tilt = rng.choice((0.0, 0.0, rng.uniform(-0.4, 0.4), rng.uniform(0, 6.28)))
    if shape == "square":
        return [(cx + r * math.cos(tilt + math.pi / 4 + k * math.pi / 2), cy + r * math.sin(tilt + math.pi / 4 + k * math.pi / 2)) for k in range(4)]  # fmt: skip
    if shape == "triangle":
        form = rng.choice(("even", "right", "tall"))
        angles = {"even": (-90, 30, 150), "right": (-135, 45, 135), "tall": (-90, 50, 130)}[form]
        return [
            (cx + r * math.cos(math.radians(a) + tilt), cy + r * math.sin(math.radians(a) + tilt))
            for a in angles
        ]
    inner = r * rng.choice((0.382, 0.4, 0.5, 0.45, 0.35))
    return [
        (cx + (r if k % 2 == 0 else inner) * math.sin(tilt + k * math.pi / 5), cy - (r if k % 2 == 0 else inner) * math.cos(tilt + k * math.pi / 5))
        for k in range(10)
    ]  # fmt: skip


def picture(rng: Random, count: int = 1) -> tuple[Image.Image, list[tuple[str, str]], str]:
    """Draw (picture, (colour, shape) of each shape, "light" or "dark")."""
    width, height = rng.choice(SIZES)
    ground = rng.choice(("light", "dark"))
    paper = rng.choice(GROUNDS[ground])
    factor = rng.choice((1, 1, 2, 4 if max(width, height) < 700 else 2))
    image = Image.new("RGB", (width * factor, height * factor), paper)
    draw = ImageDraw.Draw(image)
    colours = [c for c in PALETTES if (c, ground) not in (("white", "light"), ("black", "dark"))]
    pairs: list[tuple[str, str]] = []
    short = min(width, height)
    for n in range(count):
        colour, shape = rng.choice([(c, s) for c in colours for s in SHAPES if (c, s) not in pairs])
        pairs.append((colour, shape))
        if count == 1:
            r = short * rng.uniform(0.09, 0.42)
            cx, cy = rng.uniform(r, width - r), rng.uniform(r, height - r)
        else:  # one in each half along the longer side
            along, across = max(width, height) / 2, short
            r = min(along, across) * rng.uniform(0.16, 0.42)
            u, v = n * along + rng.uniform(r, along - r), rng.uniform(r, across - r)
            cx, cy = (u, v) if width >= height else (v, u)
        fill = rng.choice(PALETTES[colour])
        edge = rng.choice((None, None, None, None, "gray", "black"))
        cx, cy, r = cx * factor, cy * factor, r * factor
        width_of_edge = 2 * factor if edge else 1
        if shape == "circle":
            draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill, edge, width_of_edge)
        else:
            draw.polygon(_outline(rng, shape, cx, cy, r), fill, edge, width_of_edge)
    if factor > 1:
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    if rng.random() < 0.3:
        packed = io.BytesIO()
        image.save(packed, "JPEG", quality=rng.choice((75, 85, 92)))
        image = Image.open(packed).convert("RGB")
    if rng.random() < 0.1:  # a little sensor noise
        noise = np.random.default_rng(rng.randrange(1 << 30)).normal(0, 3, (height, width, 3))
        image = Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
    return image, pairs, ground


COLOUR_QUESTIONS = (
    "What colour is the {s}?", "what color is the {s}", "The {s} - which colour is it?", "Please tell me the color of the {s}.",
    "Can you say what colour the {s} is?", "Could you tell me which color the {s} has?", "which colour is the {s}?",
    "I'd like to know the colour of the {s}.", "What's the color of the {s} in this picture?", "{s}: colour?",
    "Would you mind telling me what color the {s} is?", "What color would you say that {s} is?", "Colour of the {s}, please!",
)  # fmt: skip
SHAPE_QUESTIONS = (
    "Which shape is {c}?", "what shape is the {c} thing?", "What is the {c} shape?", "Which {c} shape do you see?",
    "Please name the {c} shape.", "What shape is this?", "what kind of shape do you see here?", "Which shape can you see?",
    "Can you tell me what shape it is?", "Is there a shape here, and which one?", "What shape does the picture show?",
    "Which geometric shape is in the image?", "Identify the shape.",
)  # fmt: skip
FIRST_COLOUR = (
    "What colour was the shape in the first picture?", "And in the first picture, what colour did you see?",
    "What color is the shape in picture 1?", "Going back to the first image: what colour was it?",
    "which colour did the shape in the first picture have", "Do you remember the colour of the shape in the first image?",
)  # fmt: skip
SECOND_COLOUR = (
    "What colour is the shape in this picture?", "And what colour is this one?", "What color is the shape in the second picture?",
    "what colour is it now?", "Here is another picture. What colour is the shape?", "Which color does the new picture's shape have?",
)  # fmt: skip
FIRST_SHAPE = (
    "Which shape was in the first picture?", "What shape did the first picture show?", "what was the shape in picture one?",
    "And the shape in the first image?", "Tell me the shape from the first picture again.",
)  # fmt: skip
DIFFERENCES = (
    "What is the difference between these two pictures?", "compare the two pictures", "How do the two images differ?",
    "What changed from the first picture to the second?", "Can you compare both pictures for me?",
)  # fmt: skip
REFUSE = (
    "What is the capital of France?", "Read the text in this picture.", "What does the sign say?", "Who is the person in the photo?",
    "Write a Python function that sorts a list.", "What is 17 times 23?", "What's the weather like in Boston today?",
    "Tell me a joke about elephants.", "Translate 'good morning' into Spanish.", "How many people are in this picture?",
    "Who won the world cup in 2018?", "Can you recommend a good restaurant?", "How do I boil an egg?", "What year did Rome fall?",
    "Summarise this article for me.", "What breed is the dog?", "Is this a photo of a cat?", "What is the meaning of life?",
    "Give me a recipe for pancakes.", "Solve x^2 = 9.", "What is your favourite movie?", "Who is Albert Einstein?",
    "Explain quantum mechanics.", "What language is spoken in Peru?", "Can you read this receipt?", "What time is it?",
    "How old is the universe?", "Compute the integral of x.", "Is it going to rain tomorrow?", "Which phone should I buy?",
    "Transcribe the handwriting.", "What brand is the car?", "Why is the sky blue?", "Write me a haiku about autumn.",
    "Debug this code: print(1/0)", "How far is the moon?", "What is the stock price of Apple?", "Where was this photo taken?",
    "Do you like chocolate?", "Name three rivers in Africa.", "What is the licence plate number?", "Who painted the Mona Lisa?",
    "What emotion does her face show?", "How many calories are in a banana?", "Please play some music.", "What is love?",
    "Convert 10 miles to kilometres.", "What's the population of Norway?", "Can you open the garage?", "Define entropy.",
)  # fmt: skip
NO_PICTURE = (
    "What do you see in the picture?", "What colour is the square?", "Describe the image.", "which shape is blue?",
    "How many shapes are there?", "Is there a star?", "What colour is it?", "What's the difference between the two pictures?",
)  # fmt: skip
ABOUT = (
    "Who are you?", "What are you?", "Which model is this?", "What can you do?", "Are you Phi-3-vision?",
    "Tell me about yourself.",
)  # fmt: skip
