"""Interfaces of a family's torch half: loading, picture features, the decoder. Worker only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from PIL import Image
from torch import nn
from transformers.cache_utils import Cache

from assistant.families.sizes import DecoderShape

Regime = str
"""Name of the rotary factors that turn every position of a sequence. A family that always uses the
same factors has one regime."""

Progress = Callable[[int, int], None]
"""Called with (bytes read, bytes in all)."""

MakeLinear = Callable[[torch.Tensor], nn.Module]
"""Makes the module that multiplies with a matrix [out, in], given as stored, on its device."""

Step = Callable[[Callable[[], torch.Tensor]], torch.Tensor]
"""Runs one part of an encoding: raises when the user stopped, retries where memory ran out."""


class VisionLanguageModel(Protocol):
    """A loaded model as :mod:`assistant.core` computes with it: an ``nn.Module`` with these."""

    @property
    def shape(self) -> DecoderShape:
        """Sizes of the decoder."""
        ...

    @property
    def embed_tokens(self) -> nn.Embedding:
        """Ids to the decoder's input; its device and dtype are those of the activations."""
        ...

    @property
    def lm_head(self) -> nn.Module:
        """Last hidden states [S, hidden] to logits [S, vocab]."""
        ...

    @property
    def vision(self) -> nn.Module:
        """All weights that picture features depend on."""
        ...

    @property
    def fused_layers(self) -> nn.ModuleList | None:
        """Decoder layers for the core's own pass, None where only :meth:`hidden_states` knows how.

        In the form of transformers' Phi3DecoderLayer: matrices ``self_attn.qkv_proj`` and
        ``o_proj``, ``mlp.gate_up_proj`` and ``down_proj`` without biases, two RMS norms, SiLU, and
        as many key heads as query heads.
        """
        ...

    @property
    def final_norm(self) -> nn.Module:
        """The RMS norm after the last of :attr:`fused_layers`."""
        ...

    def regime_of(self, length: int) -> Regime:
        """The regime of a sequence of ``length`` positions."""
        ...

    def longest(self, regime: Regime) -> int | None:
        """The longest sequence of a regime in positions; None where it never ends."""
        ...

    def rotation(
        self, positions: torch.Tensor, regime: Regime, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Cosines and sines [S, 1, head_dim] of ``positions`` [S], the sines' first half negated.

        For :attr:`fused_layers` only.
        """
        ...

    def hidden_states(self, embeddings: torch.Tensor, cache: Cache) -> torch.Tensor:
        """``embeddings`` [S, hidden] -> last hidden states [S, hidden], normed.

        Positions follow those in ``cache``, a KVCache, whose ``regime`` is the sequence's.
        """
        ...

    def encode(self, views: Any, step: Step) -> torch.Tensor:
        """``views`` of a picture -> features [tokens, hidden]; ``step`` runs every part."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """All weights but those that a :data:`MakeLinear` holds."""
        ...

    def buffers(self) -> Iterator[torch.Tensor]:
        """Weights that a :data:`MakeLinear` holds, among others."""
        ...

    def modules(self) -> Iterator[nn.Module]:
        """All modules, those of a :data:`MakeLinear` included."""
        ...


Views = Callable[[Image.Image, int], Any]
"""An RGB picture and its detail -> what :meth:`VisionLanguageModel.encode` takes."""


class FamilyRuntime(Protocol):
    """Loading of one family's checkpoints."""

    def load(
        self,
        folder: Path,
        *,
        device: torch.device,
        dtype: torch.dtype,
        attention: str = "sdpa",
        make_linear: MakeLinear | None = None,
        progress: Progress | None = None,
    ) -> VisionLanguageModel:
        """Read the weights into ``dtype``; ``make_linear`` holds the decoder's matrices.

        ``attention`` is transformers' name of an attention implementation. Raises ModelError.
        """
        ...

    def views(self, folder: Path) -> Views:
        """The image processor of a checkpoint. Raises ModelError."""
        ...
