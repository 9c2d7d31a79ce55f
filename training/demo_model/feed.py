"""The feed of a trainer: processes draw pictures and make batches of dialogues about them.

The crops wait on the trainer's device, in places that are given to each process beforehand. A
process speaks of a picture only when its crops have arrived there.
"""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from multiprocessing.context import SpawnProcess
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

from assistant.phi3v.crops import CROP
from assistant.phi3v.vocabulary import Vocabulary
from training.demo_model.batches import Batch, ExampleSampler, collate
from training.demo_model.pictures import kinds
from training.demo_model.pictures.drawing import CELLS, crops, labels
from training.demo_model.replies import Facts

_PIXELS = CROP * CROP * 3
_TOGETHER = 32
"""Pictures that are drawn and sent together."""
_GROUP = 4
"""Batches that are sampled together and sorted by length."""
_MOST_WAITING = 6
"""Files of a process that may wait for the trainer."""
_LONGEST_GAP = 2400
_HELD_OUT_BATCHES = 6


@dataclass(frozen=True, slots=True)
class Order:
    """An order to a process: its number, room for crops from ``first`` on, sizes."""

    number: int
    first: int
    room: int
    seed: int
    batch: int
    dialogues: float
    """Dialogues of each picture before the next one is drawn, while there is room."""
    run: Path
    folder: Path
    yields: bool = False
    """Whether the trainer's own process comes first."""
    held_out: bool = False
    early: int = 0
    """Pictures to begin with that are easily learned from."""
    most: int = 0
    """Pictures to draw before it ends, with as many batches as are held out; 0: without end."""


def _draw(order: Order, index: int, at: int) -> tuple[list[Facts], bytes, bytes]:
    """Draw the pictures from ``index`` on, whose crops go to the places from ``at`` on."""
    pictures, cut, marked = [], [], []
    for number in range(index, index + _TOGETHER):
        drawing, num_crops = kinds.draw(
            Random(f"{order.seed} {order.number} {number}"),
            early=number < order.early,
            held_out=order.held_out,
        )
        pieces, grid = crops(drawing, num_crops)
        pictures.append({"at": at, "crops": len(pieces), "grid": grid, **drawing.facts})
        cut.append(pieces.tobytes())
        marked.append(labels(drawing, num_crops).tobytes())
        at += len(pieces)
    return pictures, b"".join(cut), b"".join(marked)


def produce(order: Order, chunks: Any, batches: Any, arrived: Any) -> None:
    """Draw pictures and make batches until ``order`` is filled, or the trainer is no more."""
    torch.set_num_threads(1)
    if order.yields:
        _leave_room_for_the_trainer()
    sampler = ExampleSampler(Vocabulary.from_folder(order.run))
    rng = Random(f"{order.seed} dialogues {order.number}")
    waiting: list[list[Facts]] = []
    at, end = order.first, order.first + order.room - 8 * _TOGETHER
    drawn = sent = taken = made = 0
    most = order.most or 1 << 60
    trainer = parent_process()
    while not (order.most and made >= _HELD_OUT_BATCHES * order.batch):
        if trainer is not None and not trainer.is_alive():  # it was killed
            os._exit(1)  # what waits in the queues is not waited for
        # 1) pictures, where there is room, and more are due or the trainer has batches enough
        lacking = order.most or not sampler.ready or batches.full()
        due = lacking or made >= order.dialogues * drawn
        ahead = sent - arrived[order.number]
        draws = at < end and drawn < most and bool(due) and ahead < _MOST_WAITING
        if draws:
            pictures, cut, marked = _draw(order, drawn, at)
            path = order.folder / f"{order.number}-{sent}"
            path.write_bytes(cut + marked)
            last = pictures[-1]
            count = last["at"] + last["crops"] - at
            pages = [p["at"] for p in pictures if p["family"] == "page"]
            chunks.put((order.number, at, count, pages, str(path)))
            waiting.append(pictures)
            at, drawn, sent = at + count, drawn + _TOGETHER, sent + 1
        while taken < arrived[order.number]:
            for picture in waiting.pop(0):
                sampler.add(picture)
            taken += 1
        # 2) batches, where the trainer takes them and no picture is due
        enough = drawn >= most and not waiting if order.most else sampler.ready
        if enough and not draws and not batches.full():
            examples = [sampler.sample(rng) for _ in range(order.batch * _GROUP)]
            examples.sort(key=lambda example: len(example.ids))
            for place in rng.sample(range(_GROUP), _GROUP):
                some = examples[place * order.batch : (place + 1) * order.batch]
                gap = 0 if order.most else _LONGEST_GAP
                batches.put(collate(some, rng, gap))
            made += order.batch * _GROUP
        elif not draws:
            time.sleep(0.01)


def _leave_room_for_the_trainer() -> None:
    """Lower this process's priority, and leave it all but a quarter of the cores."""
    os.nice(5)
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[len(cores) // 4 :])


def _memory() -> Path | None:
    """Find a folder in memory with room for the files of a few seconds."""
    shared = Path("/dev/shm")  # noqa: S108 (a folder of its own is made there)
    return shared if shared.is_dir() and shutil.disk_usage(shared).free > 4e9 else None


class Feed:
    """Batches; on a device, crops uint8 ``[N, 336, 336, 3]``, labels int8 ``[N, 48, 48, 3]``."""

    def __init__(
        self,
        run: Path,
        device: torch.device,
        *,
        processes: int,
        room: int,
        batch: int,
        seed: int,
        dialogues: float = 4.0,
        early: int = 0,
        held_out: int = 800,
    ) -> None:
        self.crops = torch.zeros((room, CROP, CROP, 3), dtype=torch.uint8, device=device)
        self.labels = torch.zeros((room, CELLS, CELLS, 3), dtype=torch.int8, device=device)
        self.device, self.failed = device, ""
        self.filled, self.pages = np.zeros(room, np.int64), np.zeros(room, np.int64)
        """Places of crops that training may use, and of those that are dense pages of print."""
        self.held_out_places: list[int] = []
        self.count = self.page_count = 0
        context = get_context("spawn")
        self._chunks, self._batches = context.Queue(), context.Queue(max(32, 8 * processes))
        self._held_out = context.Queue()
        self._kept: list[Batch] = []
        self._arrived = context.Array("l", processes + 1, lock=False)
        self._folder = tempfile.TemporaryDirectory(dir=_memory())
        few = held_out * 2 + 8 * _TOGETHER
        each = (room - few) // processes
        self._processes: list[SpawnProcess] = []
        for number in range(processes + 1):
            last = number == processes
            order = Order(
                number, number * each, few if last else each, seed, batch, dialogues, run,
                Path(self._folder.name), True, held_out=last,
                early=0 if last else early // processes, most=held_out * last,
            )  # fmt: skip
            queue_ = self._held_out if last else self._batches
            process = context.Process(
                target=produce,
                args=(order, self._chunks, queue_, self._arrived),
                daemon=True,
            )
            process.start()
            self._processes.append(process)
        self._held_out_number = processes
        threading.Thread(target=self._receive, daemon=True).start()

    def _receive(self) -> None:
        try:
            while True:
                self._take(*self._chunks.get())
        except Exception as error:  # of a full device, say: the trainer has to hear of it
            self.failed = f"{type(error).__name__}: {error}"

    def _take(self, number: int, at: int, count: int, pages: list[int], path: str) -> None:
        """Bring the crops of a file to the device, and let its process speak of them."""
        data = np.fromfile(path, np.uint8)
        Path(path).unlink()
        pixels, marks = data[: count * _PIXELS], data[count * _PIXELS :].view(np.int8)
        places = slice(at, at + count)
        cut = pixels.reshape(count, CROP, CROP, 3)
        self.crops[places] = torch.from_numpy(cut).to(self.device)
        marked = marks.reshape(count, CELLS, CELLS, 3)
        self.labels[places] = torch.from_numpy(marked).to(self.device)
        if number == self._held_out_number:
            self.held_out_places += range(at, at + count)
        else:
            self.filled[self.count : self.count + count] = np.arange(at, at + count)
            self.pages[self.page_count : self.page_count + len(pages)] = pages
            self.count, self.page_count = self.count + count, self.page_count + len(pages)
        self._arrived[number] += 1

    def batch(self) -> Batch:
        """Take the next batch; raises RuntimeError as :meth:`check`."""
        while True:
            try:
                batch: Batch = self._batches.get(timeout=20)
            except queue.Empty:
                self.check()
            else:
                return batch

    def check(self) -> None:
        """Raise RuntimeError when a process ended, or crops can't be taken any more."""
        if self.failed:
            raise RuntimeError(f"Pictures no longer reach the device: {self.failed}")
        if any(process.exitcode is not None for process in self._processes[:-1]):
            raise RuntimeError("A process that draws pictures ended: its own message is above.")

    def held_out(self) -> list[Batch]:
        """Take the batches that training never uses; none before all are there."""
        if self._held_out.qsize() >= _HELD_OUT_BATCHES:
            self._kept = [self._held_out.get() for _ in range(_HELD_OUT_BATCHES)]
        return self._kept

    def some(self, rng: np.random.Generator, count: int, dense: float) -> Tensor:
        """Sample the places of crops, about the share ``dense`` of them of pages."""
        pages = int(count * dense) if self.page_count else 0
        chosen = self.filled[rng.integers(self.count, size=count)]
        chosen[:pages] = self.pages[rng.integers(max(1, self.page_count), size=pages)]
        return torch.from_numpy(chosen).to(self.device)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
        self._folder.cleanup()
