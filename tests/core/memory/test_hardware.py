"""Hardware of a machine, from recorded files and programs that answer as the real ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from assistant.core.memory import nvidia
from assistant.core.memory.detect import detect_hardware
from assistant.core.memory.hardware import Gpu, Hardware, Memory

GIB = 2**30
MEMINFO = "MemTotal:       16384000 kB\nMemFree:         1000 kB\nMemAvailable:   12288000 kB\n"
CPUINFO = "processor\t: 0\nmodel name\t: Some CPU @ 2.80GHz\nflags\t\t: fpu avx2 {flags}\n"


@pytest.fixture(autouse=True)
def _recorded_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let psutil read the recorded /proc/meminfo of :func:`machine`."""
    if "tmp_path" in request.fixturenames:
        monkeypatch.setattr(
            psutil, "PROCFS_PATH", str(request.getfixturevalue("tmp_path") / "proc")
        )


def machine(root: Path, files: dict[str, str]) -> Path:
    """A folder with the files of /proc and /sys that a machine would have."""
    for name, text in {"proc/meminfo": MEMINFO, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def v2(limit: str, used: int, inactive: int = 0) -> dict[str, str]:
    top = "sys/fs/cgroup/user.slice/job"
    return {
        "proc/self/cgroup": "0::/user.slice/job\n",
        f"{top}/memory.max": limit,
        f"{top}/memory.current": str(used),
        f"{top}/memory.stat": f"anon 5\ninactive_file {inactive}\n",
    }


def v1(limit: int, used: int, inactive: int = 0) -> dict[str, str]:
    # the path is the host's: inside the container only the top is there
    return {
        "proc/self/cgroup": "9:memory:/docker/abc\n3:cpuset:/\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": str(limit),
        "sys/fs/cgroup/memory/memory.usage_in_bytes": str(used),
        "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {inactive}\n",
    }


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, Memory(16384000 * 1024, 12288000 * 1024)),
        (v2("max\n", 0), Memory(16384000 * 1024, 12288000 * 1024)),
        (v2(f"{2 * GIB}\n", GIB), Memory(2 * GIB, GIB, limited=True)),
        (v2(f"{2 * GIB}\n", GIB, GIB // 2), Memory(2 * GIB, GIB + GIB // 2, limited=True)),
        (v2(f"{2 * GIB}\n", 3 * GIB), Memory(2 * GIB, 0, limited=True)),
        (v2(f"{64 * GIB}\n", 0), Memory(16384000 * 1024, 12288000 * 1024)),
        (v1(2 * GIB, GIB, GIB // 4), Memory(2 * GIB, GIB + GIB // 4, limited=True)),
        (v1(0x7FFFFFFFFFFFF000, GIB), Memory(16384000 * 1024, 12288000 * 1024)),
    ],
)
def test_memory_and_what_a_container_allows(
    files: dict[str, str], expected: Memory, tmp_path: Path
) -> None:
    assert detect_hardware(machine(tmp_path, files), {}).memory == expected


def test_a_limit_further_up_counts_too(tmp_path: Path) -> None:
    files = v2("max", GIB) | {
        "sys/fs/cgroup/user.slice/memory.max": str(3 * GIB),
        "sys/fs/cgroup/user.slice/memory.current": str(2 * GIB),
    }
    assert detect_hardware(machine(tmp_path, files), {}).memory == Memory(
        3 * GIB, GIB, limited=True
    )


def test_cores_are_those_that_a_container_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(16), raising=False)
    files = {"proc/cpuinfo": CPUINFO.format(flags="avx512_bf16"), "proc/self/cgroup": "0::/\n"}
    root = machine(tmp_path, {**files, "sys/fs/cgroup/cpu.max": "250000 100000\n"})
    cpu = detect_hardware(root, {}).cpu
    assert (cpu.name, cpu.cores, cpu.has_bf16) == ("Some CPU @ 2.80GHz", 2, True)
    assert cpu.instructions == ("avx2", "avx512_bf16")
    (root / "sys/fs/cgroup/cpu.max").write_text("max 100000\n")
    assert detect_hardware(root, {}).cpu.cores == 16


def test_memory_that_cannot_be_read_is_a_problem_and_not_an_exception(tmp_path: Path) -> None:
    found = detect_hardware(tmp_path, {"PATH": ""})
    assert found.memory.total > 0
    assert found.cpu.cores >= 1
    assert any("memory" in problem.what for problem in found.problems)


def test_a_mac_names_its_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recorded from the manual page: not run on a Mac."""
    monkeypatch.setattr(sys, "platform", "darwin")
    program(tmp_path, "sysctl", "echo Apple M2")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert detect_hardware(tmp_path / "nothing").cpu.name == "Apple M2"


# NVIDIA


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


CARDS = """echo '0, GPU-aaaa, NVIDIA GeForce RTX 4090, 24564, 23900, 580.65, 8.9
1, GPU-bbbb, NVIDIA RTX A4000, 16376, 16000, 580.65, 8.6'"""


def gpus(folder: Path, script: str, **environ: str) -> Hardware:
    program(folder, "nvidia-smi", script)
    return detect_hardware(machine(folder, {}), {"PATH": str(folder), **environ})


def test_cards_are_read_from_nvidia_smi(tmp_path: Path) -> None:
    found = gpus(tmp_path, CARDS)
    assert found.gpus[0] == Gpu(
        0, "NVIDIA GeForce RTX 4090", 24564 * 2**20, 23900 * 2**20, "580.65", "8.9"
    )
    assert len(found.gpus) == 2


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1", ["NVIDIA RTX A4000"]),
        ("1,0", ["NVIDIA RTX A4000", "NVIDIA GeForce RTX 4090"]),
        ("GPU-bbbb", ["NVIDIA RTX A4000"]),
        ("0,7,1", ["NVIDIA GeForce RTX 4090"]),
        ("-1", []),
        ("", []),
    ],
)
def test_only_visible_cards_count(visible: str, names: list[str], tmp_path: Path) -> None:
    found = gpus(tmp_path, CARDS, CUDA_VISIBLE_DEVICES=visible)
    assert [gpu.name for gpu in found.gpus] == names
    assert [gpu.index for gpu in found.gpus] == list(range(len(names)))
    assert any("hides" in p.what for p in found.problems) == (not names)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'No devices were found'; exit 6", "No devices were found"),
        ("echo 'Failed to initialize NVML: Driver/library version mismatch'; exit 18", "mismatch"),
        ("echo '0, GPU-a, Odd card, [N/A], [N/A], 580, 12.1'", "unexpected"),
        ("exit 1", "no reason given"),
        ("echo nonsense", "unexpected"),
    ],
)
def test_a_driver_in_trouble_is_a_problem(script: str, words: str, tmp_path: Path) -> None:
    found = gpus(tmp_path, script)
    assert found.gpus == ()
    assert any(words in problem.what for problem in found.problems)


def test_a_driver_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "NVIDIA_SMI_SECONDS", 0.2)
    found = gpus(tmp_path, "exec /bin/sleep 60")
    assert any("did not answer" in problem.what for problem in found.problems)


def test_a_card_without_a_cuda_build_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    found = gpus(tmp_path, CARDS)
    assert found.torch is not None
    if found.torch.cuda:
        pytest.skip("PyTorch is a CUDA build here")
    (problem,) = [p for p in found.problems if "without CUDA" in p.what]
    assert "make clean" in problem.remedy


def test_torch_is_looked_at_without_importing_it() -> None:
    code = (
        "import sys; from assistant.core.memory.detect import detect_hardware;"
        "found = detect_hardware();"
        "assert found.torch and 'torch' not in sys.modules; print(found.torch.version)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    import torch

    assert done.stdout.strip() == torch.__version__


def test_this_machine() -> None:
    found = detect_hardware()
    assert 0 < found.memory.available <= found.memory.total
    assert found.cpu.name


def test_speeds_of_a_processor_are_not_those_of_another_of_its_name(tmp_path: Path) -> None:
    """Virtual machines call all of a maker's processors the same."""
    keys = set()
    for flags in ("sse4_1", "avx512f", "avx512f amx_bf16"):
        root = machine(tmp_path / flags, {"proc/cpuinfo": CPUINFO.format(flags=flags)})
        keys.add(detect_hardware(root, {}).processor_key)
    assert len(keys) == 3
