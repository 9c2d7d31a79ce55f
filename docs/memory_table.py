"""Writes the table of docs/models.md with the planner's own arithmetic.

python -m docs.memory_table
"""

from __future__ import annotations

from itertools import product
from pathlib import Path

from assistant.core.formats import KV_KINDS
from assistant.core.memory.hardware import Cpu, Gpu, Hardware, Memory, TorchBuild
from assistant.core.memory.places import Place, choose_place
from assistant.core.memory.plan import make_plan
from assistant.core.memory.sizes import kv_sizes, weights_bytes
from assistant.core.memory.values import Wanted
from assistant.models.known import KNOWN
from assistant.values.words import file_size

PAGE = Path(__file__).parent / "models.md"
BEGIN = "<!-- written by python -m docs.memory_table -->"
END = "<!-- end of what is written -->"

GIB = 2**30
MODEL = KNOWN[0].size


def card(gigabytes_of_it: float) -> Place:
    """Make up a card with 2 % of its memory in use, in a machine of 64 GB."""
    size = int(gigabytes_of_it * GIB)
    gpu = Gpu(0, "card", size, size * 98 // 100)
    memory = Memory(64 * GIB, 56 * GIB)
    build = TorchBuild("", "13")
    return choose_place(Hardware("", Cpu("", 8), memory, (gpu,), build, torchao=True))[0]


def computer(gigabytes_of_it: int) -> Place:
    """Make up a machine without a card; an eighth of its memory, 3 GB at least, is in use."""
    size = gigabytes_of_it * GIB
    memory = Memory(size, size - max(3 * GIB, size // 8))
    return choose_place(Hardware("", Cpu("", 8), memory, (), TorchBuild("")))[0]


MACHINES = {
    "NVIDIA, 8 GB": card(8),
    "NVIDIA, 12 GB": card(12),
    "NVIDIA, 16 GB": card(16),
    "NVIDIA, 24 GB": card(24),
    "NVIDIA, 48 GB": card(48),
    "NVIDIA, 80 GB": card(80),
    "CPU, 16 GB": computer(16),
    "CPU, 32 GB": computer(32),
    "CPU, 64 GB": computer(64),
}


def table() -> str:
    """Write the context that each machine holds, by weights and KV; then each format's bytes."""
    pairs = list(product(("float", "int8"), KV_KINDS))
    names = {"float": "bfloat16", "int8": "int8"}
    lines = [
        "Tokens of context, by the format of weights / KV:",
        "",
        "| | " + " | ".join(f"{names[w]} / {kv}" for w, kv in pairs) + " | by itself |",
        "|---" * (len(pairs) + 2) + "|",
    ]
    for name, place in MACHINES.items():
        plans = [make_plan(MODEL, place, Wanted("bfloat16", w, kv)) for w, kv in pairs]
        auto = make_plan(MODEL, place)
        cells = [f"{plan.context_tokens:,}" if plan.problem is None else "-" for plan in plans]
        held = auto.dtype if auto.weights == "float" else auto.weights
        cells.append(f"{held} / {auto.kv}" if auto.problem is None else "-")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "| | weights in bfloat16 | in int8 | a token in " + " | in ".join(KV_KINDS) + " |",
    ]
    lines.append("|---" * (3 + len(KV_KINDS)) + "|")
    for name, kind in (("NVIDIA, Apple", "cuda"), ("CPU", "cpu")):
        held = [file_size(weights_bytes(MODEL, "bfloat16", w, kind)) for w in names]
        tokens = [kv_sizes(MODEL.decoder, "bfloat16", kv, kind)[0] // 1024 for kv in KV_KINDS]
        lines.append(f"| {name} | {' | '.join(held)} | {' | '.join(f'{n} KiB' for n in tokens)} |")
    return "\n".join(lines)


def in_step(page: str) -> str:
    """``page`` with the table as it should be."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}"


def main() -> None:
    """Write the page again."""
    PAGE.write_text(in_step(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
