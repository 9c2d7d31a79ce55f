"""Phi-3-vision on transformers' own Phi-3 decoder layers.

Differences from transformers' ``Phi3ForCausalLM``: pictures stand in the prompt as runs of negative
ids, and the LongRoPE regime is explicit.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.phi3.modeling_phi3 import Phi3DecoderLayer, Phi3RMSNorm

from assistant.families.runtime import PastKeys
from assistant.phi3v.config import Phi3VConfig
from assistant.phi3v.interface import Phi3VInterface
from assistant.phi3v.pretrained import Phi3VPreTrainedModel
from assistant.phi3v.rope import LongRope, Regime, regime_of
from assistant.phi3v.vision import Phi3VImageEmbedding


class Phi3VModel(Phi3VPreTrainedModel):
    """Embeddings, vision tower and decoder, without the language head."""

    def __init__(self, config: Phi3VConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.vision_embed_tokens = Phi3VImageEmbedding(config)
        self.layers = nn.ModuleList(
            Phi3DecoderLayer(config, index) for index in range(config.num_hidden_layers)
        )
        self.norm = Phi3RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.rope = LongRope(config)
        self.post_init()

    def embed(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Embed ``input_ids`` [B, S] -> [B, S, hidden]; each run of ``-k`` becomes picture k.

        The caller's ids are not changed (the reference clamps them in place). ``-2`` is the second
        picture wherever it stands, and may stand twice. Raises ValueError when ids and pictures do
        not match, IndexError for an id outside the vocabulary.
        """
        slots = input_ids < 0
        if int(input_ids.max()) >= self.config.vocab_size:
            raise IndexError(
                f"token id {int(input_ids.max())} is outside the vocabulary of "
                f"{self.config.vocab_size}"
            )
        embeddings: torch.Tensor = self.embed_tokens(input_ids.clamp(min=0))
        if not slots.any():
            return embeddings
        if pixel_values is None or image_sizes is None:
            raise ValueError("the prompt has picture slots: pass pixel_values and image_sizes")
        pictures = self.vision_embed_tokens(pixel_values, image_sizes)
        for number in sorted(set((-input_ids[slots]).tolist())):
            if number > len(pictures):
                raise ValueError(
                    f"the prompt has a slot for picture {number}, but {len(pictures)} were passed"
                )
            features = pictures[number - 1]
            where = input_ids == -number
            count = int(where.sum())
            if count % features.shape[0]:
                raise ValueError(
                    f"picture {number} takes {features.shape[0]} positions, its slot has {count}"
                )
            repeated = features.repeat(count // features.shape[0], 1)
            embeddings = embeddings.masked_scatter(
                where[..., None], repeated.to(embeddings.device, embeddings.dtype)
            )
        return embeddings

    def forward(
        self,
        inputs_embeds: torch.Tensor,
        *,
        past_key_values: Cache | None = None,
        position_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        regime: Regime | None = None,
        hidden_states_out: list[torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Run ``inputs_embeds`` [B, S, hidden] -> the last hidden states [B, S, hidden], normed.

        ``regime`` defaults to the cache's own, or without one to that of the whole length.
        ``hidden_states_out`` collects the embedding and each layer's output, the last one normed.
        """
        # 1) positions, their rotation, and the mask
        S = inputs_embeds.shape[1]
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        if position_ids is None:
            position_ids = torch.arange(past, past + S, device=inputs_embeds.device)[None]
        if regime is None:
            regime = getattr(past_key_values, "regime", None)
        if regime is None:
            regime = regime_of(int(position_ids.max()) + 1, self.config)
        cos_sin = self.rope(position_ids, regime, inputs_embeds.dtype)
        mask = _causal_mask(
            self.config._attn_implementation, S, past + S, attention_mask, inputs_embeds
        )
        # 2) layers
        hidden = inputs_embeds
        if hidden_states_out is not None:
            hidden_states_out.append(hidden)
        for layer in self.layers:
            hidden = layer(
                hidden,
                attention_mask=mask,
                position_ids=position_ids,
                past_key_values=past_key_values,
                use_cache=past_key_values is not None,
                position_embeddings=cos_sin,
            )
            if hidden_states_out is not None:
                hidden_states_out.append(hidden)
        normed: torch.Tensor = self.norm(hidden)
        if hidden_states_out is not None:
            hidden_states_out[-1] = normed
        return normed


class Phi3VForCausalLM(Phi3VInterface, Phi3VPreTrainedModel):
    """The model of the Python API: official checkpoints in, logits out.

    It has no ``generate``, because transformers' loop drops pictures on cache rebuilds.
    :mod:`assistant.core` decodes.
    """

    def __init__(self, config: Phi3VConfig) -> None:
        super().__init__(config)
        self.model = Phi3VModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def hidden_states(self, embeddings: torch.Tensor, cache: PastKeys) -> torch.Tensor:
        """Run [S, hidden] -> [S, hidden] by transformers' layers, which support flash-attn."""
        hidden: torch.Tensor = self.model(embeddings[None], past_key_values=cache)
        return hidden[0]

    def get_image_features(
        self, pixel_values: torch.Tensor, image_sizes: torch.Tensor
    ) -> list[torch.Tensor]:
        """Encode each picture -> projected embeddings [tokens, hidden], in order."""
        features: list[torch.Tensor] = self.model.vision_embed_tokens(pixel_values, image_sizes)
        return features

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        image_sizes: torch.Tensor | None = None,
        logits_to_keep: int = 0,
        regime: Regime | None = None,
        output_hidden_states: bool = False,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Compute logits [B, S, vocab] in float32 (the last ``logits_to_keep`` positions if > 0).

        Takes ``input_ids`` [B, S] with pictures as negative ids, or ``inputs_embeds``
        [B, S, hidden]; ``attention_mask`` [B, S] as the tokenizer gives it; ``past_key_values`` any
        transformers cache. Raises ValueError unless exactly one of the first two is given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("pass exactly one of input_ids and inputs_embeds")
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds = self.model.embed(input_ids, pixel_values, image_sizes)
        collected: list[torch.Tensor] | None = [] if output_hidden_states else None
        hidden = self.model(
            inputs_embeds,
            past_key_values=past_key_values,
            position_ids=position_ids,
            attention_mask=attention_mask,
            regime=regime,
            hidden_states_out=collected,
        )
        logits = self.lm_head(hidden[:, -logits_to_keep:] if logits_to_keep else hidden)
        return CausalLMOutputWithPast(
            logits=logits.float(),
            past_key_values=past_key_values,
            hidden_states=tuple(collected) if collected is not None else None,
        )


def _causal_mask(
    attention: str,
    queries: int,
    keys: int,
    attention_mask: torch.Tensor | None,
    like: torch.Tensor,
) -> torch.Tensor | None:
    """Make the mask that an attention implementation needs beside its own causal rule.

    flash-attn is causal by itself, aligned to the lower right, and takes padding as [B, keys]. SDPA
    is causal for a whole sequence and needs no mask for one query. For a suffix it gets the
    lower-right causal bias: on CUDA as a rule of the flash kernel, elsewhere as one boolean
    [1, 1, queries, keys] for all layers. Padding makes it [B, 1, queries, keys]. Eager attention
    gets a mask to add.
    """
    padded = attention_mask is not None and not bool(attention_mask.all())
    if attention == "flash_attention_2":
        return attention_mask if padded else None
    if attention == "sdpa" and not padded:
        # on MPS SDPA's own causal rule lets 16-bit queries see the future (pytorch issue 195910)
        if queries == 1 or (queries == keys and like.device.type != "mps"):
            return None
        if like.device.type == "cuda":
            # imports torch's compiler
            from torch.nn.attention.bias import causal_lower_right

            bias: torch.Tensor = causal_lower_right(queries, keys)
            return bias
    device = like.device
    row = torch.arange(keys - queries, keys, device=device)[:, None]
    seen = (torch.arange(keys, device=device)[None] <= row)[None, None]
    if padded:
        assert attention_mask is not None
        # a query that is padding sees itself: its output is not read, but must not be NaN
        alone = torch.arange(keys, device=device)[None] == row
        seen = (seen & attention_mask.bool()[:, None, None, :]) | alone
    if attention == "sdpa":
        return seen
    return torch.zeros_like(seen, dtype=like.dtype).masked_fill(~seen, torch.finfo(like.dtype).min)
