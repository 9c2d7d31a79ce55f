"""Shared fixtures, and how the tests run.

- `make test-all`, which CI runs, and pytest without options run all but those marked `long`;
  `make test` leaves out those marked `slow` too (`tests/tiers.py`). Both take a file at a time on
  every core and in one process more, because tests wait (pytest-xdist, `--dist loadfile`: a
  module's fixtures, such as a loaded model, are made once). `make test-long` runs those marked
  `long`. Tests marked `gpu` need a CUDA device and skip without one.
- Nothing reaches the network or this user's files: each test has its own PHICHAT_HOME and HF_HOME,
  loses every PHICHAT_ variable, and the hub is offline. Servers are real ones on localhost.
- No worker outlives its test: PHICHAT_KEEP_ALIVE is 0.
- Tests wait for events by `tests/wait.py`, or by `tests/tui/desk.py` in the app; none sleeps
  or counts seconds (`tests/style/test_waits.py`). The only limits are 120 s of a wait and 300 s of
  a test (`timeout` in pyproject.toml): a hang. `pytest tests/tui --slow-threads 0.2` shows what
  races with a thread of the app.
- Models: the goldens' tiny checkpoint (`tiny_folder`, `tiny_model`), the same with a tokenizer of
  bytes (`random_folder`), a scripted core (`tests/scripted_core.py`), the demo model.
- Tokenizers: `any_tokenizer` is one that the tests train (the official rules, other ids) and, where
  PHICHAT_OFFICIAL_TOKENIZER names a folder that has it, the official one. Only promises about the
  official ids skip without it.
- No test depends on the order. Goldens, transcripts, JSON shapes and snapshots are never changed
  to make a test pass: `--snapshot-update` accepts a change that was meant.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests import compiled_statements
from tests.byte_tokenizer import write_tokenizer
from tests.cli_server import CliServer
from tests.tiers import QUICK
from tests.trained_tokenizer import write_trained_tokenizer

# Both count seconds, which pass faster on a busy machine.
settings.register_profile("phichat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(QUICK, settings.get_profile("phichat"))
settings.load_profile("phichat")

# Containers often forbid compiled files to be written. Each test process would then compile every
# test again, 6 CPU-s, and each phichat that a test starts the product, 0.3 to 0.9.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

compiled_statements.share()
gc.disable()  # until the libraries are frozen: it takes a sixth of the imports' CPU time

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = Path(__file__).parent / "data" / "goldens"
OFFICIAL_TOKENIZER = Path(
    os.environ.get("PHICHAT_OFFICIAL_TOKENIZER", ROOT.parent / "shared" / "official-phi3v")
)
HAS_OFFICIAL_TOKENIZER = (OFFICIAL_TOKENIZER / "tokenizer.json").is_file()
TOKENIZERS = ["trained", "official"] if HAS_OFFICIAL_TOKENIZER else ["trained"]
"""Tokenizers of the official kind that are here: promises about the rules are held with each."""

# A shell that starts the tests in its background has interrupts ignored, and what they start
# would inherit that: ctrl-C is what some of them are about.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and nohup ignores the end of the terminal

Phichat = Callable[..., "subprocess.CompletedProcess[str]"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--slow-threads",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="tests/tui: start and end every thread of the app late, to find what races with it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples are tried, before test files read it: `tests/tiers.py`."""
    if "not slow" in config.option.markexpr:
        settings.load_profile(QUICK)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """One worker more than there are processors: each waits for others a third of its time."""
    processors = yield
    return processors if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else processors + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Let the garbage collector leave out the libraries: going over them takes 0.1 s each time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a person set on this machine reaches a test, and nothing leaves it."""
    for name in [name for name in os.environ if name.startswith("PHICHAT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PHICHAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PHICHAT_KEEP_ALIVE", "0")  # no worker outlives its test
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def official_tokenizer() -> Path:
    """A folder with the official tokenizer files, which this project may not ship."""
    if not HAS_OFFICIAL_TOKENIZER:
        pytest.skip(
            "the official tokenizer.json is not here: set PHICHAT_OFFICIAL_TOKENIZER to a folder "
            "that has it (any download of microsoft/Phi-3-vision-128k-instruct)"
        )
    return OFFICIAL_TOKENIZER


@pytest.fixture(scope="session")
def trained_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer of the official kind: the same rules, other ids."""
    folder = tmp_path_factory.mktemp("trained")
    cases = json.loads((GOLDENS / "prompts.json").read_text(encoding="utf-8"))["cases"]
    write_trained_tokenizer(folder, [case["text"] for case in cases])
    return folder


@pytest.fixture(scope="session", params=TOKENIZERS)
def any_tokenizer(request: pytest.FixtureRequest) -> Path:
    """Each folder that has a tokenizer of the official kind: for promises about the rules."""
    folder: Path = request.getfixturevalue(f"{request.param}_tokenizer")
    return folder


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Any]:
    """Reads one of the reference's JSON files."""

    def read(name: str) -> Any:
        return json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))

    return read


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A private copy of the tiny checkpoint (no tokenizer) that a test may damage."""
    return Path(shutil.copytree(GOLDENS / "tiny-phi3v", tmp_path / "tiny"))


@pytest.fixture(scope="session")
def random_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete model folder in the official layout: tiny, random weights, byte tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "random"
    shutil.copytree(GOLDENS / "tiny-phi3v", folder)
    write_tokenizer(folder, size=32064)
    return folder


@pytest.fixture(scope="session")
def cli_server() -> Iterator[CliServer]:
    """Runs ``phichat`` processes that need not import the command line again."""
    server = CliServer()
    yield server
    server.close()


@pytest.fixture
def phichat(random_folder: Path, cli_server: CliServer) -> Phichat:
    """Runs ``phichat …``, on the tiny random model unless the arguments name another."""

    def run(*arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {
            "PHICHAT_MODEL": str(random_folder),
            "PHICHAT_NUM_CROPS": "1",
            "PHICHAT_MAX_NEW_TOKENS": "6",
            **os.environ,
        }
        return cli_server.run([str(one) for one in arguments], environment, stdin)

    return run


def expand(ids_rle: list[int | list[int]]) -> list[int]:
    """Undo the goldens' run-length encoding: [-1, 313] is 313 times -1."""
    ids: list[int] = []
    for item in ids_rle:
        ids.extend([item[0]] * item[1] if isinstance(item, list) else [item])
    return ids


@pytest.fixture(scope="session")
def tiny_model() -> Iterator[Any]:
    """The goldens' tiny model in float32, on one thread for repeatable sums."""
    import torch

    from assistant.phi3v.modeling import Phi3VForCausalLM

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Phi3VForCausalLM.from_pretrained(GOLDENS / "tiny-phi3v", dtype=torch.float32)
    torch.set_num_threads(threads)
