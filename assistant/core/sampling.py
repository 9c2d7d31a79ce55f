"""Sampling: the next token from logits.

The order of the filters is transformers': repetition penalty, temperature,
top-k, top-p, min-p, then the draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from assistant.core.constraint import Constraint
from assistant.values.sampling import Sampling

FIRST_LOOK = 1024
"""Candidates that top-p examines first. Sorting 32,064 logits takes 2.6 ms on a small CPU,
finding the 1,024 largest 0.2 ms; a distribution worth sampling from has its nucleus among them."""


class Sampler:
    """Greedy at temperature 0, otherwise drawn from what the filters leave; seeded.

    ``seen`` are the ids of the prompt, which the repetition penalty counts
    among those that were said; every id that is chosen joins them. What a
    ``constraint`` does not allow is left out before everything else.
    """

    def __init__(
        self, sampling: Sampling, seen: Iterable[int] = (), constraint: Constraint | None = None
    ) -> None:
        self._sampling = sampling
        self._constraint = constraint
        self._generator = torch.Generator(device="cpu")
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)
        self._penalized = sampling.repetition_penalty != 1
        self._said = set(seen) if self._penalized else set()
        self._said_mask: torch.Tensor | None = None

    @property
    def is_plain_greedy(self) -> bool:
        """Whether the choice is the argmax of the model's own logits, of those allowed."""
        return self._sampling.temperature <= 0 and not self._penalized

    def __call__(self, logits: torch.Tensor) -> int:
        """``logits`` [vocab], float32 -> a token id."""
        if (constraint := self._constraint) is None:
            return self._choose(logits)
        chosen = int(logits.argmax()) if self.is_plain_greedy else None
        # the likeliest of all is the likeliest of those allowed, if it is allowed
        if chosen is None or not constraint.allows(chosen):
            allowed = constraint.allowed().to(logits.device)
            chosen = self._choose(logits.masked_fill(~allowed, -math.inf))
        constraint.take(chosen)
        return chosen

    def _choose(self, logits: torch.Tensor) -> int:
        if self.is_plain_greedy:
            return int(logits.argmax())
        # on the CPU, so that one seed gives one reply on every device
        scores = logits.cpu()
        if self._penalized:
            scores = self._penalize(scores)
        if self._sampling.temperature <= 0:
            chosen = int(scores.argmax())
        else:
            chosen = self._draw(*self.candidates(scores / self._sampling.temperature))
        if self._said_mask is not None:
            self._said_mask[chosen] = True
        return chosen

    def candidates(self, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``scores`` [vocab] after the temperature -> (scores, ids) that the filters leave, [n].

        Exactly ``top_k`` stay where several share the last place, which is the
        one difference from transformers.
        """
        wanted = self._sampling
        ids = torch.arange(len(scores))
        if 0 < wanted.top_k < len(scores):
            scores, ids = scores.topk(wanted.top_k)
        if wanted.top_p < 1:
            scores, order = _nucleus(scores, wanted.top_p)
            ids = ids[order]
        if wanted.min_p > 0:
            # a ratio of probabilities is a difference of scores, whatever was left out before
            keep = scores >= scores.max() + math.log(wanted.min_p)
            scores, ids = scores[keep], ids[keep]
        return scores, ids

    def _penalize(self, scores: torch.Tensor) -> torch.Tensor:
        """Divide positive and multiply negative logits of ids that were said (Keskar et al. 2019).

        One penalty however often an id was said, as in transformers.
        """
        if self._said_mask is None:
            self._said_mask = torch.zeros(len(scores), dtype=torch.bool)
            self._said_mask[list(self._said)] = True
        penalty = self._sampling.repetition_penalty
        lowered = torch.where(scores < 0, scores * penalty, scores / penalty)
        return torch.where(self._said_mask, lowered, scores)

    def _draw(self, scores: torch.Tensor, ids: torch.Tensor) -> int:
        """One of ``ids``, by inverting the cumulative distribution: one random number a token."""
        cumulative = scores.double().softmax(-1).cumsum(-1)
        point = torch.rand(1, generator=self._generator, dtype=torch.float64) * cumulative[-1]
        index = torch.searchsorted(cumulative, point, right=True)
        return int(ids[index.clamp(max=len(ids) - 1)])


def _nucleus(scores: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the likeliest scores whose probabilities reach ``top_p``, and their indices, falling.

    Holtzman et al. 2020. The likeliest always stays.
    """
    total = scores.logsumexp(-1)
    values, places = scores.topk(min(FIRST_LOOK, len(scores)))
    if float((values - total).exp().sum()) < top_p:
        values, places = scores.sort(descending=True)
    probabilities = (values - total).exp()
    keep = probabilities.cumsum(-1) - probabilities < top_p
    keep[0] = True
    return values[keep], places[keep]
