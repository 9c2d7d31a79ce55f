"""Stage 2: the whole model learns to talk about what the tower sees.

Language loss on the replies (the words that carry an answer weigh most) and,
while the tower still learns, half of the patch loss of stage 1. Towards the
end the tower is frozen. Every module is the product's own; the tower runs once
per picture because at one crop the crop and the global view are the same
pixels.
"""

from __future__ import annotations

import math
from collections import defaultdict
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from assistant.phi3v.vision import ClipTower, Phi3VImageEmbedding
from assistant.phi3v.vocabulary import Vocabulary
from training.demo_model import architecture as geometry
from training.demo_model.batches import Batch, School, batches, side_by_side
from training.demo_model.data_parallel import Average, Crew
from training.demo_model.picture_pool import PAGE, Pool
from training.demo_model.train_vision import Seer, patch_loss, pixels, turned

SIDE = 168


class Pupil(nn.Module):
    """The model at training size, and the throw-away head of stage 1."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.model = Phi3VForCausalLM(Phi3VConfig(**geometry.config(vocabulary, side=SIDE)))
        self.head = Seer().head

    @property
    def tower(self) -> ClipTower:
        """The CLIP tower."""
        tower: ClipTower = self.model.model.vision_embed_tokens.img_processor
        return tower

    def take_tower(self, state: dict[str, Tensor], sample: Tensor) -> None:
        """Begin with stage 1's tower, and with words and pictures equally loud (rms near 1) at
        the seam."""
        names = {k.removeprefix("tower."): v for k, v in state.items() if k.startswith("tower.")}
        names = {k: v for k, v in names.items() if not k.startswith("post_layernorm")}
        self.tower.vision_model.load_state_dict(names)
        self.head.load_state_dict(
            {k.removeprefix("head."): v for k, v in state.items() if k.startswith("head.")}
        )
        eye: Any = self.model.model.vision_embed_tokens
        with torch.no_grad():
            nn.init.normal_(self.model.model.embed_tokens.weight, std=0.7)
            loudness = float(self.tower(sample).square().mean().sqrt())
            nn.init.normal_(eye.glb_GN, std=loudness)
            nn.init.normal_(eye.sub_GN, std=loudness)
            first, last = eye.img_projection[0], eye.img_projection[2]
            nn.init.normal_(first.weight, std=1 / (loudness * math.sqrt(first.in_features)))
            nn.init.normal_(last.weight, std=1 / math.sqrt(last.in_features))
            last.weight.mul_(0.9 / float(self.arranged(self.tower(sample)).square().mean().sqrt()))

    def arranged(self, patches: Tensor) -> Tensor:
        """Patch features ``[P, 64, C]`` -> projected picture tokens ``[P, 41, hidden]``, as the
        product arranges them."""
        eye: Phi3VImageEmbedding = self.model.model.vision_embed_tokens
        P, count, C = patches.shape
        side = int(count**0.5) // 2
        merged = (
            patches.view(P, side, 2, side, 2, C)
            .permute(0, 1, 3, 2, 4, 5)
            .reshape(P, side, side, 4 * C)
        )
        ends = eye.sub_GN.expand(P, side, 1, 4 * C)
        view = torch.cat((merged, ends), dim=2).reshape(P, -1, 4 * C)
        tokens: Tensor = eye.img_projection(
            torch.cat((view, eye.glb_GN.expand(P, 1, 4 * C), view), dim=1)
        )
        return tokens

    def forward(
        self, batch: Batch, patches: Tensor | None, regime: Regime = Regime.SHORT
    ) -> tuple[Tensor, Tensor]:
        """Logits ``[N, vocab]`` at the places before the ids of replies, and those ids ``[N]``."""
        ids = torch.from_numpy(batch.ids)
        embedded = self.model.model.embed_tokens(ids.clamp(min=0))
        if patches is not None:
            embedded = embedded.masked_scatter((ids < 0)[..., None], self.arranged(patches))
        hidden = self.model.model(
            embedded, position_ids=torch.from_numpy(batch.positions), regime=regime
        )
        wanted = torch.from_numpy(batch.weights[:, 1:] > 0)
        return self.model.lm_head(hidden[:, :-1][wanted]), ids[:, 1:][wanted]


@torch.no_grad()
def examine(pupil: Pupil, pool: Pool, held: list[Batch]) -> dict[str, tuple[int, int]]:
    """(right, asked) by family: replies whose every id is the likeliest one, given the right
    history."""
    score: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for batch in held:
        patches = pupil.tower(pixels(pool.pictures[batch.entries])) if len(batch.entries) else None
        logits, wanted = pupil(batch, patches)
        places = batch.weights[:, 1:] > 0
        rows = np.nonzero(places)[0]
        turns = batch.turn[:, 1:][places]
        wrong = {
            (int(r), int(t))
            for r, t, bad in zip(rows, turns, (logits.argmax(-1) != wanted).tolist(), strict=True)
            if bad
        }
        for row, turn in {(int(r), int(t)) for r, t in zip(rows, turns, strict=True)}:
            family = batch.families[row][turn]
            score[family][0] += (row, turn) not in wrong
            score[family][1] += 1
    return {family: (right, asked) for family, (right, asked) in sorted(score.items())}


def _groups(pupil: Pupil) -> list[dict[str, Any]]:
    tower = {id(p) for p in pupil.tower.parameters()}
    groups: list[dict[str, Any]] = []
    for share, decay, chosen in (
        (0.4, 0.02, [p for p in pupil.parameters() if id(p) in tower]),
        (1.0, 0.05, [p for p in pupil.parameters() if id(p) not in tower and p.ndim == 2]),
        (1.0, 0.0, [p for p in pupil.parameters() if id(p) not in tower and p.ndim != 2]),
    ):
        groups.append({"params": chosen, "share": share, "weight_decay": decay})
    return groups


def run(
    crew: Crew,
    pool: Pool,
    *,
    minutes: float,
    frozen_from: float = 0.5,
    seed: int = 0,
    size: int = 8,
    top_lr: float = 1.4e-3,
) -> None:
    """Train for ``minutes`` (of all runs together); resumes from ``talking.pt``, which also
    holds the average to export."""
    torch.manual_seed(seed)
    vocabulary = Vocabulary.from_folder(crew.folder)
    words = len(vocabulary._full.get_vocab())
    pupil = Pupil(words)
    school, exam = School(pool, vocabulary), School(pool, vocabulary, held_out=True)
    seer = torch.load(crew.folder / "tower.pt", weights_only=True)["model"]
    pupil.take_tower(seer, pixels(pool.pictures[:64]))
    optimizer = torch.optim.AdamW(_groups(pupil), lr=top_lr, betas=(0.9, 0.95))
    average = Average(pupil, 0.999)
    checkpoint, step, before = crew.folder / "talking.pt", 0, 0.0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        pupil.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        average.values, average.steps = state["average"], state["step"]
        step, before = state["step"], state["seconds"]
    rng, order = Random(seed * 7919 + crew.rank * 101 + step * 1009 + 1), Random(seed + step)
    turner = np.random.default_rng(rng.randrange(1 << 30))
    dense = pool.filled(PAGE)
    examiner = Random(4242)
    held_lessons = [exam.lesson(examiner, mix=(75, 23, 2)) for _ in range(96)]
    held = [side_by_side(held_lessons[i : i + 16]) for i in range(0, len(held_lessons), 16)]
    total, started = minutes * 60, crew.clock()
    plan = (  # (until this share of the time, conversations)
        (0.06, batches(school, rng, order, 2 * size, mix=(92, 6, 2), counts=(5, 95))),
        (0.55, batches(school, rng, order, size, mix=(80, 17, 3), counts=(4, 13, 54, 29))),
        (0.7, batches(school, rng, order, size, mix=(58, 39, 3))),
        (1.0, batches(school, rng, order, size, mix=(82, 16, 2), counts=(4, 18, 54, 24))),
    )
    loss_mean, saved, examined, since, last, begun = 0.0, before, before, 0, before, step

    while (seconds := before + crew.clock() - started) < total:
        done = seconds / total
        frozen = done >= frozen_from
        lessons = next(next(source for until, source in plan if done < until))
        long = order.random() < 0.1
        batch = side_by_side(lessons, rng, 6000 if long else 3000)
        lr = top_lr * min(1, (step + 1) / 200) * min(1, 0.02 + (1 - done) / 0.3)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["share"]
        shown = len(batch.entries)
        entries = (
            batch.entries if frozen else np.concatenate((batch.entries, turner.choice(dense, 6)))
        )
        pictures, labels = turned(turner, pool.pictures[entries], pool.labels[entries])
        with torch.set_grad_enabled(not frozen):
            patches = pupil.tower(pixels(pictures))
        logits, wanted = pupil(batch, patches[:shown], Regime.LONG if long else Regime.SHORT)
        weight = torch.from_numpy(batch.weights[:, 1:][batch.weights[:, 1:] > 0])
        loss = (F.cross_entropy(logits, wanted, reduction="none") * weight).sum() / weight.sum()
        whole = loss
        if not frozen:
            named = pupil.head(patches).split((5, 9), dim=-1)
            whole = loss + 0.5 * patch_loss(named[0], named[1], torch.from_numpy(labels))
        optimizer.zero_grad()
        torch.autograd.backward(whole)
        trained = [p for g in optimizer.param_groups[1 if frozen else 0 :] for p in g["params"]]
        crew.average(trained)
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        average.update()
        step, since = step + 1, since + 1
        loss_mean = 0.97 * loss_mean + 0.03 * float(loss.detach())
        if step % 50 == 0:
            rate = since * size * (2 if done < 0.06 else 1) * crew.size / max(1e-9, seconds - last)
            crew.log(
                f"talking step {step} {seconds:.0f}s loss"
                f" {loss_mean / (1 - 0.97 ** min(step - begun, 300)):.4f} lr {lr:.5f}"
                f" {rate:.1f} conversations/s"
            )
            since, last = 0, seconds
        if seconds - saved > 120:
            saved = seconds
            crew.save("talking.pt", _state(pupil, optimizer, average, step, seconds))
        if seconds - examined > 420:
            examined = seconds
            _report(crew, pupil, average, pool, held)
    _report(crew, pupil, average, pool, held)
    crew.save("talking.pt", _state(pupil, optimizer, average, step, total))


def _state(
    pupil: Pupil, optimizer: torch.optim.Optimizer, average: Average, step: int, seconds: float
) -> dict[str, Any]:
    return {
        "model": pupil.state_dict(), "optimizer": optimizer.state_dict(), "average": average.values,
        "step": step, "seconds": seconds,
    }  # fmt: skip


def _report(crew: Crew, pupil: Pupil, average: Average, pool: Pool, held: list[Batch]) -> None:
    if crew.rank != 0:
        return
    present = {name: value.detach().clone() for name, value in pupil.named_parameters()}
    pupil.load_state_dict({**pupil.state_dict(), **average.values})
    score = examine(pupil, pool, held)
    pupil.load_state_dict({**pupil.state_dict(), **present})
    right, asked = (sum(pair[i] for pair in score.values()) for i in (0, 1))
    crew.log(
        f"talking exam {right}/{asked} = {right / asked:.3f}; "
        + ", ".join(f"{f} {r}/{a}" for f, (r, a) in score.items())
    )
