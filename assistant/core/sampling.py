"""Choosing the next token from logits."""

from __future__ import annotations

import torch

from assistant.core import Sampling


class Sampler:
    """Greedy at temperature 0, otherwise top-k, then top-p (Holtzman et al. 2020), seeded."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._generator = torch.Generator(device="cpu")
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)

    def __call__(self, logits: torch.Tensor) -> int:
        """``logits`` [vocab], float32 -> a token id."""
        chosen = self._sampling
        if chosen.temperature <= 0:
            return int(logits.argmax())
        # on the CPU, so that one seed gives one reply on every device
        scaled = logits.cpu() / chosen.temperature
        values, ids = scaled.sort(descending=True)
        if chosen.top_k > 0:
            values, ids = values[: chosen.top_k], ids[: chosen.top_k]
        probabilities = values.softmax(-1)
        if chosen.top_p < 1:
            before = probabilities.cumsum(-1) - probabilities
            keep = before < chosen.top_p  # the first always stays
            keep[0] = True
            probabilities, ids = probabilities[keep], ids[keep]
        pick = torch.multinomial(probabilities, 1, generator=self._generator)
        return int(ids[pick])
