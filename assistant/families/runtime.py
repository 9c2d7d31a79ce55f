"""Interfaces of a family's torch half: weights, picture features, decoder. Worker only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch
from PIL import Image
from torch import nn

from assistant.families.sizes import DecoderShape

Regime = str
"""Name of the rotary factors of a whole sequence. A family with constant factors has one regime."""

Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in all)."""

MakeLinear = Callable[[torch.Tensor], nn.Module | None]
"""Maker of the module that multiplies with a matrix [out, in], given as stored, on its device.

None leaves the ``nn.Linear``. A module may keep the matrix as its ``weight``; a bias is set later.
"""


class Linears(NamedTuple):
    """Makers of what stands in the place of each ``nn.Linear``; None leaves them all.

    ``tower`` is asked for those of modules with ``takes_narrow = True``.
    """

    decoder: MakeLinear | None = None
    tower: MakeLinear | None = None


Step = Callable[[Callable[[], torch.Tensor]], torch.Tensor]
"""Runner of one part of an encoding: raises when the user stopped, retries if memory ran out."""


class PastKeys(Protocol):
    """Keys and values of a sequence, as transformers' models fill and read them."""

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the positions held."""

    def get_query_offset(self, layer_idx: int = 0) -> int:
        """Return the position of the next query."""

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Return (keys that the last query sees, offset of the first)."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append to a layer; returns all its keys and values."""


class VisionLanguageModel(Protocol):
    """A loaded model, for :mod:`assistant.core`: an ``nn.Module`` with these members."""

    @property
    def shape(self) -> DecoderShape:
        """Sizes of the decoder."""

    @property
    def embed_tokens(self) -> nn.Embedding:
        """Ids to the decoder's input; its device and dtype are those of the activations."""

    @property
    def lm_head(self) -> nn.Module:
        """Last hidden states [S, hidden] to logits [S, vocab]."""

    @property
    def vision(self) -> nn.Module:
        """All weights that picture features depend on."""

    @property
    def fused_layers(self) -> nn.ModuleList | None:
        """Decoder layers for the core's own pass; None if only :meth:`hidden_states` can run them.

        They have the form of transformers' Phi3DecoderLayer: matrices ``self_attn.qkv_proj`` and
        ``o_proj``, ``mlp.gate_up_proj`` and ``down_proj`` without biases, two RMS norms, SiLU, and
        as many key heads as query heads.
        """

    @property
    def final_norm(self) -> nn.Module:
        """The RMS norm after the last of :attr:`fused_layers`."""

    def regime_of(self, length: int) -> Regime:
        """Return the regime of a sequence of ``length`` positions."""

    def longest(self, regime: Regime) -> int | None:
        """Return the longest sequence of a regime in positions; None without a limit."""

    def rotation(
        self, positions: torch.Tensor, regime: Regime, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute cosines and sines [S, 1, head_dim] of ``positions`` [S], sines half negated.

        The first half of the sines is negated. For :attr:`fused_layers` only.
        """

    def hidden_states(self, embeddings: torch.Tensor, cache: PastKeys) -> torch.Tensor:
        """Run ``embeddings`` [S, hidden] -> last hidden states [S, hidden], normed.

        Positions follow those in ``cache``, a KVCache, whose ``regime`` is the sequence's.
        """

    def encode(self, views: Any, step: Step) -> torch.Tensor:
        """Encode ``views`` of a picture -> features [tokens, hidden]; ``step`` runs every part."""

    def parameters(self) -> Iterator[nn.Parameter]:
        """Iterate over all weights but those in modules of a :data:`MakeLinear`."""

    def buffers(self) -> Iterator[torch.Tensor]:
        """Iterate over the weights in modules of a :data:`MakeLinear`, among others."""

    def modules(self) -> Iterator[nn.Module]:
        """Iterate over all modules, those of a :data:`MakeLinear` included."""


Views = Callable[[Image.Image, int], Any]
"""An RGB picture and its detail -> the argument of :meth:`VisionLanguageModel.encode`."""


class FamilyRuntime(Protocol):
    """Loader of one family's checkpoints."""

    def load(
        self,
        folder: Path,
        *,
        device: torch.device,
        dtype: torch.dtype,
        attention: str = "sdpa",
        linears: Linears | None = None,
        progress: Progress | None = None,
    ) -> VisionLanguageModel:
        """Read the weights into ``dtype``, matrices into what ``linears`` make of them.

        ``attention`` is transformers' name of an attention implementation. Raises ModelError.
        """

    def views(self, folder: Path) -> Views:
        """Return the image processor of a checkpoint. Raises ModelError."""
