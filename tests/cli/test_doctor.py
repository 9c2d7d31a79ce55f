"""``phichat doctor``: what it prints, and that it only looks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant.cli.doctor import _lines, fitted
from assistant.cli.doctor_checks import diagnose
from assistant.cli.root_command import cli
from assistant.core.memory import detect
from assistant.core.memory.hardware import Cpu, Gpu, Hardware, Memory, Problem, TorchBuild
from assistant.settings.load import load as load_settings
from tests.conftest import ROOT, Phichat

GIB = 2**30


def home() -> Path:
    return Path(os.environ["PHICHAT_HOME"])


def test_a_machine_in_plain_words(phichat: Phichat, random_folder: Path) -> None:
    done = phichat("doctor", "--quick")
    assert done.returncode == 0
    assert done.stderr == ""
    titles = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
    assert titles[:3] == ["Machine", "Model", "Memory plan"]
    assert titles[3].startswith("Phi-3-vision-128k on ")
    assert titles[4:6] == ["Workers", "Files and terminal"]
    none = "No problems found; without --quick, stored values are looked at too."
    assert titles[6] in ("Problems", none)
    for words in (
        f" in {random_folder}",
        "The context is 16,384 tokens, all that is the model's.",
        "A 640 x 480 picture is cut into 1 crop and takes 313 tokens: 52 of them fit.",
        "None is running; one starts with the first question.",
        "phichat.db, not there yet; the first chat makes it",
        "config.toml (not there: defaults)",
        "not a terminal",
    ):
        assert words in done.stdout
    assert not home().exists(), "nothing is written"


def test_flags_change_the_plan(phichat: Phichat) -> None:
    done = phichat("doctor", "--quick", "--kv", "int8", "--weights", "int8", "--context", "3000")
    assert "The weights are held in int8" in done.stdout
    assert "int8 KV was asked for." in done.stdout
    assert "The context is 3,000 tokens, all that is asked for." in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--kv", "int5"], "'int5' is not one of 'auto', 'float', 'int8', 'int4'"),
        (["--weights", "tiny"], "'tiny' is not one of 'auto', 'float', 'int8', 'int4'"),
        (["--context", "0"], "0 is not in the range"),
        (["--nonsense"], "No such option"),
        (["more"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], words: str, phichat: Phichat) -> None:
    done = phichat("doctor", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_a_bad_setting_is_one_sentence(phichat: Phichat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHICHAT_KV", "int5")
    done = phichat("doctor", "--quick")
    assert done.returncode == 1
    assert done.stderr == 'kv must be "auto", "float", "int8" or "int4", not "int5" (PHICHAT_KV).\n'


def test_the_json_for_scripts(phichat: Phichat, random_folder: Path) -> None:
    done = phichat("doctor", "--quick", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    assert found["device"] == "cpu" or found["machine"]["gpus"]
    assert found["dtype"] in ("float32", "bfloat16")
    assert found["attention"] in ("sdpa", "flash_attention_2")
    assert found["memory"]["context_tokens"] == 16_384
    assert found["memory"]["weights_bytes"] > 0
    assert found["memory"]["kv_bytes_per_token"] == 2 * 3 * 4 * 16 * 4
    assert found["memory"]["problem"] is None
    assert found["model"] == str(random_folder)
    assert found["model_files"]["complete"] is True
    assert found["database"] == str(home() / "phichat.db")
    assert found["database_state"]["exists"] is False
    assert found["problems"] == []
    assert found["torch"] is None
    assert found["speed_estimate"] is None
    formats = {(one["weights"], one["kv"]) for one in found["phi3_vision"]}
    assert formats >= set(product(("float", "int8"), ("float", "int8", "int4")))


def test_a_terminal_breaks_no_word_and_no_command() -> None:
    line = "  An estimate, from 15.0 GB/s of memory measured just now: at most 1.1 tokens/s."
    assert fitted(line, 0) == fitted(line, 80) == line
    assert fitted(line, 40).splitlines() == [
        "  An estimate, from 15.0 GB/s of memory",
        "    measured just now: at most 1.1",
        "    tokens/s.",
    ]
    command = f"    {sys.executable} -m pip install ninja"
    assert fitted(command, 20) == command


NO_NETWORK = """
import socket, sys
real = socket.socket.connect
def connect(self, address):
    if self.family != socket.AF_UNIX:
        sys.exit(f"a connection to {address}")
    return real(self, address)
socket.socket.connect = connect
"""


@pytest.mark.slow
def test_everything_is_measured_without_the_network(
    tmp_path: Path, phichat: Phichat, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the probe: a process of PyTorch, in which the network is guarded, too."""
    guard = tmp_path / "guard"
    guard.mkdir()
    (guard / "sitecustomize.py").write_text(NO_NETWORK)
    monkeypatch.setenv("PYTHONPATH", str(guard))
    blocked = [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"]
    assert b"a connection to" in subprocess.run(blocked, capture_output=True).stderr
    done = phichat("doctor")
    assert done.returncode == 0, done.stderr
    assert "measured just now" in done.stdout
    assert "An estimate" in done.stdout
    for held in ("float32", "bfloat16", "int8"):
        assert re.search(rf"  {held} +[\d,]+ GFLOP/s +[\d.]+ GB/s +answered in .* s +", done.stdout)
    assert not home().exists()


def test_torch_never_enters_the_doctors_own_process() -> None:
    code = (
        "import sys; from assistant.cli.root_command import cli\n"
        "cli(['doctor', '--quick'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules and 'transformers' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_the_database_is_counted_and_left_as_it_is(phichat: Phichat) -> None:
    assert phichat("ask", "Hello").returncode == 0
    before = {path: path.stat().st_mtime_ns for path in home().glob("phichat.db*")}
    done = phichat("doctor", "--quick", "--json")
    state = json.loads(done.stdout)["database_state"]
    assert (state["exists"], state["sessions"], state["problem"]) == (True, 1, None)
    assert {path: path.stat().st_mtime_ns for path in home().glob("phichat.db*")} == before


def test_a_damaged_database_is_a_problem(phichat: Phichat) -> None:
    home().mkdir()
    (home() / "phichat.db").write_bytes(b"This is no database." * 1000)
    done = phichat("doctor", "--quick")
    assert done.returncode == 0
    assert "Problems" in done.stdout
    assert "can't be read (file is not a database)" in done.stdout


def test_a_model_that_is_not_here_or_damaged(phichat: Phichat, tiny_folder: Path) -> None:
    done = phichat("doctor", "--quick", "--model", "microsoft/Phi-3-vision-128k-instruct")
    assert done.returncode == 0, "the demo can run"
    assert "not on this machine" in done.stdout
    weights = tiny_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    done = phichat("doctor", "--quick", "--model", tiny_folder)
    assert done.returncode == 0
    assert "cut short" in done.stdout
    assert "Memory plan" not in done.stdout


# Machines that are not this one

TORCH = TorchBuild("2.13.0", "13.0")


def machine(total: float, free: float, gpu: Gpu | None = None, **more: object) -> Hardware:
    values = {"torch": TORCH, "gpus": (gpu,) if gpu else (), "torchao": True, **more}
    memory = Memory(int(total * GIB), int(free * GIB))
    return Hardware("Linux x86_64", Cpu("Some CPU", 8), memory, **values)  # type: ignore[arg-type]


def report(found: Hardware, **overrides: object) -> str:
    return "\n".join(_lines(diagnose(load_settings(overrides), found, quick=True)))


CARD_24 = Gpu(0, "NVIDIA GeForce RTX 4090", 24564 * 2**20, 24100 * 2**20, "580", "8.9")
CARD_8 = Gpu(0, "NVIDIA GeForce RTX 4060", 8188 * 2**20, 7900 * 2**20, "580", "8.9")


def rows(text: str) -> dict[str, str]:
    """The table of Phi-3-vision: (weights KV) -> context."""
    lines = text.split("by arithmetic\n")[1].split("\n\n")[0].splitlines()[1:]
    return {" ".join(line.split()[:2]): " ".join(line.split()[4:]) for line in lines}


def test_a_card_of_24_gb() -> None:
    text = report(machine(64, 60, CARD_24))
    assert "NVIDIA GeForce RTX 4090 is here and PyTorch can use it." in text
    table = rows(text)
    assert table["bfloat16 float"].startswith("36,")
    assert table["int8 int8"].startswith("85,"), "131,072 take more than 24 GB"
    assert table["int8 int4"] == "131,072 tokens"
    assert all("does not fit" not in context for context in table.values())


def test_flash_attention_comes_with_the_commands_that_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    text = report(machine(64, 60, CARD_24))
    assert "(nvcc of CUDA 13.0: nvcc is not here)" in text
    first, second = (line for line in text.splitlines() if " -m pip install " in line)
    assert first.endswith("pip install ninja==1.13.2 wheel==0.48.0")
    assert second.endswith("pip install --no-build-isolation flash-attn==2.8.3.post2")
    assert "flash-attn" not in report(machine(64, 60, CARD_24, flash_attn=True))
    assert "flash-attn" not in report(machine(16, 12))


def test_a_card_of_8_gb() -> None:
    table = rows(report(machine(32, 28, CARD_8)))
    assert table["bfloat16 float"] == "does not fit"
    assert table["int8 int8"].endswith("tokens")


def test_a_laptop_of_16_gb_without_a_card() -> None:
    text = report(machine(16, 12, torch=TorchBuild("2.13.0+cpu")))
    assert "The CPU is used: there is no GPU that PyTorch can use." in text
    assert int(rows(text)["int8 int8"].split()[0].replace(",", "")) > 16_000


def test_a_container_of_2_gb() -> None:
    found = machine(2, 1.8, torch=TorchBuild("2.13.0+cpu"))
    text = report(found)
    assert set(rows(text).values()) == {"does not fit"}
    assert "No problems." in text, "the demo fits"
    assert diagnose(load_settings(), found, quick=True).can_run


def test_an_apple_machine_of_16_gb() -> None:
    apple = machine(16, 14, torch=TorchBuild("2.13.0", mps=True))
    text = report(apple)
    assert "(mps), by arithmetic" in text
    assert list(rows(text)) == ["bfloat16 float", "bfloat16 int8", "bfloat16 int4"]


def test_problems_come_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = machine(16, 12, problems=(Problem("Something is odd.", "Do this."),))
    assert "Problems\n  Something is odd.\n    Do this." in report(odd)


def test_nothing_can_run_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = machine(0.5, 0.3)
    monkeypatch.setattr(detect, "detect_hardware", lambda: nothing)
    done = CliRunner().invoke(cli, ["doctor", "--quick"])
    assert done.exit_code == 1
    assert "demo does not fit" in done.stdout
    monkeypatch.setattr(detect, "detect_hardware", lambda: machine(16, 12, torch=None))
    assert CliRunner().invoke(cli, ["doctor"]).exit_code == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("@1 01 on\n@1 1/2 9x18 kitty(0.41.1)", "pictures through tmux"),
        ("@1 01 on\n@1 1/2 9x18 XTerm(379)", "while a terminal shows this tmux that is no kitty"),
        ("@1 01 off\n@1 1/2 9x18 kitty(0.41.1)", "set -g allow-passthrough on"),
        ("no server", "set -g allow-passthrough on"),
    ],
)
def test_how_pictures_pass_tmux(
    answer: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tmux").write_text(f"#!/bin/sh\necho '{answer}'\n")
    (tmp_path / "tmux").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")
    monkeypatch.setenv("TMUX_PANE", "%0")
    found = CliRunner().invoke(cli, ["doctor", "--quick"]).stdout
    assert words in next(line for line in found.splitlines() if line.startswith("  Terminal: "))


@pytest.mark.parametrize("is_here", [True, False])
def test_what_opens_the_files_of_phones(monkeypatch: pytest.MonkeyPatch, is_here: bool) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}" if is_here else None)
    monkeypatch.setattr("assistant.cli.doctor.find_spec", lambda name: None)
    wanted = (
        "  Files: HEIC by heif-dec; videos by ffmpeg"
        if is_here
        else "  Files: no HEIC (docs/install.md says what opens it); no videos (install ffmpeg)"
    )
    assert wanted in report(machine(16, 12)).splitlines()
