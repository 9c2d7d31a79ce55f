"""phichat models: what each command and each refusal says, on a real server, in a real process."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from assistant.cli.root_command import cli
from assistant.models.pull import pull as fetch
from assistant.values.errors import ModelError
from tests.conftest import ROOT
from tests.models.conftest import MODEL, hub, model_files  # noqa: F401 (fixtures)
from tests.models.hub_server import COMMIT, Hub
from tests.models.proxy_server import HOST, proxying
from tests.wait import wait_until

WEIGHTS = "model.safetensors"
PHICHAT = [sys.executable, "-m", "assistant.cli", "models"]
KNOWN = ["microsoft/Phi-3-vision-128k-instruct", "microsoft/Phi-3.5-vision-instruct"]
IN_ORDER = [
    "tokenizer_config.json",
    "preprocessor_config.json",
    "config.json",
    "tokenizer.json",
    WEIGHTS,
]
"""The files of the tiny model by their size."""


@dataclass
class Done:
    """Exit code and output of a command."""

    returncode: int
    stdout: str
    stderr: str


def models(*arguments: str | Path, **environment: str) -> Done:
    """One command in this process, where huggingface_hub's constants are set for the test."""
    result = CliRunner().invoke(cli, ["models", *map(str, arguments)], env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def process(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command in a process of its own, which reads its variables as a person's would."""
    return subprocess.run(
        [*PHICHAT, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        cwd=ROOT,
    )


def refused(done: Done | subprocess.CompletedProcess[str]) -> str:
    """The one sentence that a failed command says."""
    assert (done.returncode, done.stdout) == (1, "")
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def blobs() -> Path:
    return Path(os.environ["HF_HOME"]) / "hub" / "models--someone--tiny-vision" / "blobs"


# pull


def test_pull(hub: Hub) -> None:  # noqa: F811
    done = process("pull", MODEL)
    assert done.returncode == 0
    assert done.stdout == (
        f"{MODEL} is here and right: 9.7 MB, 9.7 MB of it fetched now (commit 01234567).\n"
        f"“phichat models use {MODEL}” makes it the model of every start.\n"
    )
    assert done.stderr == "".join(f"{name}: here and right\n" for name in IN_ORDER)
    assert all(MODEL in path or "/signed/" in path for _, path, _ in hub.asked)
    assert all("torch" not in headers["User-Agent"] for _, _, headers in hub.asked)
    again = models("pull", "--json", MODEL)
    found = json.loads(again.stdout)
    assert (found["fetched"], found["commit"]) == (0, COMMIT)
    assert (Path(found["folder"]) / WEIGHTS).is_file()


def test_pull_refuses_what_there_is_not(hub: Hub) -> None:  # noqa: F811
    at = hub.address
    assert refused(models("pull", "someone/nothing")) == (
        f"There is no model someone/nothing at {at}: check the name, or set HF_TOKEN if it is "
        "private."
    )
    assert refused(models("pull", MODEL, "--revision", "v9")) == (
        f"{at} has no revision v9 of {MODEL}: take its newest with “phichat models pull {MODEL} "
        "--revision main”."
    )
    hub.refuses[MODEL] = (403, {"X-Error-Code": "GatedRepo"})
    assert refused(models("pull", MODEL)) == (
        f"{MODEL} is gated: accept its conditions at {at}/{MODEL}, then set HF_TOKEN to a token "
        "of your account."
    )
    assert refused(models("pull", "a/b/c")) == (
        "'a/b/c' is no id of the hub: give one such as microsoft/Phi-3-vision-128k-instruct."
    )
    assert refused(models("pull", "demo")) == (
        "The demo comes with phichat: there is nothing to fetch."
    )
    done = models("pull", "--json", "demo")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"] == {"code": "model", "message": done.stderr.strip()}
    assert models("pull").returncode == 2


def test_pull_without_a_network(hub: Hub) -> None:  # noqa: F811
    assert refused(process("pull", MODEL, HF_HUB_OFFLINE="1")) == (
        "HF_HUB_OFFLINE is set, so nothing can be fetched: unset it and try again."
    )
    sentence = refused(process("pull", MODEL, HF_ENDPOINT="http://127.0.0.1:9"))
    assert re.fullmatch(
        r"http://127.0.0.1:9 can't be reached \(.*\): check the network, HF_ENDPOINT and the proxy "
        r"variables\.",
        sentence,
    )
    assert "proxy" in refused(models("pull", MODEL, HTTP_PROXY="http://127.0.0.1:9"))
    assert not hub.asked


def test_pull_refuses_what_comes_damaged(hub: Hub) -> None:  # noqa: F811
    right = hub.models[MODEL][WEIGHTS]
    hub.sends[WEIGHTS] = right[:-1] + bytes([right[-1] ^ 1])
    assert refused(models("pull", MODEL)) == (
        f"{WEIGHTS} came damaged: its checksum is not the one that {hub.address} states. It was "
        "thrown away; run the same again, or try another mirror (HF_ENDPOINT)."
    )
    assert f"{WEIGHTS}" not in {path.name for path in blobs().parent.glob("snapshots/*/*")}
    assert f"phichat models pull {MODEL}" in refused(models("verify", MODEL))


def test_pull_on_a_disk_that_is_too_small(hub: Hub, tmp_path: Path) -> None:  # noqa: F811
    """A real file system of 6 MB, in a mount namespace of its own."""
    (tmp_path / "small").mkdir()
    mount = f"mount -t tmpfs -o size=6m none {tmp_path}/small"
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("no mount namespace can be made here")
    command = f"{mount} && HF_HOME={tmp_path}/small {' '.join(PHICHAT)} pull {MODEL}"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", command], capture_output=True, text=True, cwd=ROOT
    )
    assert refused(done) == (
        f"{MODEL} takes 9.7 MB more, and 6.3 MB are free on the disk of {tmp_path}/small/hub: free "
        "some, or set HF_HOME to a folder on another disk."
    )


def test_pull_onto_a_disk_that_fills_up(hub: Hub) -> None:  # noqa: F811
    """The kernel refuses to let a file grow beyond a limit, as it refuses on a full disk."""
    limited = f"ulimit -f 3000 && exec {' '.join(PHICHAT)} pull {MODEL}"
    done = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, cwd=ROOT)
    assert refused(done) == (
        f"The disk of {blobs().parent.parent} is full (or files may not be larger: ulimit -f); "
        "what came is kept: make room and run the same again."
    )
    hub.asked.clear()
    fetch(MODEL)
    assert hub.requests(f"signed/{WEIGHTS}")[0]["Range"] == "bytes=3072000-"


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGKILL])
def test_pull_that_is_ended_goes_on(hub: Hub, way: signal.Signals) -> None:  # noqa: F811
    hub.hangs[WEIGHTS] = 200_000
    digest = hashlib.sha256(hub.models[MODEL][WEIGHTS]).hexdigest()
    partial = blobs() / f"{digest}.incomplete"
    with subprocess.Popen(
        [*PHICHAT, "pull", "--json", MODEL],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: partial.exists() and partial.stat().st_size >= 200_000)
        process.send_signal(way)
        stdout, said = process.communicate()
    if way is signal.SIGINT:
        assert process.returncode == 130
        assert json.loads(stdout)["error"]["code"] == "interrupted"
        assert said.splitlines()[-1] == (
            "Stopped; what came is kept: the same command goes on there."
        )
    assert f"phichat models pull {MODEL}" in refused(models("use", MODEL))
    hub.hangs.clear()
    hub.asked.clear()
    fetch(MODEL)
    assert hub.requests(f"signed/{WEIGHTS}")[0]["Range"] == "bytes=200000-"


@pytest.mark.long  # it waits for a real second, five times
def test_pull_from_a_slow_server(hub: Hub) -> None:  # noqa: F811
    hub.hangs["config.json"] = 0
    done = process("pull", MODEL, HF_HUB_DOWNLOAD_TIMEOUT="1")
    assert refused(done) == (
        f"Fetching from {hub.address} failed (the server does not answer, 5 times); what came is "
        "kept: run the same again later, and it goes on there."
    )


def test_pull_through_a_proxy(hub: Hub) -> None:  # noqa: F811
    with proxying(hub.address) as (address, asked):
        done = process("pull", MODEL, HF_ENDPOINT=f"http://{HOST}", HTTP_PROXY=address)
    assert done.returncode == 0, done.stderr
    assert any(HOST in url for url in asked)
    assert any("/signed/" in url for url in asked)


def test_the_bar_of_a_terminal_of_80_columns(hub: Hub) -> None:  # noqa: F811
    """Every state of the line fits, and the line is gone at the end."""
    hub.busy[WEIGHTS] = [503, 503]  # waits, so that a speed is there to be shown
    outer, inner = pty.openpty()
    with subprocess.Popen(
        [*PHICHAT, "pull", MODEL], cwd=ROOT, stderr=inner, stdout=subprocess.DEVNULL,
        env={**os.environ, "COLUMNS": "80"},
    ) as process:  # fmt: skip
        os.close(inner)
        said = b""
        try:
            while piece := os.read(outer, 65536):
                said += piece
        except OSError:  # Linux' way of telling the end
            pass
        os.close(outer)
    assert process.returncode == 0
    states = [one for one in re.split(r"\r\x1b\[K|\r\n", said.decode()) if one]
    bars = [one for one in states if one.startswith(("fetching  [", "checking  ["))]
    assert bars
    assert all(len(one) <= 79 for one in states)
    assert any("/s  " in one and one.endswith(" left") for one in bars)
    assert states[-1] == f"{WEIGHTS}: here and right"


# verify


def test_verify(hub: Hub, random_folder: Path) -> None:  # noqa: F811
    fetch(MODEL)
    hub.asked.clear()
    done = models("verify", MODEL)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "".join(f"right       {name}\n" for name in sorted(IN_ORDER))
        + "Every byte is what the hub stated (01234567).\n"
    )
    done = models("verify", random_folder)
    assert done.returncode == 0
    assert done.stdout.splitlines()[1] == "unrecorded  model.safetensors"
    assert done.stdout.splitlines()[-1] == (
        "Complete, and every weight has the right shape. “Unrecorded” files have no checksum to "
        "compare with: a wrong number in them can't be seen."
    )
    assert not hub.asked


def test_verify_finds_one_wrong_bit_and_pull_repairs_it(hub: Hub) -> None:  # noqa: F811
    fetch(MODEL)
    (blob,) = (one for one in blobs().iterdir() if one.stat().st_size > 5_000_000)
    with blob.open("r+b") as file:
        file.seek(5_000_000)
        byte = file.read(1)[0]
        file.seek(5_000_000)
        file.write(bytes([byte ^ 4]))
    done = models("verify", MODEL)
    assert done.returncode == 1
    assert f"damaged     {WEIGHTS}\n" in done.stdout
    assert done.stderr == (
        f"{WEIGHTS} is damaged: “phichat models pull {MODEL}” fetches what is bad again, and "
        "nothing else.\n"
    )
    found = json.loads(models("verify", "--json", MODEL).stdout)
    assert not found["ok"]
    assert {"name": WEIGHTS, "state": "damaged"} in found["files"]
    hub.asked.clear()
    fetch(MODEL)
    assert len(hub.requests("/resolve/")) == 1
    assert models("verify", MODEL).returncode == 0


def test_verify_a_folder_that_is_not_whole(random_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(random_folder, tmp_path / "model"))
    weights = folder / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    done = models("verify", folder)
    assert done.returncode == 1
    assert "is cut short" in done.stderr
    assert done.stderr.rstrip().endswith("copy the folder again from where it came.")
    weights.unlink()
    done = models("verify", folder)
    assert done.returncode == 1
    assert f"missing     {WEIGHTS}\n" in done.stdout
    assert done.stderr == f"{WEIGHTS} is missing: copy the folder again from where it came.\n"


def test_verify_what_is_not_there() -> None:
    assert refused(models("verify", KNOWN[0])) == (
        f"The model {KNOWN[0]} is not on this machine: fetch it with “phichat models pull "
        f"{KNOWN[0]}”, or use --model demo or a folder."
    )


# use


def test_use_keeps_the_file_as_it_is(random_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Path(os.environ["PHICHAT_HOME"]) / "config.toml"
    done = models("use", "demo")
    assert done.stdout == f"The model of every start is now demo ({config}).\n"
    assert (done.returncode, done.stderr) == (0, "")
    assert '\nmodel = "demo"\n' in "\n" + config.read_text()
    before = '# mine\r\nseed = 3   # lucky\r\nmodel = "demo"  # for now\r\n\r\ntop_p = 0.9\r\n'
    config.write_bytes(before.encode())
    config.chmod(0o640)
    assert models("use", os.path.relpath(random_folder)).returncode == 0
    expected = before.replace('"demo"', f'"{random_folder}"')
    assert config.read_bytes().decode() == expected
    assert config.stat().st_mode & 0o777 == 0o640
    listed = json.loads(models("list", "--json").stdout)
    assert [one["name"] for one in listed if one["in_use"]] == [str(random_folder)]
    monkeypatch.setenv("PHICHAT_MODEL", "demo")
    assert models("use", "demo").stderr == "PHICHAT_MODEL is set and goes before it: unset it.\n"


def test_use_refuses_what_can_t_be_used(tmp_path: Path) -> None:
    config = Path(os.environ["PHICHAT_HOME"]) / "config.toml"
    assert f"phichat models pull {KNOWN[1]}" in refused(models("use", KNOWN[1]))
    assert "no config.json" in refused(models("use", tmp_path))
    assert "There is no model 'nothing'" in refused(models("use", "nothing"))
    assert "Nothing answers at http://127.0.0.1:9/v1" in refused(
        models("use", "http://127.0.0.1:9")
    )
    assert not config.exists()
    config.parent.mkdir()
    config.write_text("model = \n")
    assert "not valid TOML" in refused(models("use", "demo"))
    assert config.read_text() == "model = \n"


# list


def test_list(hub: Hub) -> None:  # noqa: F811
    done = models("list", PHICHAT_MODEL=MODEL)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "  demo  (9.5 MB, here)"
    for model in KNOWN:
        assert f"  {model}  (8.3 GB, MIT, not here)" in lines
    assert f"* {MODEL}  (not here)" in lines
    hub.cuts[WEIGHTS] = [3_000_000, 0, 0]
    with pytest.raises(ModelError):
        fetch(MODEL)
    part = json.loads(models("list", "--json", PHICHAT_MODEL=MODEL).stdout)[-1]
    assert (part["name"], part["whole"], part["in_use"]) == (MODEL, False, True)
    assert part["bytes_here"] > 3_000_000
    fetch(MODEL)
    hub.asked.clear()
    *others, ours = json.loads(models("list", "--json").stdout)
    assert (ours["name"], ours["whole"], ours["kind"]) == (MODEL, True, "hub")
    assert [one["name"] for one in others] == ["demo", *KNOWN]
    assert all(one["plan"]["context_tokens"] >= 0 for one in others)
    server = models("list", PHICHAT_MODEL="http://localhost:8000/v1").stdout
    assert "* http://localhost:8000/v1  (a server)\n" in server
    assert not hub.asked


@pytest.mark.parametrize("command", ["", "list", "pull", "verify", "use"])
def test_help_teaches_by_example(command: str) -> None:
    done = models(*filter(None, [command]), "--help")
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: ")
    assert re.search(rf"^ +phichat models {command}", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80


# no network


FORBIDDEN = """
import os, sys
def hear(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.bind"):
        if event in ("socket.connect", "socket.bind") and isinstance(arguments[1], (str, bytes)):
            return  # a Unix socket: how the worker is spoken to
        with open(os.environ["HEARD"], "a") as file:
            print(event, arguments, file=file)
        raise OSError("no network here")
sys.addaudithook(hear)
"""


@pytest.mark.slow
def test_nothing_is_asked_of_any_network_once_it_is_here(
    hub: Hub,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every Python process of ours, the worker's too, hears of its sockets and refuses them."""
    fetch(MODEL)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(FORBIDDEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    monkeypatch.setenv("HEARD", str(tmp_path / "heard"))
    monkeypatch.setenv("PHICHAT_MODEL", MODEL)
    monkeypatch.setenv("PHICHAT_NUM_CROPS", "1")
    picture = ROOT / "tests" / "data" / "goldens" / "images" / "sq336.png"
    ask = [*PHICHAT[:-1], "ask", "--max-new-tokens", "3", "-i", str(picture), "Hello"]
    done = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for command in ("list", "verify"):
        assert process(command).returncode == 0
    assert not (tmp_path / "heard").exists()
    hub.asked.clear()
    assert "no network here" in refused(process("pull", MODEL))  # the hook does hear
    assert (tmp_path / "heard").exists()
    assert not hub.asked
