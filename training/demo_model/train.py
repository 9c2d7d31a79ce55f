"""Training of the demo model: the vision tower first, then the whole model on dialogues.

    python -m training.demo_model.train --run RUN --seconds 540 [--device cuda --processes 15]

A run goes on from ``state.pt`` in RUN, which is written now and then: run the same command again
after an interruption, with the seconds that are left. The averaged weights are exported beside it.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from assistant.phi3v.crops import CROP
from training.demo_model import export
from training.demo_model.batches import Batch
from training.demo_model.feed import Feed
from training.demo_model.network import TrainingModel, parameter_groups, reply_loss
from training.demo_model.pictures.drawing import CELLS
from training.demo_model.tower import cell_logits, cell_loss, label_accuracy, pixels

TOWER_SECONDS = 0.22
"""Share of a run in which the tower learns alone."""
_WARM_UP = 150
_AVERAGE = 0.998
_DENSE = 0.6
"""Share of dense pages among the crops that only the labels are learned from."""


class Trainer:
    """A model in training with its optimizer, its averaged weights and its clock."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.run = options, options.run
        self.device = torch.device(options.device)
        torch.manual_seed(options.seed)
        if self.device.type == "cuda":
            _settle(options.reserve)
        tokenizer = Tokenizer.from_file(str(self.run / "tokenizer.json"))
        self.network = TrainingModel(tokenizer.get_vocab_size()).to(self.device)
        if options.start:
            self.network.take_exported(options.start)
        self.masters = [p.detach().clone() for p in self.network.parameters()]
        self.network.to(torch.bfloat16)
        own = [*self.network.parameters()]
        of = {id(p): master for p, master in zip(own, self.masters, strict=True)}
        groups = parameter_groups(self.network, options.tower_share)
        for group in groups:
            group["params"] = [of[id(p)] for p in group["params"]]
        fused = self.device.type == "cuda"
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.97), fused=fused)
        self.parameters: list[Tensor] = [*own]
        self.average = [p.clone() for p in self.masters]
        self.step, self.spent, self.scaled = 0, 0.0, bool(options.start)
        if (self.run / "state.pt").exists():
            state = torch.load(self.run / "state.pt", weights_only=True, map_location=self.device)
            self.optimizer.load_state_dict(state["optimizer"])
            with torch.no_grad():
                torch._foreach_copy_(self.masters, state["model"])
            self.take(self.masters)
            self.average = state["average"]
            self.step, self.spent = state["step"], state["spent"]
            self.scaled = state["scaled"]
        self.feed = Feed(
            self.run,
            self.device,
            processes=options.processes,
            room=options.room,
            batch=options.batch,
            seed=options.seed + self.step,
            early=0 if self.step else options.early,
            held_out=options.held_out,
        )
        self.random = np.random.default_rng((options.seed, self.step))
        self.begun = time.monotonic() - self.spent
        self.waited = 0.0

    def log(self, text: str) -> None:
        """Write one line to the run's log, with the seconds since its start."""
        line = f"{time.monotonic() - self.begun:6.1f} s  step {self.step}  {text}"
        print(line, flush=True)
        with (self.run / "log.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def part(self) -> float:
        """Compute the part of the run that is over."""
        spent: float = (time.monotonic() - self.begun) / self.options.seconds
        return min(1.0, spent)

    @torch.no_grad()
    def take(self, weights: list[Tensor]) -> None:
        """Round weights to what the network computes with."""
        torch._foreach_copy_(self.parameters, weights)

    def scale_embeddings(self) -> None:
        """Begin with dialogues: words and pictures at one scale, the average from here on."""
        crops = self.feed.crops[self.feed.some(self.random, 64, 0.2)]
        self.network.scale_embeddings(crops)
        with torch.no_grad():
            for master, own in zip(self.masters, self.parameters, strict=True):
                if not torch.equal(master.to(own.dtype), own):  # else it is finer than its rounding
                    master.copy_(own)
        self.average = [master.clone() for master in self.masters]
        self.scaled = True

    def update(self, loss: Tensor, rate: float) -> None:
        """Take one step of the weights in float32 and move their average."""
        torch.autograd.backward(loss)
        for master, own in zip(self.masters, self.parameters, strict=True):
            master.grad = None if own.grad is None else own.grad.float()  # None: it is left alone
            own.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self.optimizer.step()
        self.step += 1
        weight = 1 - min(_AVERAGE, self.step / (self.step + 10))  # faster at the start
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.masters, weight)
        self.take(self.masters)

    def moved(self, count: int) -> tuple[Tensor, Tensor]:
        """Sample crops with their labels, all moved by the same cells: what leaves comes in again.

        So a page is hardly ever seen twice in the same places.
        """
        chosen = self.feed.some(self.random, count, _DENSE)
        by = self.random.integers(CELLS, size=2)
        crops = self.feed.crops[chosen].roll(tuple(int(n) * CROP // CELLS for n in by), (1, 2))
        return crops, self.feed.labels[chosen].roll(tuple(map(int, by)), (1, 2))

    def tower_step(self) -> Tensor:
        """Learn labels alone; gives the losses of replies, none here, and of labels."""
        crops, labels = self.moved(self.options.tower_batch)
        patches = self.network.tower(pixels(crops))
        loss = cell_loss(cell_logits(self.network.head, patches), labels)
        self.update(loss, self.options.rate / self.options.tower_share * min(1, self.step / 100))
        return torch.stack((torch.zeros_like(loss), loss)).detach()

    def chat_step(self, warm: float, cool: float) -> Tensor:
        """Learn dialogues, and labels of their pictures and of some pages; gives both losses."""
        asked = time.monotonic()
        batch = self.feed.batch()
        self.waited += time.monotonic() - asked
        own = torch.from_numpy(_crops(batch)).to(self.device)
        others, marked = self.moved(self.options.label_crops)
        crops = torch.cat((self.feed.crops[own], others))
        patches = self.network.tower(pixels(crops))
        logits = self.network(batch, patches[: len(own)], self.device)
        reply = reply_loss(logits, batch)
        labelled = cell_logits(self.network.head, patches)
        labels = torch.cat((self.feed.labels[own], marked))
        seen = cell_loss(labelled, labels)
        self.update(reply + self.options.label_share * seen, self.options.rate * warm * cool)
        return torch.stack((reply, seen)).detach()

    def save(self) -> None:
        """Write the state whole or not at all, and export the averaged weights."""
        self.spent = time.monotonic() - self.begun
        state = {
            "model": self.masters, "optimizer": self.optimizer.state_dict(),
            "average": self.average, "step": self.step, "spent": self.spent, "scaled": self.scaled,
        }  # fmt: skip
        torch.save(state, self.run / "state.part")
        (self.run / "state.part").rename(self.run / "state.pt")
        names = [name for name, _ in self.network.named_parameters()]
        export.write(dict(zip(names, self.average, strict=True)), self.run, self.run / "model")

    @torch.no_grad()
    def evaluate(self) -> None:
        """Log how many held-out replies the averaged weights get right, by family.

        A reply is right when each of its ids is the likeliest one after the right history.
        """
        if not self.feed.held_out():
            return
        self.take(self.average)
        score: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for batch in self.feed.held_out():
            own = torch.from_numpy(_crops(batch)).to(self.device)
            patches = self.network.tower(pixels(self.feed.crops[own]))
            logits = self.network(batch, patches, self.device)
            wrong = logits.argmax(-1).cpu().numpy() != batch.wanted
            missed = set(batch.replies[wrong].tolist())
            for reply in sorted(set(batch.replies.tolist())):
                score[batch.families[reply]][0] += reply not in missed
                score[batch.families[reply]][1] += 1
        right, asked = (sum(pair[i] for pair in score.values()) for i in (0, 1))
        families = ", ".join(f"{f} {r}/{a}" for f, (r, a) in sorted(score.items()))
        self.log(f"replies {right}/{asked} = {right / max(1, asked):.3f}; {families}")
        places = torch.tensor(self.feed.held_out_places[:256], device=self.device)
        patches = self.network.tower(pixels(self.feed.crops[places]))
        cells = cell_logits(self.network.head, patches)
        rows = label_accuracy(cells, self.feed.labels[places])
        self.log("labels " + " ".join(f"{name} {share:.3f}" for name, share in rows.items()))
        self.take(self.masters)


def _settle(gigabytes: float) -> None:
    """Keep new lengths from costing anything: every batch has its own.

    cuDNN's attention plans each of them; the allocator asks the driver for each, unless it
    can split what it has once held.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.empty(int(gigabytes * 2**30), dtype=torch.uint8, device="cuda")


def _crops(batch: Batch) -> np.ndarray:
    if not batch.pictures:
        return np.zeros(0, np.int64)
    return np.concatenate([g.crops.reshape(-1) for g in batch.pictures]).astype(np.int64)


def train(options: argparse.Namespace) -> None:
    """Train for some seconds: the tower, then everything, the rate falling to zero at the end."""
    trainer = Trainer(options)
    feed = trainer.feed
    while feed.count < options.batch * 4:
        feed.check()
        time.sleep(0.2)
    trainer.log(f"begins on {trainer.device} with {feed.count} crops")
    chat_from = 0
    mean = torch.zeros(2, device=trainer.device)
    logged, logged_step = time.monotonic(), trainer.step
    saved = evaluated = logged
    while (part := trainer.part()) < 1:
        # 1) a step: of the tower alone first, then of everything
        if part < TOWER_SECONDS and not options.start:
            mean += trainer.tower_step()
        else:
            if not trainer.scaled:
                trainer.scale_embeddings()
                chat_from = trainer.step
            warm = min(1, (trainer.step - chat_from + 1) / _WARM_UP)
            mean += trainer.chat_step(warm, 0.5 + 0.5 * math.cos(math.pi * part))
        # 2) log, evaluate and save now and then
        now = time.monotonic()
        if now - logged > options.log_seconds:
            count = trainer.step - logged_step
            trainer.log(
                "losses {:.4f} {:.4f}, ".format(*(mean / count).tolist())
                + f"{count / (now - logged):.1f} steps/s, "
                f"{feed.count} crops, waited {trainer.waited:.1f} s for batches"
            )
            trainer.waited = 0.0
            feed.check()
            mean, logged, logged_step = torch.zeros_like(mean), now, trainer.step
        if now - evaluated > options.save_seconds:
            trainer.evaluate()
            evaluated = time.monotonic()
        if now - saved > options.save_seconds:
            trainer.save()
            saved = time.monotonic()
    trainer.save()
    trainer.evaluate()
    feed.close()


def main() -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--run", type=Path, required=True)
    add("--seconds", type=float, required=True, help="of the whole run")
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    add("--processes", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    add("--room", type=int, default=20_000, help="crops that are kept: 0.34 MB each")
    add("--reserve", type=float, default=30, help="GB of a GPU's memory to hold from the start")
    add("--batch", type=int, default=128, help="dialogues of a step")
    add("--tower-batch", type=int, default=384, help="crops of a step of the tower alone")
    add("--label-crops", type=int, default=96, help="crops with labels beside the dialogues")
    add("--label-share", type=float, default=0.4, help="of the labels in the loss")
    add("--tower-share", type=float, default=0.5, help="the tower's share of the rate")
    add("--rate", type=float, default=1.5e-3)
    add("--start", type=Path, help="begin with a model's folder, not with nothing")
    add("--log-seconds", type=float, default=10)
    add("--save-seconds", type=float, default=60)
    add(
        "--early",
        type=int,
        default=5000,
        help="pictures to begin with that are easily learned from",
    )
    add("--held-out", type=int, default=800, help="pictures to evaluate with")
    add("--seed", type=int, default=0)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
