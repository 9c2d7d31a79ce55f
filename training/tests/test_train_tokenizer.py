"""The demo's tokenizer behaves as Phi-3's does."""

from __future__ import annotations

from itertools import islice

import pytest
from tokenizers import Tokenizer

from assistant.phi3v.vocabulary import Vocabulary
from training.demo_model.replies import Facts
from training.demo_model.train_tokenizer import CONTROLS, corpus, save, tokenizer_config, train

PICTURES: list[Facts] = [
    {"family": "shapes", "ground": "light", "shapes": [["red", "circle", 0.5, 0.5, 0.5]]},
    {"family": "print", "ground": "dark", "lines": ["open", "at 9"], "ink": ""},
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train(islice(corpus(PICTURES, dialogues=600), 3000), 700)


def test_ids_of_the_official_layout(tokenizer: Tokenizer) -> None:
    assert tokenizer.get_vocab_size() == 700
    assert [tokenizer.token_to_id(t) for t in ("<unk>", "<s>", "</s>", "<0x00>", "<0xFF>")] == [
        0,
        1,
        2,
        3,
        258,
    ]
    assert all(tokenizer.token_to_id(name) >= 259 for name, _ in CONTROLS)


@pytest.mark.parametrize(
    "text",
    ["What colour is it?", "zebra ünïcödé 漢字 😀\n4711\t", "  two  spaces ", "a\u0000b", ""],
)
def test_any_text_survives(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text).ids
    assert ids[0] == 1
    assert 0 not in ids
    assert tokenizer.decode(ids) == text


def test_a_prompt_is_cut_as_phi3_cuts_it(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode("<|user|>\nis<|end|>\n<|assistant|>\n red").tokens
    assert tokens[:4] == ["<s>", "<|user|>", "▁", "<0x0A>"]
    assert tokens[tokens.index("<|end|>") + 1 :][:2] == ["▁", "<0x0A>"]
    assert tokens[-2].startswith("<|assistant|>")
    assert tokens[-1] == "▁red"


def test_merges_do_not_cross_spaces(tokenizer: Tokenizer) -> None:
    assert not [t for t in tokenizer.get_vocab() if "▁" in t[1:] and not t.startswith("<")]


def test_flags_and_files(tokenizer: Tokenizer, tmp_path) -> None:  # type: ignore[no-untyped-def]
    added = {v["content"]: v for v in tokenizer_config(tokenizer)["added_tokens_decoder"].values()}
    assert added["</s>"]["rstrip"]
    assert not added["</s>"]["special"]
    assert added["<|assistant|>"]["rstrip"]
    assert not added["<|user|>"]["rstrip"]
    assert not added["<|end|>"]["rstrip"]
    save(tokenizer, tmp_path)
    vocabulary = Vocabulary.from_folder(tmp_path)
    assert len(vocabulary.stop_ids) == 3
    assert vocabulary.decode(vocabulary.encode("<|end|> is text")) == "<|end|> is text"
    assert not set(vocabulary.encode("<|end|></s><s>")) & set(vocabulary.stop_ids)
