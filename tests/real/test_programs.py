"""The programs that try real servers, without one: checkpoint, conversations, a failed start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.real import own_model
from tests.real.cases import CASES, IMAGE, LONG, TOKENS, Case, Ours, ids
from tests.real.checkpoint import make, text_model
from tests.real.process import NotStartedError, asked, free_port, running
from tests.real.servers import CASES as QUESTIONS
from tests.tiers import few_quick


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, trained_tokenizer: Path) -> Path:
    return make(tmp_path_factory.mktemp("real") / "model", trained_tokenizer, num_crops=4)


@pytest.mark.slow
def test_our_core_answers_the_conversations(folder: Path) -> None:
    ours = Ours(folder)
    text, _, _, picture, *_ = CASES
    reply = ours.reply(ours.prompt(text))
    assert len(reply) == TOKENS
    assert len(set(reply)) > TOKENS // 2, "weights of a size that makes every word another one"
    assert ids(ours.prompt(picture)).count(IMAGE) == 313
    filled = ours.filled(CASES[-1], LONG)
    assert LONG <= ours.prompt(filled).tokens < LONG + 8, "a word may be several tokens"


def test_the_text_model_is_the_decoder(folder: Path, tmp_path: Path) -> None:
    into = text_model(folder, tmp_path / "text", "{{ bos_token }}")
    config = json.loads((into / "config.json").read_text())
    assert (config["model_type"], config["rope_scaling"]["type"]) == ("phi3", "longrope")
    with safe_open(into / "model.safetensors", "pt") as opened:
        assert not [name for name in opened.keys() if "vision" in name]  # noqa: SIM118
    assert json.loads((into / "tokenizer_config.json").read_text())["chat_template"].startswith(
        "{{"
    )


def test_a_server_that_ends_is_an_error_with_its_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no such model'); raise SystemExit(1)"]
    with (
        pytest.raises(NotStartedError, match="no such model"),
        running(command, free_port(), tmp_path / "log"),
    ):
        pass


def test_a_server_is_asked_and_ended(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "page").write_text('{"data": [1]}')
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with running(command, port, tmp_path / "log", "/page") as address:
        assert asked(f"{address}/page") == {"data": [1]}
        with pytest.raises(RuntimeError, match="404"):
            asked(f"{address}/other")
    with pytest.raises(OSError, match="refused"):
        asked(f"{address}/page")


@pytest.mark.slow
@pytest.mark.parametrize("program", few_quick(["vllm_ids", "servers", "record"]))
def test_every_program_says_what_it_takes(program: str) -> None:
    command = [sys.executable, "-m", f"tests.real.{program}", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"python -m tests.real.{program}" in done.stdout


def test_the_model_of_their_own_is_answered_by_transformers(
    tmp_path: Path, trained_tokenizer: Path
) -> None:
    reference = own_model.Reference(own_model.make(tmp_path / "llava", trained_tokenizer))
    patches = (own_model.SIDE // own_model.PATCH) ** 2
    sizes, replies = [], []
    for said in (QUESTIONS["text"], QUESTIONS["a picture"], QUESTIONS["a second picture"]):
        prompt = reference.prompt(Case("", said))
        sizes.append(int((prompt.inputs["input_ids"] == reference.image).sum()))
        replies.append(reference.reply(prompt))
    assert sizes == [0, patches, 2 * patches]
    assert len({tuple(reply) for reply in replies}) == len(replies)
    assert all(len(set(reply)) > TOKENS // 4 for reply in replies), "not one word for ever"


def test_the_order_of_llama_cpp_is_of_pictures_alone(
    tmp_path: Path, trained_tokenizer: Path
) -> None:
    folder = own_model.make(tmp_path / "llava", trained_tokenizer)
    right, other = own_model.Reference(folder), own_model.Reference(folder, class_last=True)
    for name, is_same in (("text", True), ("a picture", False)):
        case = Case("", QUESTIONS[name])
        answers = [one.reply(one.prompt(case)) for one in (right, other)]
        assert (answers[0] == answers[1]) == is_same
