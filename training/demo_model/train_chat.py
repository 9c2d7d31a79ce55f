"""Stage 2: training of the whole model on dialogues about pictures.

The loss is the language loss on the replies (words that carry an answer weigh
most) and, while the tower learns too, half of the label loss of stage 1. Every
module is the product's own; only the arithmetic is another (`fast_processor`).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from assistant.phi3v.vision import ClipTower, Phi3VImageEmbedding
from assistant.phi3v.vocabulary import Vocabulary
from training.demo_model import architecture, fast_processor
from training.demo_model.batches import Batch, Example, ExampleSampler, collate
from training.demo_model.data_parallel import DataParallel, Stage
from training.demo_model.pictures.drawing import SIDE
from training.demo_model.pictures.pool import Pool
from training.demo_model.train_tower import GRID, LabelledTower, cell_logits, cell_loss, pixels

GROUP = 6
"""Batches that are sampled together and sorted by length."""


class TrainingModel(nn.Module):
    """The model at training size, and the head of stage 1, which is not shipped."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.model = Phi3VForCausalLM(Phi3VConfig(**architecture.config(vocabulary, side=SIDE)))
        self.head = LabelledTower().head
        fast_processor.quicken(self.tower)
        self.model.model.config._attn_implementation = fast_processor.ATTENTION
        fast_processor.fuse(self.model.model.layers)

    @property
    def tower(self) -> ClipTower:
        tower: ClipTower = self.model.model.vision_embed_tokens.img_processor
        return tower

    @property
    def embedding(self) -> Phi3VImageEmbedding:
        embedding: Phi3VImageEmbedding = self.model.model.vision_embed_tokens
        return embedding

    def take_tower(self, weights: dict[str, Tensor]) -> None:
        """Take the tower and the head of stage 1."""
        names = {k.removeprefix("tower."): v for k, v in weights.items() if k.startswith("tower.")}
        self.tower.vision_model.load_state_dict(names)
        self.head.load_state_dict(
            {k.removeprefix("head."): v for k, v in weights.items() if k.startswith("head.")}
        )

    def take_exported(self, folder: Path) -> None:
        """Take the weights of an exported folder, whose patches are inflated."""
        weights = {k: v.float() for k, v in load_file(folder / "model.safetensors").items()}
        kernel = next(name for name in weights if name.endswith("patch_embedding.weight"))
        weights[kernel] = weights[kernel][..., ::2, ::2] * 4
        own = self.model.state_dict()
        self.model.load_state_dict({name: weights[name] for name in own})

    def initialize(self, sample: Tensor) -> None:
        """Scale the embeddings of words and pictures alike, to an RMS near 1.

        At 0.02 beside 11, where they would start, pictures drown the words.
        """
        embedding: Any = self.embedding
        with torch.no_grad():
            nn.init.normal_(self.model.model.embed_tokens.weight, std=0.7)
            rms = float(self.tower(sample).square().mean().sqrt())
            nn.init.normal_(embedding.glb_GN, std=rms)
            nn.init.normal_(embedding.sub_GN, std=rms)
            first, last = embedding.img_projection[0], embedding.img_projection[2]
            nn.init.normal_(first.weight, std=1 / (rms * math.sqrt(first.in_features)))
            nn.init.normal_(last.weight, std=1 / math.sqrt(last.in_features))
            tokens = self.project(self.tower(sample), [(1, 1)] * len(sample))
            last.weight.mul_(0.9 / float(tokens.square().mean().sqrt()))

    def project(self, patches: Tensor, grids: list[tuple[int, int]]) -> Tensor:
        """Arrange and project the patches [crops, 64, C] of pictures -> tokens [N, hidden]."""
        side, C = GRID // 2, patches.shape[-1]
        blocks = patches.view(-1, side, 2, side, 2, C).permute(0, 1, 3, 2, 4, 5)
        merged = blocks.reshape(-1, side, side, 4 * C)
        pictures, at = [], 0
        for rows, columns in grids:
            count = rows * columns
            views = [merged[at], merged[at]] if count == 1 else merged[at : at + count + 1]
            at += 1 if count == 1 else count + 1
            pictures.append(
                self.embedding.arrange(
                    torch.stack(views) if count == 1 else views,  # type: ignore[arg-type]
                    rows,
                    columns,
                )
            )
        return torch.cat(pictures)

    def forward(
        self, batch: Batch, patches: Tensor | None, grids: list[tuple[int, int]], regime: Regime
    ) -> tuple[Tensor, Tensor]:
        """Compute logits ``[N, vocab]`` before each id of a reply, and give those ids ``[N]``."""
        ids = torch.from_numpy(batch.ids)
        embedded = self.model.model.embed_tokens(ids.clamp(min=0))
        if patches is not None:
            tokens = self.project(patches, grids).to(embedded.dtype)
            embedded = embedded.masked_scatter((ids < 0)[..., None], tokens)
        hidden = self.model.model(
            embedded, position_ids=torch.from_numpy(batch.positions), regime=regime
        )
        wanted = torch.from_numpy(batch.weights[:, 1:] > 0)
        return self.model.lm_head(hidden[:, :-1][wanted]).float(), ids[:, 1:][wanted]


def crops_of(pool: Pool, entries: Any) -> tuple[list[int], list[tuple[int, int]]]:
    """List the numbers of all crops of some entries, and the grid of each entry."""
    rows = [pool.entries[int(entry)] for entry in entries]
    crops = [row["at"] + i for row in rows for i in range(row["crops"])]
    return crops, [tuple(row["grid"]) for row in rows]


@torch.no_grad()
def reply_accuracy(network: TrainingModel, pool: Pool, held_out: list[Batch]) -> str:
    """Describe how many replies are right, in all and by family.

    A reply is right when each of its ids is the likeliest one after the right history.
    """
    score: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for batch in held_out:
        crops, grids = crops_of(pool, batch.entries)
        with fast_processor.half_precision():
            patches = network.tower(pixels(pool.pictures[crops])) if crops else None
            logits, wanted = network(batch, patches, grids, Regime.SHORT)
        places = batch.weights[:, 1:] > 0
        rows, turns = np.nonzero(places)[0].tolist(), batch.turn[:, 1:][places].tolist()
        hits: dict[tuple[int, int], bool] = defaultdict(lambda: True)
        for place, hit in zip(
            zip(rows, turns, strict=True), (logits.argmax(-1) == wanted).tolist(), strict=True
        ):
            hits[place] &= hit
        for (row, turn), hit in hits.items():
            score[batch.families[row][turn]][0] += hit
            score[batch.families[row][turn]][1] += 1
    right, asked = (sum(pair[i] for pair in score.values()) for i in (0, 1))
    families = ", ".join(f"{f} {r}/{a}" for f, (r, a) in sorted(score.items()))
    return f"{right}/{asked} = {right / asked:.3f}; {families}"


def _parameter_groups(network: TrainingModel, tower_share: float) -> list[dict[str, Any]]:
    """Group parameters: tower, its head, matrices, vectors; ``share`` is of the rate."""
    tower = [*network.tower.parameters()]
    ids = {id(p) for p in [*tower, *network.head.parameters()]}
    rest = [p for p in network.parameters() if id(p) not in ids]
    return [
        {"params": tower, "share": tower_share, "weight_decay": 0.02},
        {"params": [*network.head.parameters()], "share": 1.0, "weight_decay": 0.02},
        {"params": [p for p in rest if p.ndim == 2], "share": 1.0, "weight_decay": 0.05},
        {"params": [p for p in rest if p.ndim != 2], "share": 1.0, "weight_decay": 0.0},
    ]


class _Source:
    """Batches as functions of the step: what is sampled depends on nothing else."""

    def __init__(self, sampler: ExampleSampler, seed: int, size: int) -> None:
        self.sampler, self.seed, self.size = sampler, seed, size
        self.group, self.examples = -1, list[Example]()

    def batch(self, step: int) -> Batch:
        """Sample the batch of a step; a third have gaps in their positions."""
        group, number = divmod(step, GROUP)
        if group != self.group:
            rng = Random(f"{self.seed} group {group}")
            examples = [self.sampler.sample(rng) for _ in range(self.size * GROUP)]
            self.examples = sorted(examples, key=lambda example: len(example.ids))
            self.order = rng.sample(range(GROUP), GROUP)
            self.group = group
        place = self.order[number]
        chosen = self.examples[place * self.size : (place + 1) * self.size]
        return collate(chosen, Random(f"{self.seed} gaps {step}"), 3000)


def run(
    parallel: DataParallel,
    pool: Pool,
    *,
    minutes: float,
    seed: int = 0,
    size: int = 16,
    top_lr: float = 1.2e-3,
    tower_share: float = 0.0,
    cool_steps: int = 0,
    start: Path | None = None,
) -> None:
    """Train for ``minutes`` from where ``chat.pt`` stands.

    Where there is none, from the exported folder ``start``, or from the tower of stage 1.

    ``tower_share`` is the tower's share of the rate: with 0 it is frozen. With
    ``cool_steps`` the rate falls to zero over that many steps, which end the stage.
    """
    torch.manual_seed(seed)
    vocabulary = Vocabulary.from_folder(parallel.folder)
    tokenizer = Tokenizer.from_file(str(parallel.folder / "tokenizer.json"))
    network = TrainingModel(tokenizer.get_vocab_size())
    if start is not None:
        network.take_exported(start)
    else:
        state = torch.load(parallel.folder / "tower.pt", weights_only=True)
        network.take_tower({**state["model"], **state["average"]})
        network.initialize(pixels(pool.pictures[:64]))
    groups = _parameter_groups(network, tower_share)
    optimizer = torch.optim.AdamW(groups, lr=top_lr, betas=(0.9, 0.97))
    stage = Stage(parallel, "chat.pt", network, optimizer, 0.998)
    for group, now in zip(optimizer.param_groups, groups, strict=True):
        group["share"] = now["share"]
    sampler = ExampleSampler(pool, vocabulary)
    source, held_out = _Source(sampler, seed, size), _held_out(pool, vocabulary)
    begun = logged_at = saved = evaluated = time.monotonic()
    first = logged_step = stage.step
    loss_mean = 0.0

    while time.monotonic() < begun + minutes * 60:
        if cool_steps and stage.step >= first + cool_steps:
            break
        if stage.step % 600 == 0:
            pool.refresh()
            sampler.refresh()
        batch = source.batch(stage.step)
        crops, grids = crops_of(pool, batch.entries)
        # 1) the rate: a warm-up, then level, then perhaps a fall
        cool = 1 - (stage.step - first) / cool_steps if cool_steps else 1
        for group in optimizer.param_groups:
            group["lr"] = top_lr * min(1, (stage.step + 1) / 100) * cool * group["share"]
        # 2) the losses, and one step
        with fast_processor.half_precision():
            with torch.set_grad_enabled(tower_share > 0):
                patches = network.tower(pixels(pool.pictures[crops])) if crops else None
            logits, wanted = network(batch, patches, grids, Regime.SHORT)
        weight = torch.from_numpy(batch.weights[:, 1:][batch.weights[:, 1:] > 0])
        loss = (F.cross_entropy(logits, wanted, reduction="none") * weight).sum() / weight.sum()
        loss_mean = 0.98 * loss_mean + 0.02 * float(loss.detach())
        if tower_share and patches is not None:
            with fast_processor.half_precision():
                cells = cell_logits(network.head, patches)
            loss = loss + 0.5 * cell_loss(cells, torch.from_numpy(pool.labels[crops]))
        trained = groups if tower_share else groups[2:]
        stage.update(loss, [p for group in trained for p in group["params"]])
        # 3) log, save, evaluate now and then
        now_at = time.monotonic()
        if stage.step % 50 == 0:
            mean = loss_mean / (1 - 0.98 ** (stage.step - first))
            rate = (stage.step - logged_step) * size / (now_at - logged_at)
            parallel.log(f"chat step {stage.step} loss {mean:.4f} {rate:.1f} dialogues/s")
            logged_at, logged_step = now_at, stage.step
        if now_at - saved > 240:
            saved = now_at
            stage.save(stage.seconds())
        if now_at - evaluated > 900:
            evaluated = now_at
            _log_accuracy(stage, network, pool, held_out)
    _log_accuracy(stage, network, pool, held_out)
    stage.save(stage.seconds())


def _held_out(pool: Pool, vocabulary: Vocabulary) -> list[Batch]:
    """Make 160 dialogues about pictures that training never uses."""
    sampler, rng = ExampleSampler(pool, vocabulary, held_out=True), Random(4242)
    examples = [sampler.sample(rng) for _ in range(160)]
    examples.sort(key=lambda example: len(example.ids))
    return [collate(examples[i : i + 16]) for i in range(0, len(examples), 16)]


def _log_accuracy(stage: Stage, network: TrainingModel, pool: Pool, held_out: list[Batch]) -> None:
    with stage.averaged():
        stage.parallel.log(
            f"chat step {stage.step} replies {reply_accuracy(network, pool, held_out)}"
        )
