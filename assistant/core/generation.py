"""The resident model: prefill with prefix reuse, then the decode loop. Ids only, no text."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator

import torch

from assistant.conversation import FinishReason, Usage
from assistant.core import (
    CoreEvent,
    CoreProgressed,
    GenerationEnded,
    Prompt,
    Sampling,
    Slot,
    TokensGenerated,
)
from assistant.core.cache import KVCache
from assistant.core.sampling import Sampler
from assistant.errors import ModelError
from assistant.events import Stage
from assistant.phi3v.modeling import Phi3VForCausalLM
from assistant.phi3v.rope import regime_of

PREFILL_CHUNK = 512
"""Positions per forward pass of a prefill: bounds activation memory and the wait for a stop."""

CROP_BATCH = 4
"""Crops per pass of the vision tower, for the same reason."""

FEATURE_BUDGET = 256 * 2**20
"""Bytes of picture features kept in memory; 17 crops of the real model take 15 MB in bf16."""

Unit = int | Slot
"""One token, or one whole picture: a cached prefix never ends inside a picture."""

CropsOf = Callable[[Slot], tuple[torch.Tensor, tuple[int, int]]]
"""Fetches a picture's crops [n, 3, 336, 336] and its (height, width) after the HD transform."""


class Stopped(Exception):  # noqa: N818 (not an error: the user asked for it)
    """The user stopped the generation."""


class Sequence:
    """Units and where each ends, in positions."""

    def __init__(self, prompt: Prompt) -> None:
        self.units: list[Unit] = []
        self._ends: list[int] = []
        self.length = 0
        for part in prompt.parts:
            for unit in (part,) if isinstance(part, Slot) else part:
                self.append(unit)

    def append(self, unit: Unit) -> None:
        """Add a token or a picture at the end."""
        self.length += unit.tokens if isinstance(unit, Slot) else 1
        self.units.append(unit)
        self._ends.append(self.length)

    def end_of(self, units: int) -> int:
        """Positions taken by the first ``units`` units."""
        return self._ends[units - 1] if units else 0

    def units_within(self, positions: int) -> int:
        """How many whole units the first ``positions`` positions hold."""
        return bisect_right(self._ends, positions)


class ResidentModel:
    """One resident model with the KV cache of the last sequence and the features it has seen."""

    def __init__(self, model: Phi3VForCausalLM, stop_ids: frozenset[int], context: int) -> None:
        self._model = model
        self._stop_ids = stop_ids
        self._context = context
        self._cache: KVCache | None = None
        self._cached = Sequence(Prompt(()))
        self._features: OrderedDict[tuple[str, int], torch.Tensor] = OrderedDict()

    @torch.inference_mode()
    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        crops_of: CropsOf,
        stop_requested: Callable[[], bool],
    ) -> Iterator[CoreEvent]:
        """Answer ``prompt``, reusing the longest prefix that is still cached.

        Yields progress, then ids as they are chosen (the stop id included),
        then :class:`GenerationEnded`. Raises ModelError when the prompt leaves
        no room in the context.
        """
        started = time.perf_counter()
        room = self._context - prompt.tokens
        if room < 1:
            raise ModelError(
                f"The conversation takes {prompt.tokens} tokens and the model holds "
                f"{self._context}: start a new session or attach fewer pictures."
            )
        budget = min(sampling.max_new_tokens, room)
        sequence = Sequence(prompt)
        sampler = Sampler(sampling)
        generated = reused = 0
        first_token_s = decode_started = 0.0

        def ended(reason: FinishReason) -> GenerationEnded:
            decode_s = time.perf_counter() - decode_started
            rate = (generated - 1) / decode_s if generated > 1 and decode_s > 0 else 0.0
            usage = Usage(prompt.tokens, prompt.picture_tokens, reused, generated)
            return GenerationEnded(reason, usage, first_token_s, rate)

        try:
            reused = self._reuse(sequence)
            yield from self._see(prompt.slots, crops_of, stop_requested)
            logits = yield from self._prefill(sequence, Stage.PREFILL, stop_requested)
            while True:
                token = sampler(logits)
                if not generated:
                    decode_started = time.perf_counter()
                    first_token_s = decode_started - started
                generated += 1
                yield TokensGenerated((token,))
                if token in self._stop_ids:
                    yield ended(FinishReason.STOP)
                    return
                if generated >= budget:
                    yield ended(FinishReason.LENGTH)
                    return
                if stop_requested():
                    raise Stopped
                sequence.append(token)
                logits = yield from self._next(sequence, stop_requested)
        except Stopped:
            yield ended(FinishReason.STOPPED)
        except BaseException:
            # the layers may disagree about how far they got: nothing of it can be trusted
            self._cache = None
            raise

    def _reuse(self, sequence: Sequence) -> int:
        """Crop the cache to what it shares with ``sequence``; returns the positions kept.

        The last unit is always computed again: its logits are what is wanted.
        """
        regime = regime_of(sequence.length, self._model.config)
        if self._cache is None or self._cache.regime is not regime:
            self._cache = KVCache(self._model.config.num_hidden_layers, regime)
            self._cached = sequence
            return 0
        # a prefill that was stopped half-way left fewer positions than its sequence has
        whole = self._cached.units_within(self._cache.length)
        shared = 0
        for held, wanted in zip(self._cached.units[:whole], sequence.units[:-1], strict=False):
            if held != wanted:
                break
            shared += 1
        kept = sequence.end_of(shared)
        self._cache.crop(kept)
        self._cached = sequence
        return kept

    def _next(
        self, sequence: Sequence, stop_requested: Callable[[], bool]
    ) -> Generator[CoreEvent, None, torch.Tensor]:
        """Feed the newest token, the last of ``sequence``; returns the next logits.

        At the LongRoPE switch every cached position was rotated with factors
        that no longer hold, in every layer: the cache is rebuilt from the ids
        and picture features, so that the next token is the one that an
        uncached run would give.
        """
        assert self._cache is not None
        if regime_of(sequence.length, self._model.config) is self._cache.regime:
            return (yield from self._prefill(sequence, None, stop_requested))
        self._reuse(sequence)
        return (yield from self._prefill(sequence, Stage.REGIME, stop_requested))

    def _prefill(
        self, sequence: Sequence, stage: Stage | None, stop_requested: Callable[[], bool]
    ) -> Generator[CoreEvent, None, torch.Tensor]:
        """Run what is not cached yet through the decoder, in chunks of one regime.

        Returns the logits [vocab] of the last position. A ``stage`` makes it
        report progress and obey a stop between chunks.
        """
        assert self._cache is not None
        start, total = self._cache.length, sequence.length - self._cache.length
        hidden: torch.Tensor | None = None
        for chunk in self._chunks(sequence):
            if stage is not None:
                if stop_requested():
                    raise Stopped
                yield CoreProgressed(stage, self._cache.length - start, total)
            hidden = self._model.model(chunk[None], past_key_values=self._cache)
        assert hidden is not None
        logits: torch.Tensor = self._model.lm_head(hidden[0, -1:]).float()[0]
        return logits

    def _chunks(self, sequence: Sequence) -> Iterator[torch.Tensor]:
        """Embeddings [<= PREFILL_CHUNK, hidden] of the units that are not cached, in order."""
        assert self._cache is not None
        embed = self._model.model.embed_tokens
        pending: list[torch.Tensor] = []
        tokens: list[int] = []
        size = 0

        def settle() -> None:
            if tokens:
                pending.append(embed(torch.tensor(tokens, device=embed.weight.device)))
                tokens.clear()

        for unit in sequence.units[sequence.units_within(self._cache.length) :]:
            if isinstance(unit, Slot):
                settle()
                features = self._features[_key(unit)]
                at = 0
                while at < unit.tokens:
                    piece = features[at : at + PREFILL_CHUNK - size]
                    pending.append(piece)
                    at += piece.shape[0]
                    size += piece.shape[0]
                    if size == PREFILL_CHUNK:
                        yield torch.cat(pending)
                        pending.clear()
                        size = 0
            else:
                tokens.append(unit)
                size += 1
                if size == PREFILL_CHUNK:
                    settle()
                    yield torch.cat(pending)
                    pending.clear()
                    size = 0
        settle()
        if pending:
            yield torch.cat(pending)

    def _see(
        self,
        slots: tuple[Slot, ...],
        crops_of: CropsOf,
        stop_requested: Callable[[], bool],
    ) -> Iterator[CoreEvent]:
        """Have the features of every picture of the prompt resident; each is encoded once."""
        wanted = {_key(slot): slot for slot in slots}
        missing = [slot for key, slot in wanted.items() if key not in self._features]
        for key in wanted:
            if key in self._features:
                self._features.move_to_end(key)
        vision = self._model.model.vision_embed_tokens
        for number, slot in enumerate(missing):
            yield CoreProgressed(Stage.PICTURES, number, len(missing))
            crops, (height, width) = crops_of(slot)
            merged = []
            for first in range(0, crops.shape[0], CROP_BATCH):
                if stop_requested():
                    raise Stopped
                merged.append(vision.encode_crops(crops[first : first + CROP_BATCH]))
            side = crops.shape[-1]
            features = vision.arrange(torch.cat(merged), height // side, width // side)
            if features.shape[0] != slot.tokens:
                raise ModelError(
                    f"A picture takes {features.shape[0]} positions where {slot.tokens} were "
                    "planned: the model folder's preprocessor_config.json and config.json disagree."
                )
            self._features[_key(slot)] = features
        self._trim_features(keep=set(wanted))

    def _trim_features(self, keep: set[tuple[str, int]]) -> None:
        """Forget the pictures that were used longest ago, never one of this prompt."""
        size = sum(f.numel() * f.element_size() for f in self._features.values())
        for key in [key for key in self._features if key not in keep]:
            if size <= FEATURE_BUDGET:
                break
            gone = self._features.pop(key)
            size -= gone.numel() * gone.element_size()


def _key(slot: Slot) -> tuple[str, int]:
    return slot.pixels_sha256, slot.num_crops
