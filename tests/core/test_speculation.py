"""Proposals: what is quoted comes in leaps, and what doesn't pay is left alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from assistant import demo_model as demo
from assistant.core import generate as generation
from assistant.core.cache.kv_cache import KVCache
from assistant.core.decode import Decoder
from assistant.core.generate import ResidentModel
from assistant.core.sequence import Unit
from assistant.core.speculation import NARROWEST, NGRAM, WIDEST, Speculation
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import Regime
from assistant.phi3v.vocabulary import Vocabulary
from assistant.values.generation import TokensGenerated
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
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


class Untimed(Speculation):
    """One that believes every forward pass to cost the same."""

    def took(self, proposed: int, chosen: int, seconds: float) -> None:
        super().took(proposed, chosen, 1.0)


def test_what_was_said_before_takes_fewer_passes_and_is_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The demo model is asked the same questions again and gives the same answers."""
    vocabulary = Vocabulary.from_folder(demo.folder())
    model = Phi3VForCausalLM.from_pretrained(demo.folder(), dtype=torch.float32)
    passes = 0
    decode = Decoder.__call__

    def counted(
        self: Decoder, embeddings: torch.Tensor, cache: KVCache, *more: Any
    ) -> torch.Tensor:
        nonlocal passes
        passes += 1
        return decode(self, embeddings, cache, *more)

    monkeypatch.setattr(Decoder, "__call__", counted)
    monkeypatch.setattr(generation, "Speculation", Untimed)

    def talk(speculate: bool) -> tuple[list[int], int]:
        nonlocal passes
        passes = 0
        resident = ResidentModel(model, vocabulary.stop_ids, 4096, speculate=speculate)
        said = [1]
        for question in ["Who are you?", "What can you do?"] * 3:
            said += [vocabulary.id("<|user|>"), *vocabulary.encode("\n" + question)]
            said += [vocabulary.id("<|end|>"), vocabulary.id("<|assistant|>")]
            sampling = Sampling(max_new_tokens=60)
            prompt = Prompt((tuple(said),))
            for event in resident.generate(prompt, sampling, crops_of, lambda: False):
                if isinstance(event, TokensGenerated):
                    said += event.ids
        return said, passes

    plain, plain_passes = talk(speculate=False)
    quick, quick_passes = talk(speculate=True)
    assert quick == plain
    assert quick_passes < 0.6 * plain_passes


class Clairvoyant(Speculation):
    """Proposes what greedy decoding will choose, with a mistake here and there."""

    reply: list[int]
    prompt: int
    mistakes: set[int]

    def propose(self, most: int) -> list[int]:
        at = len(self._units) - self.prompt
        right = self.reply[at : at + max(0, most)]
        return [0 if at + n in self.mistakes else token for n, token in enumerate(right)]


def foresee(
    monkeypatch: pytest.MonkeyPatch, reply: list[int], prompt: int, mistakes: set[int]
) -> None:
    """Have ``reply`` proposed, after a prompt of so many ids, with mistakes at these places."""
    monkeypatch.setattr(Clairvoyant, "reply", reply, raising=False)
    monkeypatch.setattr(Clairvoyant, "prompt", prompt, raising=False)
    monkeypatch.setattr(Clairvoyant, "mistakes", mistakes, raising=False)
    monkeypatch.setattr(generation, "Speculation", Clairvoyant)


@pytest.mark.parametrize("length", range(SWITCH - 13, SWITCH + 2, 2))
@pytest.mark.parametrize("mistakes", [set(), {5}, {2, 3, 7, 9}], ids=str)
def test_the_switch_is_never_crossed_by_a_proposal(
    length: int, mistakes: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = Prompt((tuple(6 + (n * n) % 31 for n in range(length)),))
    want = uncached(prompt, 12, frozenset())
    foresee(monkeypatch, want, length, mistakes)
    decode = Decoder.__call__

    def watched(
        self: Decoder, embeddings: torch.Tensor, cache: KVCache, *more: Any
    ) -> torch.Tensor:
        hidden = decode(self, embeddings, cache, *more)
        assert (cache.regime is Regime.SHORT) == (cache.length <= SWITCH)
        return hidden

    monkeypatch.setattr(Decoder, "__call__", watched)
    model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT)
    events = list(model.generate(prompt, Sampling(max_new_tokens=12), crops_of, lambda: False))
    assert [i for e in events if isinstance(e, TokensGenerated) for i in e.ids] == want


def test_a_stop_ends_what_a_proposal_brought_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that one pass gave come one by one, and none after the stop."""
    prompt = Prompt((tuple(6 + (n * n) % 31 for n in range(40)),))
    want = uncached(prompt, 12, frozenset())
    foresee(monkeypatch, want, 40, set())
    model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT)
    got: list[int] = []

    def enough() -> bool:
        return len(got) >= 3

    for event in model.generate(prompt, Sampling(max_new_tokens=12), crops_of, enough):
        if isinstance(event, TokensGenerated):
            got += event.ids
    assert got == want[:3]


def test_nothing_is_proposed_where_tokens_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = Prompt((tuple(6 + (n * n) % 31 for n in range(40)),))
    greedy = uncached(prompt, 12, frozenset())
    foresee(monkeypatch, greedy, 40, set())
    replies = []
    for speculate in (False, True):
        model = ResidentModel(tiny_phi3v(), frozenset(), CONTEXT, speculate=speculate)
        sampling = Sampling(max_new_tokens=12, temperature=1.5, seed=1)
        events = list(model.generate(prompt, sampling, crops_of, lambda: False))
        replies.append([i for e in events if isinstance(e, TokensGenerated) for i in e.ids])
    assert replies[0] == replies[1] != greedy
