"""Proposals: what is quoted comes in leaps, and what doesn't pay is left alone."""

from __future__ import annotations

import pytest
import torch

from assistant.core import Prompt, Sampling, Slot, TokensGenerated, generation, speculation
from assistant.core.cache import KVCache
from assistant.core.generation import ResidentModel
from assistant.core.sequence import Unit
from assistant.core.speculation import NARROWEST, NGRAM, WIDEST, Speculation
from assistant.phi3v import Regime
from tests.core.tiny import CONTEXT, SWITCH, crops_of, tiny_phi3v, uncached


def warmed_up(units: list[Unit], step_s: float = 1.0) -> Speculation:
    proposer = Speculation(units)
    for _ in range(2):
        assert proposer.propose(WIDEST) == []
        proposer.took(0, 1, step_s)
    return proposer


def passes(said: list[int], prompt: list[int], pass_s: float) -> int:
    """Forward passes for a reply that is known, one of several tokens taking ``pass_s``."""
    units: list[Unit] = [*prompt]
    proposer = Speculation(units)
    at = count = 0
    units.append(said[0])
    while at < len(said) - 1:
        proposal = proposer.propose(len(said) - at - 2)
        right = 0
        while right < len(proposal) and proposal[right] == said[at + 1 + right]:
            right += 1
        units += said[at + 1 : at + 2 + right]
        at += 1 + right
        count += 1
        proposer.took(len(proposal), right + 1, pass_s if proposal else 1.0)
    return count


QUOTED = list(range(1000, 1200))


def test_a_quotation_takes_a_fraction_of_the_passes() -> None:
    reply = [1, 2, 3, *QUOTED[40:140], 4, 5]
    assert passes(reply, QUOTED, pass_s=1.2) < 25


def test_proposals_that_cost_more_than_they_bring_stop() -> None:
    # every second 3-gram is known and what followed it is wrong
    prompt = [token for n in range(300) for token in (7, 8, 9, 5000 + n)]
    reply = [token for n in range(100) for token in (7, 8, 9, 9000 + n)]
    units: list[Unit] = [*prompt]
    proposer = Speculation(units)
    tried = 0
    for token in reply:
        proposal = proposer.propose(WIDEST)
        tried += bool(proposal)
        units.append(token)
        proposer.took(len(proposal), 1, 3.0 if proposal else 1.0)
    assert 1 <= tried <= 15, "of a hundred chances"


def test_the_newest_place_is_quoted_and_pictures_are_not() -> None:
    picture = Slot("a", 1, 13)
    units: list[Unit] = [1, 2, 3, 40, 41, 1, 2, 3, 50, picture, 60, 1, 2, 3]
    assert warmed_up(units).propose(WIDEST) == [50]
    assert NGRAM == 3


def test_no_more_is_proposed_than_there_is_room_for() -> None:
    units: list[Unit] = [*range(20), 0, 1, 2]
    assert warmed_up(units).propose(2) == [3, 4]
    assert warmed_up(units).propose(0) == []
    assert warmed_up(units).propose(WIDEST) == [3, 4, 5, 6][:NARROWEST]


def test_a_reply_that_repeats_itself_takes_fewer_passes_and_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(speculate: bool) -> tuple[list[int], int]:
        count = 0
        prefill = generation.prefill

        def counted(*arguments: object) -> torch.Tensor:
            nonlocal count
            count += 1
            return prefill(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(generation, "prefill", counted)
            model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT, speculate=speculate)
            events = list(
                model.generate(prompt, Sampling(max_new_tokens=60), crops_of, lambda: False)
            )
        return [i for e in events if isinstance(e, TokensGenerated) for i in e.ids], count

    monkeypatch.setattr(speculation, "NGRAM", 1)  # random weights repeat single ids only
    prompt = Prompt(((1, 9),))
    plain, plain_passes = run(speculate=False)
    quick, quick_passes = run(speculate=True)
    assert quick == plain
    assert plain_passes == 60
    assert quick_passes < 60


class Clairvoyant(Speculation):
    """Proposes what greedy decoding will choose, with a mistake here and there."""

    reply: list[int]
    prompt: int
    mistakes: set[int]

    def propose(self, most: int) -> list[int]:
        at = len(self._units) - self.prompt
        right = self.reply[at : at + max(0, most)]
        return [0 if at + n in self.mistakes else token for n, token in enumerate(right)]


@pytest.mark.parametrize("length", range(SWITCH - 13, SWITCH + 2))
@pytest.mark.parametrize("mistakes", [set(), {5}, {2, 3, 7, 9}], ids=str)
def test_the_switch_is_never_crossed_by_a_proposal(
    length: int, mistakes: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = Prompt((tuple(6 + (n * n) % 31 for n in range(length)),))
    want = uncached(prompt, 12, frozenset())
    monkeypatch.setattr(Clairvoyant, "reply", want, raising=False)
    monkeypatch.setattr(Clairvoyant, "prompt", length, raising=False)
    monkeypatch.setattr(Clairvoyant, "mistakes", mistakes, raising=False)
    monkeypatch.setattr(generation, "Speculation", Clairvoyant)
    prefill = generation.prefill

    def watched(model: object, embeddings: torch.Tensor, cache: KVCache) -> torch.Tensor:
        hidden = prefill(model, embeddings, cache)
        assert (cache.regime is Regime.SHORT) == (cache.length <= SWITCH)
        return hidden

    monkeypatch.setattr(generation, "prefill", watched)
    model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT)
    events = list(model.generate(prompt, Sampling(max_new_tokens=12), crops_of, lambda: False))
    assert [i for e in events if isinstance(e, TokensGenerated) for i in e.ids] == want
