"""Stage 2: training of the whole model on dialogues about pictures.

The loss is the language loss on the replies (words that carry an answer weigh
most) and, until the tower is frozen, half of the patch loss of stage 1. Every
module is the product's own. The tower runs once for each picture, because at one
crop the crop and the global view are the same pixels.
"""

from __future__ import annotations

import math
from collections import defaultdict
from random import Random
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from assistant.phi3v.vision import ClipTower, Phi3VImageEmbedding
from assistant.phi3v.vocabulary import Vocabulary
from training.demo_model import architecture
from training.demo_model.batches import Batch, ExampleSampler, batches, collate
from training.demo_model.data_parallel import DataParallel, Stage
from training.demo_model.picture_pool import PAGE, SIDE, Pool
from training.demo_model.scenes import COLOURS, KINDS
from training.demo_model.train_vision import PatchClassifier, augment, patch_loss, pixels


class TrainingModel(nn.Module):
    """The model at training size, and the head of stage 1, which is not shipped."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.model = Phi3VForCausalLM(Phi3VConfig(**architecture.config(vocabulary, side=SIDE)))
        self.head = PatchClassifier().head

    @property
    def tower(self) -> ClipTower:
        tower: ClipTower = self.model.model.vision_embed_tokens.img_processor
        return tower

    def initialize(self, state: dict[str, Tensor], sample: Tensor) -> None:
        """Take the tower of stage 1, and scale the embeddings of words and pictures alike.

        Both get an RMS near 1: at 0.02 beside 11, where they would start, pictures drown the words.
        """
        names = {k.removeprefix("tower."): v for k, v in state.items() if k.startswith("tower.")}
        names = {k: v for k, v in names.items() if not k.startswith("post_layernorm")}
        self.tower.vision_model.load_state_dict(names)
        self.head.load_state_dict(
            {k.removeprefix("head."): v for k, v in state.items() if k.startswith("head.")}
        )
        embedding: Any = self.model.model.vision_embed_tokens
        with torch.no_grad():
            nn.init.normal_(self.model.model.embed_tokens.weight, std=0.7)
            rms = float(self.tower(sample).square().mean().sqrt())
            nn.init.normal_(embedding.glb_GN, std=rms)
            nn.init.normal_(embedding.sub_GN, std=rms)
            first, last = embedding.img_projection[0], embedding.img_projection[2]
            nn.init.normal_(first.weight, std=1 / (rms * math.sqrt(first.in_features)))
            nn.init.normal_(last.weight, std=1 / math.sqrt(last.in_features))
            last.weight.mul_(0.9 / float(self.arrange(self.tower(sample)).square().mean().sqrt()))

    def arrange(self, patches: Tensor) -> Tensor:
        """Arrange and project patches [P, 64, C] into picture tokens [P, 41, hidden]."""
        embedding: Phi3VImageEmbedding = self.model.model.vision_embed_tokens
        P, count, C = patches.shape
        side = int(count**0.5) // 2
        merged = (
            patches.view(P, side, 2, side, 2, C)
            .permute(0, 1, 3, 2, 4, 5)
            .reshape(P, side, side, 4 * C)
        )
        ends = embedding.sub_GN.expand(P, side, 1, 4 * C)
        view = torch.cat((merged, ends), dim=2).reshape(P, -1, 4 * C)
        tokens: Tensor = embedding.img_projection(
            torch.cat((view, embedding.glb_GN.expand(P, 1, 4 * C), view), dim=1)
        )
        return tokens

    def forward(
        self, batch: Batch, patches: Tensor | None, regime: Regime = Regime.SHORT
    ) -> tuple[Tensor, Tensor]:
        """Compute logits ``[N, vocab]`` before each id of a reply, and give those ids ``[N]``."""
        ids = torch.from_numpy(batch.ids)
        embedded = self.model.model.embed_tokens(ids.clamp(min=0))
        if patches is not None:
            embedded = embedded.masked_scatter((ids < 0)[..., None], self.arrange(patches))
        hidden = self.model.model(
            embedded, position_ids=torch.from_numpy(batch.positions), regime=regime
        )
        wanted = torch.from_numpy(batch.weights[:, 1:] > 0)
        return self.model.lm_head(hidden[:, :-1][wanted]), ids[:, 1:][wanted]


@torch.no_grad()
def reply_accuracy(network: TrainingModel, pool: Pool, held_out: list[Batch]) -> str:
    """Describe how many replies are right, in all and by family.

    A reply is right when each of its ids is the likeliest one after the right history.
    """
    score: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for batch in held_out:
        entries = batch.entries
        patches = network.tower(pixels(pool.pictures[entries])) if len(entries) else None
        logits, wanted = network(batch, patches)
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


def _parameter_groups(network: TrainingModel) -> list[dict[str, Any]]:
    """Group parameters: the tower, then matrices, then vectors; ``share`` is of the rate."""
    tower = list(network.tower.parameters())
    ids = {id(p) for p in tower}
    rest = [p for p in network.parameters() if id(p) not in ids]
    return [
        {"params": tower, "share": 0.4, "weight_decay": 0.02},
        {"params": [p for p in rest if p.ndim == 2], "share": 1.0, "weight_decay": 0.05},
        {"params": [p for p in rest if p.ndim != 2], "share": 1.0, "weight_decay": 0.0},
    ]


def run(
    parallel: DataParallel,
    pool: Pool,
    *,
    minutes: float,
    frozen_from: float = 0.5,
    seed: int = 0,
    size: int = 8,
    top_lr: float = 1.4e-3,
) -> None:
    """Train for ``minutes`` (of all runs together); resumes from ``dialogue.pt``.

    ``frozen_from`` is the share of the time after which the tower is frozen.
    """
    torch.manual_seed(seed)
    vocabulary = Vocabulary.from_folder(parallel.folder)
    tokenizer = Tokenizer.from_file(str(parallel.folder / "tokenizer.json"))
    network = TrainingModel(tokenizer.get_vocab_size())
    state = torch.load(parallel.folder / "tower.pt", weights_only=True)["model"]
    network.initialize(state, pixels(pool.pictures[:64]))
    groups = _parameter_groups(network)
    optimizer = torch.optim.AdamW(groups, lr=top_lr, betas=(0.9, 0.95))
    held_out = _held_out(pool, vocabulary)
    stage = Stage(parallel, "dialogue.pt", network, optimizer, 0.999)

    rng = Random(seed * 7919 + parallel.rank * 101 + stage.step * 1009 + 1)
    order = Random(seed + stage.step)
    augment_rng = np.random.default_rng(rng.randrange(1 << 30))
    pages = pool.filled(PAGE)
    sampler = ExampleSampler(pool, vocabulary)
    curriculum = (  # (until this share of the time, dialogues)
        (0.06, batches(sampler, rng, order, 2 * size, mix=(92, 6, 2), counts=(5, 95))),
        (0.55, batches(sampler, rng, order, size, mix=(80, 17, 3), counts=(4, 13, 54, 29))),
        (0.7, batches(sampler, rng, order, size, mix=(58, 39, 3))),
        (1.0, batches(sampler, rng, order, size, mix=(82, 16, 2), counts=(4, 18, 54, 24))),
    )
    total, begun, loss_mean, dialogues = minutes * 60, stage.step, 0.0, 0
    saved = evaluated = logged = stage.seconds()

    while (seconds := stage.seconds()) < total:
        done = seconds / total
        frozen = done >= frozen_from
        # 1) a batch; every tenth runs in the long LongRoPE regime, with wider gaps
        examples = next(next(source for until, source in curriculum if done < until))
        long = order.random() < 0.1
        batch = collate(examples, rng, 6000 if long else 3000)
        # 2) linear warm-up, then linear decay over the last 30 % of the time
        lr = top_lr * min(1, (stage.step + 1) / 200) * min(1, 0.02 + (1 - done) / 0.3)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["share"]
        # 3) the tower, which also gets six dense pages until it is frozen
        entries = batch.entries
        if not frozen:
            entries = np.concatenate((entries, augment_rng.choice(pages, 6)))
        pictures, labels = augment(augment_rng, pool.pictures[entries], pool.labels[entries])
        with torch.set_grad_enabled(not frozen):
            patches = network.tower(pixels(pictures))
        # 4) the losses, and one step
        regime = Regime.LONG if long else Regime.SHORT
        logits, wanted = network(batch, patches[: len(batch.entries)], regime)
        weight = torch.from_numpy(batch.weights[:, 1:][batch.weights[:, 1:] > 0])
        loss = (F.cross_entropy(logits, wanted, reduction="none") * weight).sum() / weight.sum()
        loss_mean = 0.97 * loss_mean + 0.03 * float(loss.detach())
        if not frozen:
            kind, colour = network.head(patches).split((len(KINDS) + 1, len(COLOURS) + 1), dim=-1)
            loss = loss + 0.5 * patch_loss(kind, colour, torch.from_numpy(labels))
        trained = groups[1:] if frozen else groups
        stage.update(loss, [p for group in trained for p in group["params"]])
        dialogues += len(examples) * parallel.size
        # 5) log, save, evaluate now and then
        if stage.step % 50 == 0:
            mean = loss_mean / (1 - 0.97 ** min(stage.step - begun, 300))
            rate = dialogues / max(1e-9, seconds - logged)
            parallel.log(
                f"dialogue step {stage.step} {seconds:.0f}s loss {mean:.4f} lr {lr:.5f}"
                f" {rate:.1f} dialogues/s"
            )
            dialogues, logged = 0, seconds
        if seconds - saved > 120:
            saved = seconds
            stage.save(seconds)
        if seconds - evaluated > 420:
            evaluated = seconds
            _log_accuracy(stage, network, pool, held_out)
    _log_accuracy(stage, network, pool, held_out)
    stage.save(total)


def _held_out(pool: Pool, vocabulary: Vocabulary) -> list[Batch]:
    """Make 96 dialogues about pictures that training never uses."""
    sampler, rng = ExampleSampler(pool, vocabulary, held_out=True), Random(4242)
    examples = [sampler.sample(rng, mix=(75, 23, 2)) for _ in range(96)]
    return [collate(examples[i : i + 16]) for i in range(0, len(examples), 16)]


def _log_accuracy(stage: Stage, network: TrainingModel, pool: Pool, held_out: list[Batch]) -> None:
    if stage.parallel.rank == 0:
        with stage.averaged():
            stage.parallel.log(f"dialogue accuracy {reply_accuracy(network, pool, held_out)}")
