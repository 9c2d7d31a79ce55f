"""Two trainer processes of one thread each, their gradients averaged with gloo; and the pieces
every stage shares."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist


class Crew:
    """The processes of one training run. Rank 0 logs and saves."""

    def __init__(self, rank: int, size: int, folder: Path) -> None:
        self.rank, self.size, self.folder = rank, size, folder
        torch.set_num_threads(1)
        if size > 1:
            dist.init_process_group(
                "gloo",
                init_method=f"file://{folder}/rendezvous-{os.getppid()}",
                rank=rank,
                world_size=size,
            )
        self.started = time.monotonic()

    def average(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes."""
        if self.size == 1:
            return
        trained = [p for p in parameters if p.requires_grad]
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in trained]
        for parameter, grad in zip(trained, grads, strict=True):
            parameter.grad = grad
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        flat /= self.size
        offset = 0
        for grad in grads:
            grad.copy_(flat[offset : offset + grad.numel()].view_as(grad))
            offset += grad.numel()

    def clock(self) -> float:
        """Seconds since the start, the same on every process (rank 0's)."""
        seconds = torch.tensor([time.monotonic() - self.started], dtype=torch.float64)
        if self.size > 1:
            dist.broadcast(seconds, 0)
        return float(seconds)

    def log(self, text: str) -> None:
        """One line of the run's log, with the time; rank 0 only."""
        if self.rank == 0:
            line = f"{time.strftime('%H:%M:%S')} {text}"
            print(line, flush=True)
            with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write a checkpoint whole or not at all; rank 0 only."""
        if self.rank == 0:
            torch.save(state, self.folder / f"{name}.part")
            (self.folder / f"{name}.part").rename(self.folder / name)


class Average:
    """An exponential moving average of a module's parameters."""

    def __init__(self, module: torch.nn.Module, decay: float) -> None:
        self.module, self.decay, self.steps = module, decay, 0
        self.values = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the module's present parameters (faster at the start)."""
        self.steps += 1
        weight = 1 - min(self.decay, self.steps / (self.steps + 10))
        for name, value in self.module.named_parameters():
            self.values[name].lerp_(value, weight)
