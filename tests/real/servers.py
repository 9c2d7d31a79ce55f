"""Other servers on the same checkpoint as our core: a table of what each gets right.

    python -m tests.real.servers                    # all; installs each once
    python -m tests.real.servers vllm mlx-vlm

A cell says how many of the first 24 greedy tokens are ours, as text, and the length of the prompt
where it is another. What can't be started is a line with its own words.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import HAS_OFFICIAL_TOKENIZER, OFFICIAL_TOKENIZER, ROOT
from tests.real import own_model
from tests.real.cases import ASSISTANT, TOKENS, USER, Case, Ours, Said, messages
from tests.real.checkpoint import make, text_model
from tests.real.process import NotStartedError, asked, free_port, running
from tests.real.venvs import CACHE, python_of
from tests.real.vllm_ids import NAME, vllm

LAUNCH = Path(__file__).parent / "launch"
TEMPLATE = ROOT / "phichat-vllm" / "phichat_vllm" / "chat_template.jinja"
PICTURE = Said(USER, "What is in it?", ("sq336.png",))
FIRST = (PICTURE, Said(ASSISTANT, "A table with a lamp."))
CASES = {
    "text": (Said(USER, "What is the capital of France?"),),
    "a picture": (PICTURE,),
    "follow-up": (*FIRST, Said(USER, "What colour is it?")),
    "a second picture": (*FIRST, Said(USER, "And in this one?", ("vga_640x480.png",))),
}
"""In the order in which they are asked: a follow-up finds what its picture left in a cache."""


@dataclass(frozen=True)
class Peer:
    """A server to try. ``tower_layers`` of the checkpoint, 24 where it knows no other number."""

    title: str
    server: str
    run: Callable[[Path, Path, Path], Any]
    """Python, folder, log -> a context that yields the address."""
    tower_layers: int = 4
    num_crops: int = 4
    text_only: bool = False
    with_bos: bool = False
    """The chat template of phichat-vllm stands in tokenizer_config.json."""
    own_model: bool = False
    """A LLaVA that the server knows by itself, beside transformers."""
    class_last: bool = False
    """Beside transformers with one fault of llama.cpp."""


@contextmanager
def _vllm(python: Path, folder: Path, log: Path) -> Iterator[str]:
    with vllm(python, folder, 4096, log) as address:
        yield address


@contextmanager
def _plain_vllm(python: Path, folder: Path, log: Path) -> Iterator[str]:
    port = free_port()
    command = [
        python, "-m", "vllm.entrypoints.openai.api_server", f"--model={folder}",
        "--host=127.0.0.1", f"--port={port}", f"--served-model-name={NAME}", "--dtype=float32",
        "--enforce-eager", "--max-num-seqs=8", "--max-model-len=2048",
        '--limit-mm-per-prompt={"image": 4}',
    ]  # fmt: skip
    with running(
        command, port, log, VLLM_CPU_KVCACHE_SPACE="1", VLLM_NO_USAGE_STATS="1"
    ) as address:
        yield address


@contextmanager
def _transformers(python: Path, folder: Path, log: Path) -> Iterator[str]:
    port = free_port()
    command = [python.parent / "transformers", "serve", folder, "--port", str(port)]
    with running([*command, "--device", "cpu"], port, log, "/health") as address:
        yield address


@contextmanager
def _mlx(python: Path, folder: Path, log: Path) -> Iterator[str]:
    port = free_port()
    command = [python, LAUNCH / "mlx_server.py", "4", "--model", folder, "--host", "127.0.0.1"]
    with running([*command, "--port", str(port)], port, log) as address:
        yield address


@contextmanager
def _plain_mlx(python: Path, folder: Path, log: Path) -> Iterator[str]:
    port = free_port()
    command = [python, "-m", "mlx_vlm.server", "--model", folder, "--host", "127.0.0.1"]
    with running([*command, "--port", str(port)], port, log) as address:
        yield address


def _llama(name: str) -> Callable[[Path, Path, Path], Any]:
    @contextmanager
    def run(python: Path, folder: Path, log: Path) -> Iterator[str]:
        port, model = free_port(), folder / f"{name}.gguf"
        if not model.exists():
            subprocess.run([python, LAUNCH / "write_gguf.py", folder, model, name], check=True)
        command = [python, LAUNCH / "llama_server.py", model, str(port), "4096"]
        with running(command, port, log) as address:
            yield address

    return run


@contextmanager
def _plain_llama(python: Path, folder: Path, log: Path) -> Iterator[str]:
    port, model, mmproj = free_port(), folder / "llava.gguf", folder / "mmproj.gguf"
    if not mmproj.exists():
        command = [python, LAUNCH / "write_llava_gguf.py", folder, model, mmproj]
        subprocess.run(command, check=True)
    command = [python, LAUNCH / "llama_server.py", model, str(port), "2048", mmproj]
    with running(command, port, log) as address:
        yield address


def _mistralrs(*cache: str) -> Callable[[Path, Path, Path], Any]:
    @contextmanager
    def run(python: Path, folder: Path, log: Path) -> Iterator[str]:
        port = free_port()
        command = [python, LAUNCH / "mistralrs_server.py", folder, str(port), *cache]
        with running(command, port, log) as address:
            yield address

    return run


PEERS = (
    Peer("vLLM 0.32.0 with phichat-vllm", "vllm", _vllm),
    Peer("transformers 5.23.0 serve", "transformers", _transformers),
    Peer("the same, the decoder as Phi-3", "transformers", _transformers, text_only=True),
    Peer("the same, with phichat-vllm's chat template", "transformers", _transformers,
         text_only=True, with_bos=True),
    Peer("llama.cpp (xllamacpp 2026.10.11549), the decoder as Phi-3", "llama.cpp",
         _llama("Phi 3 Vision 128k Instruct"), text_only=True),
    Peer('the same, general.name "Phi-3-vision"', "llama.cpp", _llama("Phi-3-vision"),
         text_only=True),
    Peer("mistral.rs 0.9.5", "mistral.rs", _mistralrs(), 24, 1),
    Peer("mistral.rs 0.9.5, prefix_cache_n=0", "mistral.rs", _mistralrs("0"), 24, 1),
    Peer("mlx-vlm 0.7.10", "mlx-vlm", _mlx, num_crops=1),  # minutes a crop on a CPU
    Peer("vLLM 0.32.0, a LLaVA", "vllm", _plain_vllm, own_model=True),
    Peer("transformers 5.23.0 serve, a LLaVA", "transformers", _transformers, own_model=True),
    Peer("llama.cpp (xllamacpp 2026.10.11549), a LLaVA", "llama.cpp", _plain_llama,
         own_model=True),
    Peer("the same beside a tower with the class token last", "llama.cpp", _plain_llama,
         own_model=True, class_last=True),
    Peer("mistral.rs 0.9.5, a LLaVA", "mistral.rs", _mistralrs(), own_model=True),
    Peer("the same, prefix_cache_n=0", "mistral.rs", _mistralrs("0"), own_model=True),
    Peer("mlx-vlm 0.7.10, a LLaVA", "mlx-vlm", _plain_mlx, own_model=True),
)  # fmt: skip


class Trial:
    """One server that runs, asked question after question."""

    def __init__(
        self, address: str, model: str, ours: Ours | own_model.Reference, num_crops: int
    ) -> None:
        self._address, self._model, self._ours = address, model, ours
        self._num_crops = num_crops

    def ask(self, said: tuple[Said, ...], **more: Any) -> Any:
        body = {
            "model": self._model,
            "messages": messages(Case("", said)),
            "temperature": 0,
            "max_tokens": TOKENS,
        }
        return asked(f"{self._address}/v1/chat/completions", body | more)

    def compared(self, said: tuple[Said, ...]) -> str:
        """Fill a cell of the table with an answer beside ours."""
        prompt: Any = self._ours.prompt(Case("", said, self._num_crops))
        try:
            answer = self.ask(said)
        except (RuntimeError, OSError) as error:
            return _brief(str(error))
        text = (answer["choices"][0]["message"]["content"] or "").lstrip()
        reply = self._ours.reply(prompt)
        same = max(n for n in range(TOKENS + 1) if text.startswith(self._ours.text(reply[:n])))
        length = answer["usage"]["prompt_tokens"]
        other = "" if length == prompt.tokens else f"; {length} positions, ours {prompt.tokens}"
        return f"{same} of {TOKENS}{other}"

    def stops(self) -> str:
        """Say whether a stop text ends the reply before it."""
        question = CASES["text"]
        whole = self.ask(question)["choices"][0]["message"]["content"]
        stop = whole[len(whole) // 2 :][:4]
        choice = self.ask(question, stop=[stop])["choices"][0]
        said = choice["message"]["content"]
        if said == whole or not whole.startswith(said):
            return "not obeyed"
        return "stays in the answer" if stop in said else "right"

    def seeds(self) -> str:
        """Say whether one seed gives one answer, and another seed another."""
        one, again, other = (
            self.ask(CASES["text"], temperature=1.0, seed=seed)["choices"][0]["message"]["content"]
            for seed in (7, 7, 8)
        )
        if one == again == other:
            return "greedy, whatever is asked"
        return "right" if one == again != other else "not obeyed"


def _brief(words: str) -> str:
    return "**" + " ".join(words.replace("|", "/").split())[:160] + "**"


def tried(peer: Peer, tokenizer: Path) -> list[str]:
    """Return the cells of a server's line."""
    name = f"phi-3-vision-{peer.tower_layers}-{peer.num_crops}"
    ours: Ours | own_model.Reference
    if peer.own_model:
        folder = own_model.make(CACHE / "llava-image", tokenizer)
        ours = own_model.Reference(folder, class_last=peer.class_last)
    else:
        folder = make(CACHE / name, tokenizer, peer.tower_layers, peer.num_crops)
        ours = Ours(folder)
    served = folder
    if peer.text_only:
        served = CACHE / f"{name}-text{'-bos' if peer.with_bos else ''}"
        text_model(folder, served, TEMPLATE.read_text() if peer.with_bos else None)
    log = CACHE / f"{peer.title.replace(' ', '_')}.log"
    cells = []
    try:
        with peer.run(python_of(peer.server), served, log) as address:
            model = NAME if peer.server == "vllm" else str(served)
            trial = Trial(address, model, ours, peer.num_crops)
            for case, said in CASES.items():
                skipped = peer.text_only and case != "text"
                cells.append("" if skipped else trial.compared(said))
                print(f"{peer.title}: {case}: {cells[-1]}", file=sys.stderr, flush=True)
            for check in (trial.stops, trial.seeds):
                try:
                    cells.append(check())
                except (RuntimeError, OSError) as error:
                    cells.append(_brief(str(error)))
    except NotStartedError as error:
        cells.append("does not start: " + _brief(str(error).splitlines()[-1]))
    return cells


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.real.servers")
    parser.add_argument("server", nargs="*", help=", ".join(sorted({p.server for p in PEERS})))
    parser.add_argument("--own-model", action="store_true", help="a LLaVA alone")
    parser.add_argument("--tokenizer", type=Path, help="a folder with the official tokenizer.json",
                        default=OFFICIAL_TOKENIZER if HAS_OFFICIAL_TOKENIZER else None)  # fmt: skip
    chosen = parser.parse_args()
    if chosen.tokenizer is None:
        parser.error("name a folder with the official tokenizer.json: --tokenizer")
    heads = ["server", *CASES, "stop", "seed"]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads), flush=True)
    for peer in PEERS:
        is_other = chosen.own_model and not peer.own_model
        if (not chosen.server or peer.server in chosen.server) and not is_other:
            cells = tried(peer, chosen.tokenizer)
            cells += [""] * (len(heads) - 1 - len(cells))
            print(f"| {peer.title} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
