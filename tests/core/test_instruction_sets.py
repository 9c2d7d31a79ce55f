"""Processors that this machine is not, by the libraries' own switches, each in a process."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

AVX2 = "+sse3,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma,+f16c,+bmi,+bmi2"
AVX512 = f"{AVX2},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"

# the flag of /proc/cpuinfo that it takes, its name and features for LLVM, oneDNN, torch and MKL
PROCESSORS = {
    "SSE4": ("sse4_1", "penryn", "+sse3,+ssse3,+sse4.1", "SSE41", "default", "SSE4_2"),
    "AVX2": ("avx2", "haswell", AVX2, "AVX2", "avx2", "AVX2"),
    "AVX-VNNI": ("avx_vnni", "alderlake", f"{AVX2},+avxvnni", "AVX2_VNNI", "avx2", "AVX2"),
    "AVX-512": ("avx512bw", "skylake-avx512", AVX512, "AVX512_CORE", "avx512", "AVX512"),
    "VNNI": (
        "avx512_vnni",
        "cascadelake",
        f"{AVX512},+avx512vnni",
        "AVX512_CORE_VNNI",
        "avx512",
        "AVX512",
    ),
    "AMX": (
        "amx_bf16",
        "sapphirerapids",
        f"{AVX512},+avx512vnni,+avx512bf16,+amx-tile,+amx-bf16,+amx-int8",
        "AVX512_CORE_AMX",
        "avx512",
        "AVX512",
    ),
}
INSTRUCTIONS = {
    "AVX2": ("vpmaddwd", "ymm"),
    "AVX-VNNI": ("vpdpwssd", "ymm"),
    "AVX-512": ("vpmaddwd", "zmm"),
    "VNNI": ("vpdpbusd", "zmm"),
    "AMX": ("tdpbf16ps", "tmm"),
    "AMX of int8": ("tdpbssd", "tmm"),
}

on_x86 = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="these are processors of x86"
)


def switches(name: str) -> dict[str, str]:
    _, processor, features, onednn, torch, mkl = PROCESSORS[name]
    return {
        "NUMBA_CPU_NAME": processor,
        "NUMBA_CPU_FEATURES": features,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "ATEN_CPU_CAPABILITY": torch,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
    }


def processor(what: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.core.one_processor", what],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def flags() -> set[str]:
    info = Path("/proc/cpuinfo")
    return set(info.read_text(encoding="utf-8").split()) if info.exists() else set()


def check(found: dict[str, Any]) -> None:
    assert {"amx", "pairs", "widened", "bfloat16 amx", "bfloat16 widened"} <= set(found["errors"])
    assert all(error <= 1.01 for error in found["errors"].values()), found


@on_x86
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(one, marks=pytest.mark.long if one == "SSE4" else pytest.mark.slow)
        for one in PROCESSORS
    ],
)
def test_every_way_is_as_exact_on_another_processor(name: str) -> None:
    if PROCESSORS[name][0] not in flags():
        pytest.skip(f"this processor has no {name}")
    found = json.loads(processor("", switches(name)).splitlines()[-1])
    check(found)
    assert found["numba"]
    if "avx512_vnni" not in flags():  # torch asks the processor, not the switches
        assert found["likely"] == "pairs"


def test_every_way_is_as_exact_without_numba() -> None:
    found = json.loads(processor("without-numba", {}).splitlines()[-1])
    check(found)
    assert not found["numba"]


@on_x86
@pytest.mark.long
@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_kernels_are_compiled_to_the_instructions_of_a_processor(name: str, tmp_path: Path) -> None:
    """Compiled only, so that processors that are not here are seen as well."""
    compiled = processor(
        "compile",
        switches(name.split(" of ")[0])
        | {"NUMBA_DUMP_ASSEMBLY": "1", "NUMBA_CACHE_DIR": str(tmp_path)},
    )
    wanted, registers = INSTRUCTIONS[name]
    used = [line for line in compiled.splitlines() if wanted in line and registers in line]
    assert used, f"no {wanted} with {registers}"
