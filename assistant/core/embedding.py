"""Units of a prompt -> the embeddings that the decoder reads, in chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

import torch
from torch import nn

from assistant.core.features import PictureFeatures
from assistant.core.sequence import Unit
from assistant.values.prompt import Slot


def embedded_chunks(
    units: Iterable[Unit], embed: nn.Embedding, features: PictureFeatures, size: int, skip: int = 0
) -> Iterator[torch.Tensor]:
    """Embeddings [size, hidden] of ``units`` in order, the last chunk as long as what is left.

    The first ``skip`` positions are left out; they lie within the first unit.
    """
    pending: list[torch.Tensor] = []
    held = 0
    for piece in _pieces(units, embed, features, size):
        rest, skip = piece[skip:], 0
        while held + len(rest) >= size:
            yield torch.cat([*pending, rest[: size - held]])
            rest = rest[size - held :]
            pending, held = [], 0
        if len(rest):
            pending.append(rest)
            held += len(rest)
    if pending:
        yield torch.cat(pending)


def _pieces(
    units: Iterable[Unit], embed: nn.Embedding, features: PictureFeatures, size: int
) -> Iterator[torch.Tensor]:
    """Embeddings of each run of tokens, at most ``size`` of them, and of each picture."""
    for is_picture, run in groupby(units, lambda unit: isinstance(unit, Slot)):
        if is_picture:
            yield from (features[slot] for slot in run if isinstance(slot, Slot))
            continue
        tokens = torch.tensor(list(run), device=embed.weight.device)
        yield from map(embed, torch.split(tokens, size))
