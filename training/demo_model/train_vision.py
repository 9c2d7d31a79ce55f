"""Stage 1: training of the vision tower alone, to classify what each patch shows.

A linear head, which is not shipped, reads each patch's features (those that the
projector reads) and classifies the shape and its colour. Half of the pictures
are dense pages, because each holds many examples.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from transformers import CLIPVisionConfig, CLIPVisionModel

from training.demo_model.data_parallel import DataParallel, Stage
from training.demo_model.picture_pool import GRID, ONE, PAGE, SIDE, TWO, Pool
from training.demo_model.scenes import COLOURS, KINDS

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation, as in the official preprocessor_config.json."""
WIDTH, HEADS, MLP, ACTIVE_LAYERS = 160, 5, 640, 4


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
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def augment(rng: np.random.Generator, *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Rotate and flip each item in one of eight ways, the same in every array [B, S, S, ...]."""
    results = [a.copy() for a in arrays]
    for i in range(len(arrays[0])):
        quarter, flip = int(rng.integers(4)), bool(rng.integers(2))
        for source, result in zip(arrays, results, strict=True):
            item = np.rot90(source[i], quarter)
            result[i] = item[:, ::-1] if flip else item
    return results


class PatchClassifier(nn.Module):
    """The tower and the head that is not shipped."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = CLIPVisionModel(tower_config())
        self.head = nn.Linear(WIDTH, len(KINDS) + 1 + len(COLOURS) + 1)

    def features(self, x: Tensor) -> Tensor:
        """Encode pixels into what the projector reads: patches ``[B, 64, W]``, no class token."""
        hidden = self.tower(pixel_values=x, output_hidden_states=True).hidden_states
        features: Tensor = hidden[-1][:, 1:]
        return features

    def classify(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Compute kind logits ``[B, 64, 5]`` and colour logits ``[B, 64, 9]``."""
        logits = self.head(features)
        return logits[..., : len(KINDS) + 1], logits[..., len(KINDS) + 1 :]


def patch_loss(kind: Tensor, colour: Tensor, labels: Tensor) -> Tensor:
    """Compute the cross entropy per patch; an empty one counts a fifth of one with a shape."""
    wanted = labels.reshape(-1, 2).long()
    weight = torch.where(wanted[:, 0] > 0, 1.0, 0.2)
    loss = F.cross_entropy(kind.flatten(0, 1), wanted[:, 0], reduction="none")
    loss = loss + 0.5 * F.cross_entropy(colour.flatten(0, 1), wanted[:, 1], reduction="none")
    return (loss * weight).sum() / weight.sum()


@torch.no_grad()
def object_accuracy(classifier: PatchClassifier, pool: Pool, entries: npt.NDArray[np.int64]) -> str:
    """Describe the shares of one-shape pictures with the right kind, and the right colour.

    The patches vote, each with the probability that it shows a shape.
    """
    right = np.zeros(2)
    for part in np.array_split(entries, max(1, len(entries) // 64)):
        kind, colour = classifier.classify(classifier.features(pixels(pool.pictures[part])))
        shown = 1 - kind.softmax(-1)[..., :1]
        for column, logits in enumerate((kind, colour)):
            winner = (logits.softmax(-1)[..., 1:] * shown).sum(1).argmax(-1).numpy()
            right[column] += (winner == pool.facts[part][:, 3 - column]).sum()
    return "kind {:.3f} colour {:.3f}".format(*(right / len(entries)))


def run(
    parallel: DataParallel,
    pool: Pool,
    *,
    minutes: float,
    seed: int = 0,
    batch: int = 32,
    top_lr: float = 2e-3,
) -> None:
    """Train for ``minutes`` (of all runs together); write ``tower.pt``, resume ``vision.pt``."""
    torch.manual_seed(seed)
    classifier = PatchClassifier()
    parameters = list(classifier.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=top_lr, betas=(0.9, 0.95), weight_decay=0.02)
    stage = Stage(parallel, "vision.pt", classifier, optimizer, 0.99)
    rng = np.random.default_rng(seed + 1000 * parallel.rank + 7 * stage.step)
    begun, logged, loss_mean, total = stage.step, stage.seconds(), 0.0, minutes * 60

    while (seconds := stage.seconds()) < total:
        if stage.step % 100 == 0 or stage.step == begun:  # the pool may still be filling
            ready = {slots: pool.filled(slots) for slots in (ONE, TWO, PAGE)}
            held_out, ready[ONE] = ready[ONE][:256], ready[ONE][256:]
        # 1) a batch: three eighths with one shape, an eighth with two, half dense pages
        shares = ((ONE, batch * 3 // 8), (TWO, batch // 8), (PAGE, batch // 2))
        entries = np.concatenate([rng.choice(ready[slots], n) for slots, n in shares])
        pictures, labels = augment(rng, pool.pictures[entries], pool.labels[entries])
        # 2) linear warm-up, then a cosine over the time that there is
        cosine = 0.5 * (1 + math.cos(math.pi * seconds / total))
        lr = top_lr * min(1, (stage.step + 1) / 100) * (0.03 + 0.97 * cosine)
        for group in optimizer.param_groups:
            group["lr"] = lr
        # 3) one step
        logits = classifier.classify(classifier.features(pixels(pictures)))
        loss = patch_loss(*logits, torch.from_numpy(labels))
        stage.update(loss, parameters)
        loss_mean = 0.98 * loss_mean + 0.02 * float(loss.detach())
        if stage.step % 100:
            continue
        now = stage.seconds()
        rate = 100 * batch * parallel.size / max(1e-9, now - logged)
        mean = loss_mean / (1 - 0.98 ** (stage.step - begun))
        parallel.log(f"vision step {stage.step} {now:.0f}s loss {mean:.4f} {rate:.0f} pictures/s")
        if stage.step % 500 == 0 and parallel.rank == 0:
            accuracy = object_accuracy(classifier, pool, held_out)
            parallel.log(f"vision step {stage.step} accuracy on 256 held out: {accuracy}")
        logged = stage.seconds()
        stage.save(now)

    with stage.averaged():
        if parallel.rank == 0:
            accuracy = object_accuracy(classifier, pool, pool.filled(ONE)[:256])
            parallel.log(f"vision done: {stage.step} steps, {accuracy}")
        parallel.save("tower.pt", {"model": classifier.state_dict()})
    stage.save(total)
