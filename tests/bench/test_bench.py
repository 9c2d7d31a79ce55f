"""The benchmarks run and report every figure that they promise."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

MEASURED_HERE = {
    "followup_ttft_vs_seed_way",
    "followup_ttft_vs_bare_forward",
    "followup_ttft_16k_vs_1k",
    "picture_ttft_vs_seed_way",
    "prefill_vs_transformers",
    "prefill_int8_vs_float32",
    "decode_fraction_of_limit",
    "decode_vs_transformers_500",
    "decode_vs_transformers_8000",
    "decode_vs_transformers_32000",
    "kv_bytes_per_token",
    "kv_int8_bytes_per_token",
    "load_peak_over_weights",
    "startup_cpu_s",
}
OF_PEERS = {
    "decode_int8_vs_mistralrs_q8",
    "prefill_int8_vs_mistralrs_q8",
    "decode_vs_mistralrs",
    "decode_vs_vllm",
    "prefill_int8_vs_before",
    "picture_1344_ttft_vs_before",
    "picture_after_typing_ttft_vs_before",
}


@pytest.mark.long
def test_the_last_line_is_one_document_with_every_figure() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("PHICHAT_BENCH")},
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["machine"]["cpu"]
    assert all(isinstance(report[key], float | int) for key in MEASURED_HERE)
    assert all(report[key] is None for key in OF_PEERS), "no peer and no older checkout was named"
    assert report["kv_bytes_per_token"] == 2 * 12 * 8 * 96 * 4
    assert report["kv_int8_bytes_per_token"] == 2 * 12 * 8 * (96 + 4)
