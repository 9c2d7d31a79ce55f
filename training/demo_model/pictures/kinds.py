"""The kinds of pictures to learn from, in the shares in which they are drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from random import Random

from training.demo_model.pictures import charts, foreign, prints, shapes
from training.demo_model.pictures.drawing import Drawing

MOST_SHAPES = 6
"""Shapes of a picture that is asked about; one with more is a dense page."""
_Kind = tuple[Callable[..., Drawing], int, bool]


def _shapes(fewest: int, most: int, rng: Random) -> Drawing:
    return shapes.sample(rng, rng.randint(fewest, most))


def _regular(rng: Random) -> Drawing:
    return shapes.regular(rng, rng.randint(1, MOST_SHAPES))


def _small(rng: Random) -> Drawing:
    return shapes.regular(rng, rng.choice((1, 1, 2)), small=True)


_ONE, _FEW, _MANY = (partial(_shapes, *counts) for counts in ((1, 1), (2, 4), (2, 6)))
_SMALL_SIGN = partial(prints.sign, sizes=(0.025, 0.1))

KINDS_OF_PICTURE: tuple[_Kind, ...] = (
    *[(_ONE, 1, False)] * 4, *[(_FEW, 1, False)] * 6, *[(_MANY, 1, False)] * 3, (_FEW, 4, False),
    *[(_regular, 1, False)] * 5, (_small, 4, False),
    *[(prints.sign, 1, True)] * 5, *[(_SMALL_SIGN, 4, True)] * 2, *[(charts.sample, 1, True)] * 4,
    *[(foreign.sample, 1, True)] * 2, (prints.unreadable_page, 1, False),
    *[(prints.page, 1, False)] * 4, *[(partial(prints.page, plain=True), 1, False)] * 2,
    (shapes.page, 1, False),
)  # fmt: skip
"""(draws a picture, the most crops it is cut into, whether some sources are held out)."""


_PLAIN_PAGE = partial(prints.page, plain=True)
EARLY_KINDS: tuple[_Kind, ...] = (
    *[(_PLAIN_PAGE, 1, False)] * 7, (_ONE, 1, False), (_FEW, 1, False), (shapes.page, 1, False),
)  # fmt: skip
"""Those of a run's first pictures: of characters in all colours and sizes at once 200 steps learn
none, of plain ones a fifth."""


def draw(rng: Random, *, early: bool = False, held_out: bool = False) -> tuple[Drawing, int]:
    """Draw a picture of any kind; give the most crops it is cut into, too."""
    sample, num_crops, knows = rng.choice(EARLY_KINDS if early else KINDS_OF_PICTURE)
    return sample(rng, **({"held_out": held_out} if knows else {})), num_crops
