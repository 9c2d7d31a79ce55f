"""Log-probabilities of chosen tokens and of their runners-up."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from assistant.values.chances import OTHERS, Chance


def chances_of(logits: torch.Tensor, chosen: Sequence[int]) -> list[Chance]:
    """``logits`` [N, vocab] of N positions and the ids chosen there -> their chances."""
    rows = logits[: len(chosen)]
    totals = rows.logsumexp(-1, keepdim=True)
    values, ids = rows.topk(min(OTHERS + 1, rows.shape[-1]))
    own = rows.gather(-1, torch.tensor(chosen, device=rows.device).unsqueeze(-1))
    found = zip(
        chosen,
        (own - totals)[:, 0].tolist(),
        (values - totals).tolist(),
        ids.tolist(),
        strict=True,
    )
    return [
        Chance(
            logprob,
            tuple(pair for pair in zip(others, theirs, strict=True) if pair[0] != token)[:OTHERS],
        )
        for token, logprob, theirs, others in found
    ]
