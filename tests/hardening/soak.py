"""Soak of the app: ``python -m tests.hardening.soak --minutes 120 OUT.json [OUT.svg]``.

The real app, headless, with the demo model's worker, a database and pictures of its own, does what
a user does, in random order, while the worker is killed every minute. Each minute it writes the
memory of the app and the worker, the median of its replies, and what went wrong, so that a run that
is cut off has its rows too. At the end the database must be whole, and hold each message. A machine
that others use shows in seconds, so a reply is also given in CPU seconds and in lengths of a fixed
computation that is timed before and after it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import psutil
from textual.pilot import Pilot

from assistant.core.memory.detect import detect_hardware
from assistant.engine.engine import Engine
from assistant.engine.open import open_engine
from assistant.settings.load import load as load_settings
from tests.e2e.drawings import COLOUR_QUESTIONS, SHAPE_QUESTIONS, draw
from tests.tui.desk import (
    area,
    composer,
    idle,
    open_page,
    opened,
    pane,
    screen,
    select_turn,
    send,
    until,
)
from tui.app import PhichatApp

MB = 1_000_000
PAUSE_S = (0.2, 2.5)
"""Seconds between two actions: those of a fast reader."""
CORES = 1 / 3
"""Most of a core that the app and its worker use on average: others use this machine too."""
FIXED = 400_000
"""Steps of the fixed computation, about 20 ms."""
KEYS = "sphinx of black quartz"
"""Letters typed each minute, to see whether a key costs more as time goes on."""
CHATS = 25
"""Chats that are kept: older ones are deleted, as the database's size is looked at too."""


@dataclass
class Row:
    """Figures of one minute."""

    minute: float
    app_mb: float
    worker_mb: float
    reply_s: float | None
    """Median of the minute's replies, from enter to their end; a killed worker starts within it."""
    reply_cpu_s: float | None
    """The same in CPU seconds of the app and the worker."""
    reply_fixed: float | None
    """The same in lengths of the fixed computation."""
    key_cpu_ms: float
    """CPU time of the app for one key, until it is painted."""
    database_mb: float
    actions: int
    kills: int
    failures: list[str] = field(default_factory=list)


class Soak:
    """The random user, and what is measured of the app."""

    def __init__(self, pilot: Pilot[None], engine: Engine, folder: Path) -> None:
        self._pilot, self._engine = pilot, engine
        self._chance = random.Random(20261129)
        self._pictures = [draw(800_000 + n, folder).path for n in range(12)]
        self.home = Path(os.environ["PHICHAT_HOME"])
        self._replies: list[tuple[float, float, float]] = []
        self._cpu_of_worker: dict[int, float] = {}
        self._failures: list[str] = []
        self._actions = self._kills = 0
        self.sent: set[str] = set()

    async def minute(self, minutes: float, *, kills: bool) -> Row:
        """Act for a minute, and return what it was like."""
        end = time.monotonic() + 60
        self._replies, self._failures, self._actions = [], [], 0
        while time.monotonic() < end:
            action, cpu = self._chance.choices(self.ACTIONS, self.WEIGHTS)[0], self._cpu()
            try:
                await action(self)
            except Exception as error:
                self._failures.append(f"{action.__name__}: {str(error) or repr(error)}"[:600])
                await self._pilot.press("escape", "escape")
            self._actions += 1
            pause = (self._cpu() - cpu) * (1 / CORES - 1)
            await asyncio.sleep(max(pause, self._chance.uniform(*PAUSE_S)))
        key_cpu_ms = await self._type()
        worker = self._worker()
        worker_mb = worker.memory_info().rss / MB if worker is not None else 0.0
        if kills and worker is not None:
            worker.kill()
            self._kills += 1
        return Row(
            minute=round(minutes, 1),
            app_mb=round(psutil.Process().memory_info().rss / MB, 1),
            worker_mb=round(worker_mb, 1),
            reply_s=_median(seconds for seconds, _, _ in self._replies),
            reply_cpu_s=_median(cpu for _, cpu, _ in self._replies),
            reply_fixed=_median(seconds / fixed for seconds, _, fixed in self._replies),
            key_cpu_ms=key_cpu_ms,
            database_mb=round(sum(f.stat().st_size for f in self.home.glob("*.db*")) / MB, 2),
            actions=self._actions,
            kills=self._kills,
            failures=self._failures,
        )

    def _worker(self) -> psutil.Process | None:
        """Return the process that the model is in."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                is_worker = "assistant.worker" in process.cmdline()
                if is_worker and process.environ().get("PHICHAT_HOME") == str(self.home):
                    return process
        return None

    def _cpu(self) -> float:
        """Return the CPU seconds of the app and of each worker so far."""
        worker = self._worker()
        if worker is not None:
            with suppress(psutil.Error):
                self._cpu_of_worker[worker.pid] = sum(worker.cpu_times()[:2])
        return time.process_time() + sum(self._cpu_of_worker.values())

    async def _type(self) -> float:
        """Type a few letters; return the milliseconds of CPU time that one took."""
        await self._pilot.press("escape")
        area(self._pilot).clear()
        started = time.process_time()
        for letter in KEYS:
            await self._pilot.press("space" if letter == " " else letter)
        spent = time.process_time() - started
        area(self._pilot).clear()
        return round(1000 * spent / len(KEYS), 2)

    def _question(self) -> str:
        words = self._chance.choice(COLOUR_QUESTIONS + SHAPE_QUESTIONS)
        number = len(self.sent)
        return f"{words.format(shape='shape', colour='red')} ({number})"

    async def _send(self) -> None:
        question = self._question()
        self.sent.add(question)
        await send(self._pilot, question)
        await until(
            self._pilot, lambda: any(turn.text == question for turn in pane(self._pilot).turns)
        )

    async def _ask(self) -> None:
        fixed, cpu, started = _fixed_s(), self._cpu(), time.monotonic()
        await self._send()
        await idle(self._pilot)
        seconds = time.monotonic() - started
        self._replies.append((seconds, self._cpu() - cpu, (fixed + _fixed_s()) / 2))

    async def _ask_about_a_picture(self) -> None:
        await send(self._pilot, str(self._chance.choice(self._pictures)))
        await until(self._pilot, lambda: composer(self._pilot).chips.files, "the chip")
        await self._ask()

    async def _stop(self) -> None:
        await self._send()
        await asyncio.sleep(self._chance.uniform(0.0, 0.4))
        await self._pilot.press("escape")
        await idle(self._pilot)

    async def _answer_again(self) -> None:
        if pane(self._pilot).turns:
            await self._pilot.press("ctrl+r")
            await idle(self._pilot)

    async def _branch(self) -> None:
        if pane(self._pilot).turns:
            await select_turn(self._pilot, "up", "e")
            await until(self._pilot, lambda: composer(self._pilot).edited, "the edit")
            area(self._pilot).clear()
            await self._ask()

    async def _new_chat(self) -> None:
        await self._pilot.press("ctrl+n")
        await until(self._pilot, lambda: screen(self._pilot).chat.session_id is None, "a new chat")
        await self._ask_about_a_picture()
        await self._delete_old()

    async def _delete_old(self) -> None:
        for old in self._engine.store.sessions(1000)[CHATS:]:
            await asyncio.to_thread(self._engine.store.delete, old.id)

    async def _other_chat(self) -> None:
        chats = self._engine.store.sessions(CHATS)
        if chats:
            wanted = self._chance.choice(chats).id
            screen(self._pilot).open_session(wanted)
            await opened(self._pilot, wanted)

    async def _look_around(self) -> None:
        for key in self._chance.sample(("f1", "f4", "f5", "f9", "ctrl+f"), 2):
            await open_page(self._pilot, key, "escape")
            await until(self._pilot, lambda: self._pilot.app.screen is screen(self._pilot), key)

    ACTIONS: ClassVar[tuple[Callable[[Soak], Awaitable[None]], ...]] = (
        _ask,
        _ask_about_a_picture,
        _stop,
        _answer_again,
        _branch,
        _new_chat,
        _other_chat,
        _look_around,
    )
    WEIGHTS: ClassVar[tuple[int, ...]] = (6, 3, 2, 2, 2, 2, 2, 1)


def _fixed_s() -> float:
    """Time the fixed computation, in seconds."""
    started = time.monotonic()
    sum(number * number for number in range(FIXED))
    return time.monotonic() - started


def _median(values: Iterable[float]) -> float | None:
    several = list(values)
    return round(statistics.median(several), 2) if several else None


def missing(database: Path, sent: set[str]) -> list[str]:
    """Return what is wrong with the database after the end: lost messages, half replies."""
    with closing(sqlite3.connect(database)) as connection:
        whole = [word for (word,) in connection.execute("PRAGMA integrity_check") if word != "ok"]
        texts = {text for (text,) in connection.execute("SELECT text FROM turns")}
        half = connection.execute(
            "SELECT count(*) FROM turns WHERE role = 'assistant' AND finish_reason IS NULL"
        ).fetchone()[0]
    lost = sorted(question for question in sent if question not in texts)
    return whole + [f"lost: {one}" for one in lost] + ([f"{half} half replies"] if half else [])


async def soak(minutes: float, out: Path, *, kills: bool) -> dict[str, Any]:
    """Run it; ``out`` is written after each minute."""
    settings, cpu = load_settings(), detect_hardware().cpu
    machine = f"{cpu.name}, {cpu.cores} cores, {platform.system()}"
    engine = open_engine(settings)
    started, rows, result = time.monotonic(), [], dict[str, Any]()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    async with PhichatApp(engine, settings).run_test(size=(100, 30)) as pilot:
        one = Soak(pilot, engine, folder)
        while (spent := (time.monotonic() - started) / 60) < minutes:
            rows.append(asdict(await one.minute(spent, kills=kills)))
            result = {"machine": machine, "kills": kills, "rows": rows}
            out.write_text(json.dumps(result, indent=1))
        await idle(pilot)
    engine.close()
    result["wrong"] = missing(one.home / "phichat.db", one.sent)
    result["sent"] = len(one.sent)
    out.write_text(json.dumps(result, indent=1))
    return result


def plot(result: dict[str, Any]) -> str:
    """Draw memory and waits over the minutes, as an SVG."""
    rows = result["rows"]
    charts = (
        ("app_mb", "app, MB"),
        ("worker_mb", "worker, MB"),
        ("reply_s", "a reply, s"),
        ("reply_cpu_s", "a reply, CPU s"),
        ("reply_fixed", "a reply, in lengths of a fixed computation"),
        ("key_cpu_ms", "a key, CPU ms"),
    )
    drawn = "".join(_chart(rows, key, words, 20 + 150 * n) for n, (key, words) in enumerate(charts))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="760" height="930" '
        'font-family="sans-serif" font-size="12"><rect width="760" height="930" fill="white"/>'
        f"{drawn}</svg>\n"
    )


def _chart(rows: Sequence[dict[str, Any]], key: str, words: str, top: int) -> str:
    points = [(row["minute"], row[key]) for row in rows if row[key] is not None]
    last, most = max(x for x, _ in points) or 1.0, max(y for _, y in points) * 1.1 or 1.0
    line = " ".join(
        f"{60 + 680 * x / last:.1f},{top + 120 - 110 * y / most:.1f}" for x, y in points
    )
    return (
        f'<path d="M60 {top}v120h680" fill="none" stroke="#888"/>'
        f'<text x="66" y="{top + 12}">{words}</text>'
        f'<text x="54" y="{top + 20}" text-anchor="end">{most / 1.1:.3g}</text>'
        f'<text x="54" y="{top + 120}" text-anchor="end">0</text>'
        f'<text x="740" y="{top + 134}" text-anchor="end">{last:.0f} min</text>'
        f'<polyline points="{line}" fill="none" stroke="#1565c0" stroke-width="1.5"/>'
    )


def main() -> int:
    """Run the soak; exit code 1 when anything was lost."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("out", type=Path)
    options.add_argument("svg", type=Path, nargs="?")
    options.add_argument("--minutes", type=float, default=120)
    options.add_argument("--no-kills", action="store_true")
    given = options.parse_args()
    if "PHICHAT_HOME" not in os.environ:
        os.environ["PHICHAT_HOME"] = tempfile.mkdtemp(prefix="soak-home-")
    result = asyncio.run(soak(given.minutes, given.out, kills=not given.no_kills))
    if given.svg is not None:
        given.svg.write_text(plot(result))
    return bool(result["wrong"])


if __name__ == "__main__":
    sys.exit(main())
