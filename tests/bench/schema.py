"""Speed of decoding with a schema and without, in turn: python -m tests.bench.schema [FOLDER].

Replies of 100 tokens by the demo model and by a checkpoint of random weights with 32,064 logits
(FOLDER, "mid" in the user's cache folder by default). The schema is a list of texts that does not
end; without one the same model writes as many tokens of whatever it writes. Nothing is proposed, so
that every token is one step on both sides. Then the cost of the mask alone, with the demo's
tokenizer and the official one.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from platformdirs import user_cache_path

from assistant import demo_model as demo
from assistant.core.decode import is_compiled, prepare
from assistant.core.generate import ResidentModel
from assistant.core.weights import load_model
from assistant.families.grammar import Grammars
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from tests.bench.make_checkpoint import SIZES, make_checkpoint
from tests.bench.subjects import CPU
from tests.bench.timing import best, in_turn, machine, typical
from tests.conftest import HAS_OFFICIAL_TOKENIZER, OFFICIAL_TOKENIZER

TOKENS = 100
ROUNDS = 5
TEXTS = json.dumps({"type": "array", "items": {"type": "string"}, "minItems": 10_000})
BILL = json.dumps(
    {"type": "object", "properties": {"shop": {"type": "string"}, "total": {"type": "number"}},
     "required": ["shop", "total"], "additionalProperties": False}
)  # fmt: skip
SAID = '{"shop": "The corner shop at the end of the road", "total": 12.5}'


def measure(folder: Path, vocabulary: Vocabulary) -> dict[str, Any]:
    """Tokens per second of both sides, and the worse of the ratios of the best and the median."""
    model = load_model(folder, device=CPU, dtype=torch.float32, weights="float")
    if is_compiled(model):
        prepare(model, "float")
    grammars = Grammars(vocabulary.tokenizer_json, model.shape.vocab, vocabulary.stop_ids)
    resident = ResidentModel(
        model, frozenset(), 4096, speculate=False, constrain=grammars.constraint
    )
    prompt = Prompt((vocabulary.encode("List what you see."),))

    def run(schema: str) -> None:
        events = resident.generate(
            prompt, Sampling(max_new_tokens=TOKENS, schema=schema), _nothing, bool
        )
        assert sum(1 for _ in events) >= TOKENS

    seconds = in_turn(ROUNDS, free=lambda: run(""), schema=lambda: run(TEXTS))
    quick, usual = best(seconds), typical(seconds)
    return {
        "tokens_per_s": {name: round(TOKENS / took, 1) for name, took in quick.items()},
        "schema_vs_free": round(quick["free"] / quick["schema"], 3),
        "schema_vs_free_median": round(usual["free"] / usual["schema"], 3),
    }


def _nothing(slot: object) -> Any:
    raise KeyError(slot)


def mask_us(vocabulary: Vocabulary, size: int) -> dict[str, float]:
    """Microseconds of the first schema, of the next ones, of the mask and step of a token."""
    started = time.perf_counter()
    grammars = Grammars(vocabulary.tokenizer_json, size, vocabulary.stop_ids)
    grammars.constraint(BILL)
    first = time.perf_counter() - started
    ids = grammars._tokenizer.tokenize_str(SAID)
    made, masked = [], []
    for _ in range(50):
        started = time.perf_counter()
        constraint = grammars.constraint(BILL)
        made.append(time.perf_counter() - started)
        started = time.perf_counter()
        for token in ids:
            constraint.allowed()
            constraint.take(token)
        masked.append((time.perf_counter() - started) / len(ids))
    return {
        "first_us": round(first * 1e6),
        "schema_us": round(min(made) * 1e6),
        "token_us": round(min(masked) * 1e6, 1),
    }


def main() -> None:
    """Measure and print one JSON document."""
    torch.set_num_threads(2)
    mine = Vocabulary.from_folder(demo.folder())
    report: dict[str, Any] = {"machine": machine(), "demo": measure(demo.folder(), mine)}
    report["mask demo"] = mask_us(mine, 1024)
    if HAS_OFFICIAL_TOKENIZER:
        official = Vocabulary.from_folder(OFFICIAL_TOKENIZER)
        report["mask official"] = mask_us(official, 32_064)
        cached = user_cache_path("phichat-bench") / "mid"
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else cached
        if not (folder / "model.safetensors.index.json").exists():
            make_checkpoint(folder, *SIZES["mid"], tokenizer=OFFICIAL_TOKENIZER)
        report["mid"] = measure(folder, official)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
