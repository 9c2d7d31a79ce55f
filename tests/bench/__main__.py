"""All measurements of the inference core: python -m tests.bench, or make bench.

Prints one JSON document as its last line; README.md beside this file tells how to read it.
Checkpoints of random weights are made once, in the user's cache folder. Other engines are
measured where --mistralrs-python and --vllm-python (or PHICHAT_BENCH_MISTRALRS,
PHICHAT_BENCH_VLLM) name a Python that has them.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers
from platformdirs import user_cache_path

from tests.bench import against_peers, before_after, decode, exactness, memory, prefill, turns
from tests.bench.subjects import full_scale, quick_scale
from tests.bench.timing import machine
from tests.conftest import OFFICIAL_TOKENIZER, ROOT

PARTS = (
    *("memory", "exactness", "decode", "prefill", "before", "mistralrs", "vllm", "turns"),
    "starts",
)


def headline(parts: dict[str, Any]) -> dict[str, Any]:
    """One figure a key, the worst where there are several; None where it was not measured."""

    def worst(part: str, inner: str, about: str = "") -> float | None:
        found = [v[inner] for k, v in (parts.get(part) or {}).items() if v and about in k]
        return min(found) if found else None

    def one(part: str, *path: str) -> Any:
        value = parts.get(part)
        for key in path:
            value = value.get(key) if value else None
        return value

    contexts = sorted({int(k.split()[1]) for k in parts.get("decode") or {}}) or [0, 0, 0]
    short, middle, long = (f" {context}" for context in contexts)
    peaks = one("memory", "load_peak_over_weights") or {}
    return {
        "followup_ttft_vs_seed_way": one("turns", "followup_ttft_vs_seed_way"),
        "followup_ttft_vs_bare_forward": one("turns", "followup_ttft_vs_bare_forward"),
        "followup_ttft_16k_vs_1k": one("turns", "followup_ttft_16k_vs_1k"),
        "picture_ttft_vs_seed_way": one("turns", "picture_336_ttft_vs_seed_way"),
        "picture_1344_ttft_vs_seed_way": one("turns", "picture_1344_ttft_vs_seed_way"),
        **{
            f"{key}_vs_before": one("starts", f"{key}_vs_before")
            for key in ("picture_1344_ttft", "picture_after_typing_ttft")
        },
        "startup_cpu_s": max(
            (
                command["after"]
                for name, command in (one("starts", "startup_cpu_s") or {}).items()
                if name != "ask_whole"
            ),
            default=None,
        ),
        "decode_fraction_of_limit": worst("decode", "fraction_of_limit", short),
        "decode_fraction_of_limit_8000": worst("decode", "fraction_of_limit", middle),
        "decode_fraction_of_limit_32000": worst("decode", "fraction_of_limit", long),
        "decode_vs_transformers_500": worst("decode", "vs_transformers", short),
        "decode_vs_transformers_8000": worst("decode", "vs_transformers", middle),
        "decode_vs_transformers_32000": worst("decode", "vs_transformers", long),
        "decode_vs_mistralrs": worst("mistralrs", "decode", "float32"),
        "decode_int8_vs_mistralrs_q8": worst("mistralrs", "decode", "int8"),
        "decode_vs_vllm": one("vllm", "decode"),
        "prefill_vs_transformers": worst("prefill", "vs_transformers"),
        **{
            f"prefill_{form}_vs_transformers": worst("prefill", "vs_transformers", form)
            for form in ("float32", "bfloat16", "int8")
        },
        "prefill_int8_vs_float32": worst("prefill", "vs_float32", "int8"),
        "prefill_int8_vs_before": one("before", "vs_before"),
        "prefill_int8_vs_mistralrs_q8": worst("mistralrs", "prefill", "int8"),
        "kv_bytes_per_token": one("memory", "kv", "float", "bytes_per_token"),
        "kv_int8_bytes_per_token": one("memory", "kv", "int8", "bytes_per_token"),
        "load_peak_over_weights": max(peaks.values()) if peaks else None,
        "int8_weights_top1_changed": one("exactness", "weights int8", "top1_changed"),
        "int8_kv_top1_changed": one("exactness", "kv int8", "top1_changed"),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--quick", action="store_true", help="tiny model: proves that it runs")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--cache", type=Path, default=user_cache_path("phichat-bench"))
    parser.add_argument("--before", type=Path, help="an older checkout to compare with")
    parser.add_argument("--mistralrs-python", default=os.environ.get("PHICHAT_BENCH_MISTRALRS"))
    parser.add_argument("--vllm-python", default=os.environ.get("PHICHAT_BENCH_VLLM"))
    given = parser.parse_args()
    transformers.logging.set_verbosity_error()
    tokenizer = OFFICIAL_TOKENIZER if (OFFICIAL_TOKENIZER / "tokenizer.json").exists() else None
    scale = quick_scale() if given.quick else full_scale(given.cache, tokenizer)
    measures: dict[str, Callable[[], Any]] = {
        "memory": lambda: {
            "kv": memory.kv(),
            "load_peak_over_weights": memory.load_peaks(scale),
        },
        "exactness": lambda: exactness.measure(3 if given.quick else None),
        "decode": lambda: decode.measure(scale),
        "prefill": lambda: prefill.measure(scale),
        "before": lambda: prefill.against_before(scale, given.before),
        "mistralrs": lambda: against_peers.mistralrs(scale, given.mistralrs_python),
        "vllm": lambda: against_peers.vllm(scale, given.vllm_python),
        "turns": lambda: turns.measure(scale),
    }
    checkouts = {"before": given.before.resolve()} if given.before else {}
    measures["starts"] = lambda: before_after.measure(
        {**checkouts, "after": ROOT}, scale.folders["mid"]
    )
    report: dict[str, Any] = {"machine": machine(), "quick": given.quick}
    parts: dict[str, Any] = {}
    for name in given.only:
        started = time.perf_counter()
        parts[name] = measures[name]()
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    report |= headline(parts)
    report["parts"] = parts
    print(json.dumps(rounded(report)))


def rounded(value: Any) -> Any:
    """Four significant digits."""
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    if not isinstance(value, float):
        return value
    return int(value) if value.is_integer() else float(f"{value:.4g}")


if __name__ == "__main__":
    main()
