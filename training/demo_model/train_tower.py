"""Stage 1: training of the vision tower alone, to label every place of a picture.

A linear head, which is not shipped, reads each patch's features (those that the
projector reads) and labels its cells: which shape, bar or character is
there, in which colour, and the how manieth of its word it is.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import CLIPVisionConfig, CLIPVisionModel

from training.demo_model import fast_processor
from training.demo_model.data_parallel import DataParallel, Stage
from training.demo_model.pictures.drawing import CELLS, GLYPHS, LAST_PLACE, SIDE, WHAT
from training.demo_model.pictures.pool import KINDS_OF_PICTURE, Pool
from training.demo_model.scenes import COLOURS

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation, as in the official preprocessor_config.json."""
WIDTH, HEADS, MLP, ACTIVE_LAYERS = 160, 5, 640, 4
GRID = 8
"""Patches of a side of a crop."""
CLASSES = (len(WHAT), len(COLOURS) + 1, LAST_PLACE + 1)
READS = False
"""Whether characters are labelled one by one, with their places; else all are the first one."""
_PRINT = len(WHAT) - len(GLYPHS)
HELD_OUT = 12 * len(KINDS_OF_PICTURE)
"""Entries of the pool: those below this number are for evaluation only."""
_EMPTY = 0.12
"""Weight of an empty cell in the loss beside one with something."""


def tower_config(*, side: int = SIDE, layers: int = ACTIVE_LAYERS) -> CLIPVisionConfig:
    """Build the tower's configuration.

    The shipped one has ``side`` 336 and one more layer, which the reference never reads.
    """
    return CLIPVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=MLP,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        image_size=side,
        patch_size=side // GRID,
        hidden_act="quick_gelu",
        projection_dim=WIDTH,
    )


def pixels(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """Normalise pictures: uint8 ``[B, S, S, 3]`` -> float ``[B, 3, S, S]``."""
    x = torch.tensor(pictures).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


class LabelledTower(nn.Module):
    """The tower and the head that is not shipped."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = CLIPVisionModel(tower_config())
        self.tower.post_layernorm = nn.Identity()
        fast_processor.quicken(self.tower)
        self.head = nn.Linear(WIDTH, (CELLS // GRID) ** 2 * sum(CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        """Encode pixels into what the projector reads: patches ``[B, 64, W]``, no class token."""
        hidden = self.tower(pixel_values=x, output_hidden_states=True).hidden_states
        features: Tensor = hidden[-1][:, 1:]
        return features


def cell_logits(head: nn.Linear, features: Tensor) -> Tensor:
    """Compute the logits of the cells: ``[B, 64, W]`` -> ``[B, 24, 24, classes]``."""
    B, each = features.shape[0], CELLS // GRID
    cells = head(features).view(B, GRID, GRID, each, each, -1).transpose(2, 3)
    logits: Tensor = cells.reshape(B, CELLS, CELLS, -1)
    return logits


def cell_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross entropy of what, colour and place; empty cells weigh little."""
    logits, labels = logits.float().flatten(0, 2), labels.flatten(0, 2).long()
    if not READS:
        labels = torch.stack((labels[:, 0].clamp(max=_PRINT), labels[:, 1], labels[:, 2] * 0), -1)
    shown = labels[:, 0] > 0
    what, colour, place = torch.split(logits, list(CLASSES), dim=-1)
    weight = torch.where(shown, 1.0, _EMPTY)
    loss = (F.cross_entropy(what, labels[:, 0], reduction="none") * weight).sum() / weight.sum()
    if not shown.any():
        return loss
    loss = loss + 0.4 * F.cross_entropy(colour[shown], labels[shown, 1])
    return loss + 0.3 * F.cross_entropy(place[shown], labels[shown, 2])


@torch.no_grad()
def label_accuracy(network: LabelledTower, pool: Pool) -> str:
    """Describe how many cells of held-out pictures are labelled right, by what is in them."""
    right, asked = np.zeros(5), np.zeros(5)
    count = min(HELD_OUT, len(pool.entries))
    crops = range(pool.entries[count - 1]["at"])
    for start in range(0, min(len(crops), 768), 32):
        labels = torch.tensor(pool.labels[start : start + 32]).long()
        if not READS:
            labels[..., 0].clamp_(max=_PRINT)
        logits = cell_logits(network.head, network(pixels(pool.pictures[start : start + 32])))
        hits = [
            part.argmax(-1) == labels[..., i]
            for i, part in enumerate(torch.split(logits, list(CLASSES), dim=-1))
        ]
        what = labels[..., 0]
        glyph = what >= _PRINT
        shape = (what > 0) & ~glyph
        for row, (hit, where) in enumerate(
            ((0, what == 0), (0, shape), (0, glyph), (1, shape), (2, glyph))
        ):
            right[row] += float(hits[hit][where].sum())
            asked[row] += float(where.sum())
    names = ("empty", "shape", "glyph", "colour", "place")
    shares = right / np.maximum(asked, 1)
    return " ".join(f"{name} {share:.3f}" for name, share in zip(names, shares, strict=True))


def sample_crops(
    pool: Pool, pages: npt.NDArray[np.int64], rng: np.random.Generator, batch: int, dense: float
) -> list[int]:
    """Sample crops of the pool, the share ``dense`` of them from the entries ``pages``."""
    result = []
    for _ in range(batch):
        page = rng.random() < dense
        number = int(rng.choice(pages)) if page else int(rng.integers(HELD_OUT, len(pool.entries)))
        entry = pool.entries[number]
        result.append(entry["at"] + int(rng.integers(entry["crops"])))
    return result


def run(
    parallel: DataParallel,
    pool: Pool,
    *,
    minutes: float,
    seed: int = 0,
    batch: int = 32,
    top_lr: float = 1.5e-3,
    dense: float = 0.3,
    cool_steps: int = 0,
) -> None:
    """Train for ``minutes`` from where ``tower.pt`` stands; every step's chance is its number's.

    With ``cool_steps`` the rate falls to zero over that many steps, which end the stage.
    """
    torch.manual_seed(seed)
    network = LabelledTower()
    parameters = list(network.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=top_lr, betas=(0.9, 0.98), weight_decay=0.02)
    stage = Stage(parallel, "tower.pt", network, optimizer, 0.998)
    begun = logged_at = saved = evaluated = time.monotonic()
    first = logged_step = stage.step
    loss_mean = 0.0
    until = begun + minutes * 60

    while time.monotonic() < until and not (cool_steps and stage.step >= first + cool_steps):
        rng = np.random.default_rng((seed, stage.step))
        if stage.step % 200 == 0 or stage.step == first:
            pool.refresh()
            pages = pool.pages()
            pages = pages[pages >= HELD_OUT]
        # 1) a batch, and the rate: a warm-up, then level, then perhaps a fall
        chosen = sample_crops(pool, pages, rng, batch, dense)
        cool = 1 - (stage.step - first) / cool_steps if cool_steps else 1
        for group in optimizer.param_groups:
            group["lr"] = top_lr * min(1, (stage.step + 1) / 200) * cool
        # 2) one step
        with fast_processor.half_precision():
            logits = cell_logits(network.head, network(pixels(pool.pictures[chosen])))
        loss = cell_loss(logits, torch.from_numpy(pool.labels[chosen]))
        stage.update(loss, parameters)
        loss_mean = 0.98 * loss_mean + 0.02 * float(loss.detach())
        # 3) log, save, evaluate now and then
        now = time.monotonic()
        if stage.step % 100 == 0:
            mean = loss_mean / (1 - 0.98 ** (stage.step - first))
            rate = (stage.step - logged_step) * batch / (now - logged_at)
            parallel.log(f"tower step {stage.step} loss {mean:.4f} {rate:.0f} crops/s")
            logged_at, logged_step = now, stage.step
        if now - saved > 240:
            saved = now
            stage.save(stage.seconds())
        if now - evaluated > 400:
            evaluated = now
            with stage.averaged():
                parallel.log(f"tower step {stage.step} cells {label_accuracy(network, pool)}")
    with stage.averaged():
        parallel.log(f"tower step {stage.step} cells {label_accuracy(network, pool)}")
    stage.save(stage.seconds())
