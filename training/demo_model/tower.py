"""The vision tower's size, and the labels that it learns by: what every place of a crop shows.

A linear head, which is not shipped, reads each patch's features (those that the projector
reads) and labels its cells: which shape, bar or character is there, in which
colour, and the how manieth of its word it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from assistant.phi3v.pixels import CLIP_MEAN, CLIP_STD
from training.demo_model.pictures.drawing import CELLS, LAST_PLACE, WHAT
from training.demo_model.scenes import COLOURS

WIDTH, HEADS, MLP, ACTIVE_LAYERS = 256, 4, 1024, 5
GRID = 16
"""Patches of a side of a crop."""
CLASSES = (len(WHAT), len(COLOURS) + 1, LAST_PLACE + 1)
_EACH = CELLS // GRID
_EMPTY = 0.12
"""Weight of an empty cell in the loss beside one with something."""


def pixels(crops: Tensor) -> Tensor:
    """Normalise crops: uint8 ``[N, S, S, 3]`` -> float ``[N, 3, S, S]``."""
    mean, std = (torch.tensor(v, device=crops.device).view(3, 1, 1) for v in (CLIP_MEAN, CLIP_STD))
    return (crops.permute(0, 3, 1, 2).float() / 255 - mean) / std


def label_head() -> nn.Linear:
    """Make the head that is not shipped."""
    return nn.Linear(WIDTH, _EACH**2 * sum(CLASSES))


def cell_logits(head: nn.Linear, features: Tensor) -> Tensor:
    """Compute the logits of the cells: ``[N, patches, W]`` -> ``[N, cells, cells, classes]``."""
    cells = head(features).view(len(features), GRID, GRID, _EACH, _EACH, -1).transpose(2, 3)
    logits: Tensor = cells.reshape(len(features), CELLS, CELLS, -1)
    return logits


def cell_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross entropy of what, colour and place; empty cells weigh little."""
    what, colour, place = torch.split(logits.float().flatten(0, 2), list(CLASSES), dim=-1)
    wanted = labels.flatten(0, 2).long()
    shown = (wanted[:, 0] > 0).float()
    weight = shown + _EMPTY * (1 - shown)
    loss = (F.cross_entropy(what, wanted[:, 0], reduction="none") * weight).sum() / weight.sum()
    for part, column, share in ((colour, 1, 0.4), (place, 2, 0.3)):
        each = F.cross_entropy(part, wanted[:, column], reduction="none")
        loss = loss + share * (each * shown).sum() / shown.sum().clamp(min=1)
    return loss


@torch.no_grad()
def label_accuracy(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Compute the shares of cells that are labelled right, by what is in them."""
    what, colour, place = (part.argmax(-1) for part in torch.split(logits, list(CLASSES), dim=-1))
    kind, first_glyph = labels[..., 0], WHAT.index("A")
    glyph, shape = kind >= first_glyph, (kind > 0) & (kind < first_glyph)
    rows = {
        "empty": (what == kind)[kind == 0],
        "shape": (what == kind)[shape],
        "glyph": (what == kind)[glyph],
        "colour": (colour == labels[..., 1])[shape],
        "place": (place == labels[..., 2])[glyph],
    }
    return {name: float(hits.float().mean()) for name, hits in rows.items()}
