"""Stage 1: the vision tower alone learns what each patch shows.

A throw-away linear head reads each patch's features (`hidden_states[-2]`, what
the language model will read) and names the shape and its colour. Half of the
pictures are dense pages: twenty examples in one.
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

from training.demo_model.data_parallel import Average, Crew
from training.demo_model.picture_pool import GRID, NONE, ONE, PAGE, SIDE, TWO, Pool
from training.demo_model.scenes import COLOURS, KINDS

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's normalisation, as in the official preprocessor_config.json."""
WIDTH, HEADS, MLP, ACTIVE_LAYERS = 160, 5, 640, 4


def tower_config(*, side: int = SIDE, layers: int = ACTIVE_LAYERS) -> CLIPVisionConfig:
    """The tower's geometry; the shipped one has ``side`` 336 and one more layer, which the
    reference never reads."""
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
    """uint8 ``[B, S, S, 3]`` -> normalised float ``[B, 3, S, S]``."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    return (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def turned(rng: np.random.Generator, *arrays: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Each item turned and flipped at random (one of eight ways), the same way in every array
    ``[B, S, S, ...]``."""
    results = [a.copy() for a in arrays]
    for i in range(len(arrays[0])):
        quarter, flip = int(rng.integers(4)), bool(rng.integers(2))
        for source, result in zip(arrays, results, strict=True):
            item = np.rot90(source[i], quarter)
            result[i] = item[:, ::-1] if flip else item
    return results


class Seer(nn.Module):
    """The tower and the throw-away head: pixels -> (features ``[B, 64, W]``, kind and colour
    logits per patch)."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = CLIPVisionModel(tower_config())
        self.head = nn.Linear(WIDTH, len(KINDS) + 1 + len(COLOURS) + 1)

    def features(self, x: Tensor) -> Tensor:
        """What the projector reads: the last active layer's patches, without the class
        embedding."""
        hidden = self.tower(pixel_values=x, output_hidden_states=True).hidden_states
        features: Tensor = hidden[-1][:, 1:]
        return features

    def named(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Kind logits ``[B, 64, 5]`` and colour logits ``[B, 64, 9]``."""
        logits = self.head(features)
        return logits[..., : len(KINDS) + 1], logits[..., len(KINDS) + 1 :]


def patch_loss(kind: Tensor, colour: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy per patch; an empty patch counts a fifth of one that shows something."""
    wanted = labels.reshape(-1, 2).long()
    weight = torch.where(wanted[:, 0] > 0, 1.0, 0.2)
    loss = F.cross_entropy(kind.flatten(0, 1), wanted[:, 0], reduction="none")
    loss = loss + 0.5 * F.cross_entropy(colour.flatten(0, 1), wanted[:, 1], reduction="none")
    return (loss * weight).sum() / weight.sum()


@torch.no_grad()
def vote(seer: Seer, pool: Pool, entries: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Share of one-shape pictures whose kind, and colour, wins the vote of the patches that see
    a shape."""
    right = np.zeros(2)
    for part in np.array_split(entries, max(1, len(entries) // 64)):
        kind, colour = seer.named(seer.features(pixels(pool.pictures[part])))
        shown = 1 - kind.softmax(-1)[..., :1]
        for column, logits in enumerate((kind, colour)):
            winner = (logits.softmax(-1)[..., 1:] * shown).sum(1).argmax(-1).numpy()
            right[column] += (winner == pool.facts[part][:, 3 - column]).sum()
    return float(right[0] / len(entries)), float(right[1] / len(entries))


def run(
    crew: Crew, pool: Pool, *, minutes: float, seed: int = 0, batch: int = 32, top_lr: float = 2e-3
) -> None:
    """Train for ``minutes`` (of all runs together), then leave ``tower.pt``; resumes from
    ``seeing.pt``."""
    torch.manual_seed(seed)
    seer = Seer()
    optimizer = torch.optim.AdamW(
        seer.parameters(), lr=top_lr, betas=(0.9, 0.95), weight_decay=0.02
    )
    average = Average(seer, 0.99)
    checkpoint = crew.folder / "seeing.pt"
    step, before = 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        seer.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, average.steps = state["average"], state["step"]
        step, before = state["step"], state["seconds"]
    rng = np.random.default_rng(seed + 1000 * crew.rank + 7 * step)
    saved, seen, total = crew.clock(), 0.0, minutes * 60

    def state_now(seconds: float) -> dict[str, Any]:
        return {
            "model": seer.state_dict(),
            "optimizer": optimizer.state_dict(),
            "average": average.values,
            "step": step,
            "seconds": seconds,
        }

    while (seconds := before + crew.clock()) < total:
        if step % 100 == 0:
            ready = {slots: pool.filled(slots) for slots in (ONE, TWO, NONE, PAGE)}
            held = ready[ONE][:256]
            ready[ONE] = ready[ONE][256:]
        picks = [
            rng.choice(ready[slots], n)
            for slots, n in ((ONE, batch * 3 // 8), (TWO, batch // 8), (PAGE, batch // 2))
        ]
        entries = np.concatenate(picks)
        pictures, labels = turned(rng, pool.pictures[entries], pool.labels[entries])
        lr = (
            top_lr
            * min(1, (step + 1) / 100)
            * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * seconds / total)))
        )
        for group in optimizer.param_groups:
            group["lr"] = lr
        loss = patch_loss(*seer.named(seer.features(pixels(pictures))), torch.from_numpy(labels))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        crew.average(seer.parameters())
        nn.utils.clip_grad_norm_(seer.parameters(), 1.0)
        optimizer.step()
        average.update()
        step += 1
        seen = 0.98 * seen + 0.02 * float(loss.detach())
        if step % 100 == 0:
            if step % 500 == 0 and crew.rank == 0:
                kind, colour = vote(seer, pool, held)
                crew.log(
                    f"seeing step {step} votes on 256 held out: kind {kind:.3f} colour {colour:.3f}"
                )
            rate = (
                100 * batch * crew.size / max(1e-9, before + crew.clock() - saved - before)
                if step % 100 == 0
                else 0
            )
            crew.log(
                f"seeing step {step} {seconds:.0f}s loss {seen / (1 - 0.98 ** min(step, 400)):.4f}"
                f" {rate:.0f} pictures/s"
            )
            saved = crew.clock()
            crew.save("seeing.pt", state_now(seconds))
    seer.load_state_dict({**seer.state_dict(), **average.values})
    if crew.rank == 0:
        kind, colour = vote(seer, pool, pool.filled(ONE)[:256])
        crew.log(f"seeing done: {step} steps, kind {kind:.3f} colour {colour:.3f}")
    crew.save("seeing.pt", state_now(total))
    crew.save("tower.pt", {"model": seer.state_dict()})
