"""Data-parallel training: processes of one thread each, gradients averaged by gloo."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


class DataParallel:
    """The processes of one training run. Rank 0 logs and saves."""

    def __init__(self, rank: int, size: int, folder: Path) -> None:
        self.rank, self.size, self.folder = rank, size, folder
        torch.set_num_threads(1)
        if size > 1:
            file = f"file://{folder}/rendezvous-{os.getppid()}"
            dist.init_process_group("gloo", init_method=file, rank=rank, world_size=size)
        self.started = time.monotonic()

    def average_gradients(self, parameters: list[nn.Parameter]) -> None:
        """Replace every gradient by its mean over the processes."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = torch.cat([grad.reshape(-1) for grad in grads])
        dist.all_reduce(flat)
        flat /= self.size
        means = torch.split(flat, [grad.numel() for grad in grads])
        for grad, mean in zip(grads, means, strict=True):
            grad.copy_(mean.view_as(grad))

    def clock(self) -> float:
        """Measure the seconds since the start, the same on every process (rank 0's)."""
        seconds = torch.tensor([time.monotonic() - self.started], dtype=torch.float64)
        if self.size > 1:
            dist.broadcast(seconds, 0)
        return float(seconds)

    def log(self, text: str) -> None:
        """Write one line to the run's log, with the time; rank 0 only."""
        if self.rank == 0:
            line = f"{time.strftime('%H:%M:%S')} {text}"
            print(line, flush=True)
            with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def save(self, name: str, state: dict[str, Any]) -> None:
        """Write a checkpoint whole or not at all: rank 0 writes, the others wait for it."""
        if self.rank == 0:
            torch.save(state, self.folder / f"{name}.part")
            (self.folder / f"{name}.part").rename(self.folder / name)
        if self.size > 1:
            dist.barrier()


class Stage:
    """A resumable stage of training: model, optimizer, moving average, steps and seconds.

    Resumes from the file ``checkpoint`` in the run's folder where there is one.
    ``average`` is the exponential moving average of the parameters, with ``decay``.
    """

    def __init__(
        self,
        parallel: DataParallel,
        checkpoint: str,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        decay: float,
    ) -> None:
        self.parallel, self.checkpoint, self.decay = parallel, checkpoint, decay
        self.model, self.optimizer = model, optimizer
        self.average = {name: value.detach().clone() for name, value in model.named_parameters()}
        self.step, self.offset = 0, -parallel.clock()
        if (parallel.folder / checkpoint).exists():
            state = torch.load(parallel.folder / checkpoint, weights_only=True)
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            self.average, self.step = state["average"], state["step"]
            self.offset += state["seconds"]

    def seconds(self) -> float:
        """Measure the seconds trained so far, those of earlier runs included."""
        return self.offset + self.parallel.clock()

    def update(self, loss: Tensor, parameters: list[nn.Parameter]) -> None:
        """Take one optimizer step for ``parameters`` and move the average."""
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.parallel.average_gradients(parameters)
        nn.utils.clip_grad_norm_(parameters, 1.0)
        self.optimizer.step()
        self.step += 1
        weight = 1 - min(self.decay, self.step / (self.step + 10))  # faster at the start
        with torch.no_grad():
            for name, value in self.model.named_parameters():
                self.average[name].lerp_(value, weight)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model its averaged parameters for a while."""
        present = {name: value.detach().clone() for name, value in self.model.named_parameters()}
        self.model.load_state_dict(self.average, strict=False)
        yield
        self.model.load_state_dict(present, strict=False)

    def save(self, seconds: float) -> None:
        """Write the checkpoint."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average,
            "step": self.step,
            "seconds": seconds,
        }
        self.parallel.save(self.checkpoint, state)
