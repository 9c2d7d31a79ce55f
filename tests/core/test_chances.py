"""Chances of tokens: the sum is the log-likelihood of an uncached run, whatever the way there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from assistant.core.chances import chances_of
from assistant.core.generate import ResidentModel
from assistant.values.chances import OTHERS, Chance
from assistant.values.generation import TokensGenerated
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from tests.core.tiny import CONTEXT, SWITCH, crops_of, tiny_phi3v

PROMPT = (1, 6, 7, 8, 9, 6, 7, 8, 9, 6, 7)


def never() -> bool:
    return False


def said(model: ResidentModel, prompt: Prompt, **sampling: Any) -> tuple[list[int], list[Chance]]:
    ids, chances = [], []
    for event in model.generate(prompt, Sampling(**sampling), crops_of, never):
        if isinstance(event, TokensGenerated):
            assert len(event.ids) == len(event.chances)
            ids += event.ids
            chances += event.chances
    return ids, chances


@torch.inference_mode()
def uncached(prompt: tuple[int, ...], ids: list[int]) -> list[torch.Tensor]:
    """Log-probabilities [vocab] before each id, each from a run of its own."""
    model = tiny_phi3v()
    return [
        model(torch.tensor([[*prompt, *ids[:place]]])).logits[0, -1].float().log_softmax(-1)
        for place in range(len(ids))
    ]


@pytest.mark.parametrize(
    "sampling",
    [
        {"max_new_tokens": 40},
        {"max_new_tokens": 40, "temperature": 1.3, "seed": 3, "top_k": 10},
        {"max_new_tokens": 40, "temperature": 0.0, "repetition_penalty": 1.4},
        {"max_new_tokens": SWITCH + 20, "temperature": 1.0, "seed": 4},
    ],
    ids=["greedy", "sampled", "penalized", "across-the-switch"],
)
def test_the_sum_is_the_log_likelihood_of_an_uncached_run(sampling: dict[str, Any]) -> None:
    model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT)
    first, _ = said(model, Prompt((PROMPT,)), **sampling)
    prompt = (*PROMPT, *first[:5], 9, 8)
    ids, chances = said(model, Prompt((prompt,)), **sampling)  # its beginning is resident
    cold = uncached(prompt, ids)
    likelihood = sum(float(row[token]) for row, token in zip(cold, ids, strict=True))
    assert sum(one.logprob for one in chances) == pytest.approx(likelihood, abs=1e-4)
    for row, token, chance in zip(cold, ids, chances, strict=True):
        likeliest = [one for one in row.topk(OTHERS + 1).indices.tolist() if one != token]
        assert len(chance.others) == OTHERS
        for other, logprob in chance.others:
            assert logprob == pytest.approx(float(row[other]), abs=1e-4)
        lowest = min(logprob for _, logprob in chance.others)
        assert all(float(row[one]) <= lowest + 1e-4 for one in likeliest[OTHERS:])


def test_runners_up_come_by_their_chance_without_the_chosen_one() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]]))
    one, other = chances_of(logits, [3, 2])
    assert [token for token, _ in one.others] == [2, 1, 0]
    assert [token for token, _ in other.others] == [0, 1, 3]
    assert other.logprob == pytest.approx(float(logits[1, 2]))
