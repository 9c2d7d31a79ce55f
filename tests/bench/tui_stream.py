"""Cost of a streamed reply on the screen, in a real pseudo-terminal of 120 x 40.

    python -m tests.bench.tui_stream [--seconds 20] [--there 8000] [--resize] [KIND …]

For each kind of text: a reply of ``--there`` characters is there, 50 tokens a second of
4 characters each are added to it for ``--seconds``, and its end follows; meanwhile
a key is pressed four times a second (and the window made narrower and wider once a
second). Prints one JSON object: milliseconds from the key to its letter on the terminal
(p50, p95, worst), the share of one core that the app's process takes (engine, database
and pacing included), and the rate that a generator of 1,000 tokens a second keeps with
the screen, relative to its rate without; the CPU milliseconds for which the screen's
thread is busy at a time; and what a fixed piece of work took in between.
Limits: p95 50 ms, share 0.40, rate 0.95. On a busy machine times tell of its scheduler,
and the share falls because less is painted: give it the cores first (``chrt -f 10``).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import selectors
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.bench.pseudo_terminal import COLUMNS, PseudoTerminal, used_home, work_cpu_s

TOKEN = 4
RATE = 50
FAST = 1000
KEYS = [chr(0x0410 + i) for i in range(0x60)]  # letters that no reply and no escape sequence has
KEY_INTERVAL_S = 0.25
CODE = "def area(radius: float) -> float:\n    return 3.14 * radius**2  # of a circle\n\n"
PARTS = {
    "prose": "The picture shows a red circle on white ground, and *some* words below it. " * 6
    + "\n\n",
    "list": "- an item with **bold** words and `code` in it, a line long\n",
    "table": "| circle | 41.90 | some words about it |\n",
    "fence": CODE,
    "line": "some words of one long paragraph that never ends, ",
    "nested": "- one\n  - two, with **bold** words\n    1. three and `code`\n    2. four\n",
    "cjk": "图片里有一个红色的圆形，背景是白色的。 🔴 赤い丸があります。 " * 5 + "\n\n",
}
HEADS = {"table": "| shape | price | remark |\n|---|--:|---|\n", "fence": "```python\n"}
MIXED = (
    "## A part\n\n" + PARTS["prose"] + PARTS["list"] * 6 + "\n1. one\n2. two\n\n"
    + HEADS["table"] + PARTS["table"] * 6 + "\n```python\n" + CODE * 2 + "```\n\n> quoted\n\n"
)  # fmt: skip
KINDS = ("prose", "mixed", "list", "table", "fence")
MORE_KINDS = ("line", "nested", "cjk")


def reply(kind: str, length: int) -> str:
    """A text of one kind, cut at ``length``."""
    part = MIXED if kind == "mixed" else PARTS[kind]
    return (HEADS.get(kind, "") + part * (length // len(part) + 1))[:length]


def app(kind: str, measured: Path, there: int, seconds: float, fast: bool, screen: bool) -> None:
    """The measured process: an app (or only the engine) whose core writes at a pace."""
    from assistant.engine.engine import Engine
    from assistant.engine.model import Model
    from assistant.settings.load import load as load_settings
    from assistant.values.conversation import Draft, FinishReason, Usage
    from assistant.values.generation import GenerationEnded, TokensGenerated
    from storage.store import Store
    from tests.byte_tokenizer import write_tokenizer
    from tests.scripted_core import ScriptedCore

    class PacedCore(ScriptedCore):
        """Writes the beginning at once, the rest token by token by the clock."""

        def generate(self, prompt: object, sampling: object, pixels: Callable) -> Iterator:
            length = there + (2000 if fast else round(seconds * RATE) * TOKEN)
            text = reply(kind, length)
            # every text is encoded with a blank in front
            encode = self._vocabulary.encode
            if not fast:
                for start in range(0, there, there // 20):
                    piece = text[start : min(there, start + there // 20)]
                    yield TokensGenerated(tuple(encode(piece))[start > 0 :])
                    time.sleep(0.02)
                time.sleep(1.0)
                text = text[there:]
            tokens = [encode(text[i : i + TOKEN])[1:] for i in range(0, len(text), TOKEN)]
            started = time.monotonic()
            busy.times.clear()
            measured.with_suffix(".began").write_text(str(started))
            for index, token in enumerate(tokens):
                due = started + index / (FAST if fast else RATE)
                if (wait := due - time.monotonic()) > 0:
                    time.sleep(wait)
                yield TokensGenerated(tuple(token))
            took = time.monotonic() - started
            result = {"rate": len(tokens) / took, **(busy.measured() if screen else {})}
            measured.with_suffix(".ended").write_text(json.dumps(result))
            yield GenerationEnded(FinishReason.STOP, Usage(1, 0, 0, len(tokens)), 0.1, 50.0)

    busy = Busy()
    home = measured.parent
    folder = home / "bytes"
    folder.mkdir(exist_ok=True)
    write_tokenizer(folder, 300)
    store = Store.open(home / f"{kind}-{fast}-{screen}.db")
    engine = Engine(store, Model(load_settings({}), PacedCore(folder)))
    if screen:
        from tui.app import PhichatApp

        busy.watch()
        shown = PhichatApp(engine, load_settings({}))
        gc.freeze()  # as the command line does
        shown.run()
    else:
        for _ in engine.send(None, Draft("go")):
            pass
    engine.close()


class Busy:
    """CPU seconds of the screen's thread between two waits for something to do.

    For so long a key may have to wait on a machine that does nothing else.
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self._since = time.thread_time()

    def watch(self) -> None:
        """Measure every turn of the event loop of this process."""
        wait = selectors.DefaultSelector.select

        def select(selector: Any, timeout: float | None = None) -> Any:
            self.times.append(time.thread_time() - self._since)
            found = wait(selector, timeout)
            self._since = time.thread_time()
            return found

        selectors.DefaultSelector.select = select  # type: ignore[method-assign]

    def measured(self) -> dict[str, float]:
        """Milliseconds of the turns that did something."""
        times = sorted(1000 * one for one in self.times if one > 0.001)
        p95 = times[int(len(times) * 0.95)]
        return {"busy_p95_cpu_ms": round(p95, 1), "busy_worst_cpu_ms": round(times[-1], 1)}


def appears(path: Path, terminal: PseudoTerminal) -> str:
    """Wait for a file of the measured process, reading what it draws."""
    while not path.exists() or not path.read_text():
        terminal.read(0.01)
    return path.read_text()


def started(
    kind: str, home: Path, there: int, seconds: float, *, fast: bool = False
) -> PseudoTerminal:
    """The app with its question sent."""
    measured = home / f"{kind}-{fast}"
    command = ["-m", "tests.bench.tui_stream", "--child", str(measured)]
    command += ["--seconds", str(seconds), "--there", str(there)]
    terminal = PseudoTerminal([*command, *(["--fast"] if fast else []), kind], used_home(home))
    terminal.read_until(b"sk about a picture")
    terminal.read_for(0.5)
    terminal.write(b"go\r")
    return terminal


def latencies(kind: str, home: Path, there: int, seconds: float, resize: bool) -> dict[str, float]:
    """Press keys while a reply of this kind is written, and when it ends."""
    with started(kind, home, there, seconds) as terminal:
        appears(home / f"{kind}-False.began", terminal)
        cpu, began = terminal.cpu_s, time.perf_counter()
        share, keys = 0.0, iter(KEYS)
        waits: list[float] = []
        ended = home / f"{kind}-False.ended"
        over = False
        while not over:
            if ended.exists():  # one key more: the end is drawn meanwhile
                over = True
                share = (terminal.cpu_s - cpu) / (time.perf_counter() - began)
            if resize and len(waits) % 4 == 0:
                terminal.resize(COLUMNS if len(waits) % 8 else COLUMNS - 17)
            key = next(keys).encode()
            pressed, written = time.perf_counter(), b""
            terminal.write(key)
            while key not in written:
                written = written[-8:] + terminal.read(1.0)
                assert time.perf_counter() - pressed < 20, "a key was lost"
            waits.append(time.perf_counter() - pressed)
            terminal.read_for(KEY_INTERVAL_S - waits[-1])
        waits.sort()
        busy = json.loads(appears(ended, terminal))
        del busy["rate"]
    return {
        "p50_ms": round(1000 * waits[len(waits) // 2], 1),
        "p95_ms": round(1000 * waits[int(len(waits) * 0.95)], 1),
        "worst_ms": round(1000 * waits[-1], 1),
        "keys": len(waits),
        "core_share": round(share, 3),
        **busy,
        "work_cpu_s": round(work_cpu_s(), 3),
    }


def kept_rate(kind: str, home: Path, there: int) -> float:
    """The rate of the fast generator with the screen, relative to its rate without."""
    measured = home / f"{kind}-True"
    with started(kind, home, there, 0, fast=True) as terminal:
        with_screen = json.loads(appears(measured.with_suffix(".ended"), terminal))["rate"]
    measured.with_suffix(".ended").unlink()
    app(kind, measured, there, 0, fast=True, screen=False)
    without = json.loads(measured.with_suffix(".ended").read_text())["rate"]
    return round(with_screen / without, 3)


def main() -> None:
    """Measure, or be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=20, help="81 keys")
    parser.add_argument("--there", type=int, default=8000, help="characters")
    parser.add_argument("--resize", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--fast", action="store_true", help=argparse.SUPPRESS)
    kinds = ", ".join((*KINDS, *MORE_KINDS))
    parser.add_argument("kinds", nargs="*", metavar="KIND", default=KINDS, help=kinds)
    options = parser.parse_args()
    if options.child:
        paced = (options.kinds[0], options.child, options.there, options.seconds, options.fast)
        app(*paced, screen=True)
        return
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= used_home(Path(folder))
        for kind in options.kinds:
            home = Path(folder)
            measured = latencies(kind, home, options.there, options.seconds, options.resize)
            results[kind] = measured | {"kept_rate": kept_rate(kind, home, options.there)}
            print(kind, results[kind], file=sys.stderr)
    limits = {"p95_ms": 50, "core_share": 0.40, "kept_rate": 0.95}
    print(json.dumps({"load": os.getloadavg()[0], "limits": limits, **results}))


if __name__ == "__main__":
    main()
