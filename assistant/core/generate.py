"""The resident model: prefill with prefix reuse, then the decode loop. Ids only, no text."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial

import torch

from assistant.core.cache.kv_cache import KVCache
from assistant.core.chances import chances_of
from assistant.core.constraint import Constraint, MakeConstraint
from assistant.core.decode import logits_of
from assistant.core.feature_files import FeatureFiles
from assistant.core.features import PictureFeatures, ViewsOf
from assistant.core.memory.plan import FEATURE_BUDGET
from assistant.core.memory.sizes import PREFILL_CHUNK
from assistant.core.out_of_memory import SENTENCE, is_out_of_memory, release
from assistant.core.reader import Reader, Reading
from assistant.core.residency import Residency
from assistant.core.sampling import Sampler
from assistant.core.sequence import Sequence
from assistant.core.speculation import Speculation
from assistant.core.stop import Stopped
from assistant.families.runtime import Regime, VisionLanguageModel
from assistant.values.chances import Chance
from assistant.values.conversation import FinishReason, Usage
from assistant.values.errors import ModelError
from assistant.values.events import Stage
from assistant.values.generation import GenerationEnded, TokensGenerated
from assistant.values.model import CoreEvent
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.values.words import counted

KV_BUDGET = 2**30
"""Bytes of KV of all resident conversations together, where no plan says more."""

AHEAD_CHUNK = PREFILL_CHUNK // 4
"""Positions per forward pass when reading ahead: what a stop by another terminal's reply costs."""


@dataclass(slots=True, kw_only=True)
class _Turn(Reading):
    """One reply on its way."""

    sampler: Sampler
    speculation: Speculation | None
    constraint: Constraint | None
    chances: deque[Chance] = field(default_factory=deque)
    """Of the tokens that were chosen and not handed on yet."""

    def choose(self, logits: torch.Tensor) -> list[int]:
        """``logits`` [vocab] -> the next token."""
        token = self.sampler(logits)
        self.chances += chances_of(logits[None], [token])
        return [token]


class ResidentModel:
    """One loaded model, the conversations whose KV it holds and the pictures it has seen.

    The budgets are bytes and come from the memory plan, as does
    ``position_bytes``, the KV of one position. ``constrain`` makes the
    constraint of a reply that obeys a schema.
    """

    def __init__(
        self,
        model: VisionLanguageModel,
        stop_ids: frozenset[int],
        context: int,
        *,
        new_cache: Callable[[Regime], KVCache] | None = None,
        position_bytes: int | None = None,
        kv_budget: int = KV_BUDGET,
        host_budget: int = 0,
        feature_budget: int = FEATURE_BUDGET,
        feature_files: FeatureFiles | None = None,
        prefill_chunk: int = PREFILL_CHUNK,
        speculate: bool = True,
        constrain: MakeConstraint | None = None,
    ) -> None:
        shape = model.shape
        self._model = model
        self._stop_ids = stop_ids
        self._context = context
        self._chunk = prefill_chunk
        self._speculate = speculate
        self._constrain = constrain
        weight = model.embed_tokens.weight
        if position_bytes is None:
            numbers = 2 * shape.layers * shape.kv_heads * shape.head_dim
            position_bytes = numbers * weight.element_size()
        new_cache = new_cache or partial(KVCache, shape.layers)
        self._residency = Residency(
            new_cache, weight.device, position_bytes, kv_budget, host_budget
        )
        self._features = PictureFeatures(model, feature_budget, feature_files)
        self._reader = Reader(model, self._residency, self._features)
        if weight.is_cuda:
            self._reader.decoder.warm_up(new_cache(model.regime_of(1)))

    @property
    def vision_passes(self) -> int:
        """Passes of the vision tower so far."""
        return self._features.parts_computed

    def forget(self, chat: str) -> None:
        """Give back what is kept of a session; not while one of its prompts is answered."""
        self._features.forget(self._residency.forget_chat(chat))

    @torch.inference_mode()
    def generate(
        self,
        prompt: Prompt,
        sampling: Sampling,
        views_of: ViewsOf,
        stop_requested: Callable[[], bool],
    ) -> Iterator[CoreEvent]:
        """Answer ``prompt``, reusing the longest prefix that is still resident.

        Yields progress, then ids as they are chosen (the stop id included),
        then :class:`GenerationEnded`. Raises ModelError: "context" when the
        prompt leaves no room in the context, "memory" when memory ran out
        twice, "schema" when there is one that can't be obeyed.
        """
        started = time.perf_counter()
        room = self._context - prompt.tokens
        if room < 1:
            raise ModelError(
                f"The chat takes {counted(prompt.tokens, 'token')} and the model holds "
                f"{self._context}: start a new chat or attach fewer pictures.",
                code="context",
            )
        budget = min(sampling.max_new_tokens, room)
        sequence = Sequence(prompt)
        constraint = None
        if sampling.schema:
            assert self._constrain is not None, "this core was given no way to obey a schema"
            constraint = self._constrain(sampling.schema, prompt.begun_ids)
        seen = (unit for unit in sequence.units if isinstance(unit, int))
        sampler = Sampler(sampling, seen, constraint)
        speculation = None
        if self._speculate and sampler.is_plain_greedy:
            speculation = Speculation(sequence.units)
        turn = _Turn(
            sequence=sequence,
            views_of=views_of,
            stop_requested=stop_requested,
            sampler=sampler,
            speculation=speculation,
            constraint=constraint,
        )
        generated = reused = 0
        first_token_s = decode_started = 0.0

        def ended(reason: FinishReason) -> GenerationEnded:
            decode_s = time.perf_counter() - decode_started
            rate = (generated - 1) / decode_s if generated > 1 and decode_s > 0 else 0.0
            usage = Usage(prompt.tokens, prompt.picture_tokens, reused, generated)
            return GenerationEnded(reason, usage, first_token_s, rate)

        out_of_memory = False
        try:
            reused = self._reader.claim(turn)
            chosen = turn.choose((yield from self._read(turn, Stage.PREFILL)))
            decode_started = time.perf_counter()
            first_token_s = decode_started - started
            while True:
                for token in chosen:
                    generated += 1
                    yield TokensGenerated((token,), (turn.chances.popleft(),))
                    if token in self._stop_ids:
                        yield ended(FinishReason.STOP)
                        return
                    if generated >= budget:
                        yield ended(FinishReason.LENGTH)
                        return
                    if stop_requested():
                        raise Stopped
                sequence.append(chosen[-1])
                chosen = yield from self._next(turn, budget - generated)
        except Stopped:
            yield ended(FinishReason.STOPPED)
        except GeneratorExit:
            raise  # between two forward passes: what is resident is whole
        except BaseException as error:
            self._reader.give_up(turn)
            out_of_memory = is_out_of_memory(error)
            if not out_of_memory:
                raise
        if out_of_memory:
            release()
            raise ModelError(SENTENCE, code="memory")

    @torch.inference_mode()
    def read_ahead(
        self,
        prompt: Prompt,
        following: int,
        views_of: ViewsOf,
        stop_requested: Callable[[], bool],
        pause_requested: Callable[[], bool],
    ) -> bool:
        """Read the beginning of a prompt that will probably come; returns whether all was read.

        About ``following`` positions come after it. A stop is obeyed as in :meth:`generate`, a
        pause when a crop or a chunk is complete: the next call, or a reply, goes on from there.
        The pictures are encoded first; they alone where reading would cost another conversation's
        end. Nothing gives way to it when memory runs out.
        """
        if prompt.tokens + following >= self._context:
            return False
        sequence = Sequence(prompt)
        regime = self._model.regime_of(sequence.length + following)
        cached, is_free = self._residency.cached(sequence, regime)
        if cached >= sequence.length - 1:
            return True
        reading = Reading(
            sequence=sequence, views_of=views_of, stop_requested=stop_requested, is_ahead=True
        )
        try:
            unread = sequence.units[sequence.units_within(cached) :]
            for _ in self._reader.see(
                reading, unread, lambda: stop_requested() or pause_requested()
            ):
                pass
            if not is_free:
                return True
            reading.entry = self._residency.claim(sequence, regime)
            for _ in self._reader.prefill(reading, Stage.PREFILL, AHEAD_CHUNK):
                if pause_requested():
                    return False
        except Stopped:
            return False
        except BaseException as error:
            self._reader.give_up(reading)
            if not is_out_of_memory(error):
                raise
        else:
            return True
        release()
        return False

    def _read(self, turn: _Turn, stage: Stage) -> Generator[CoreEvent, None, torch.Tensor]:
        """Read the sequence of ``turn``; returns the logits [vocab] of its last position."""
        hidden = yield from self._reader.read(turn, stage, self._chunk)
        return logits_of(self._model, hidden[-1:])[0]

    def _next(self, turn: _Turn, room: int) -> Generator[CoreEvent, None, list[int]]:
        """Feed the newest token, the last of the sequence; returns the ids that follow it.

        More than one when a proposal was right, never more than ``room``. At
        the end of a regime every cached position was rotated with factors that
        no longer hold, in every layer: the sequence is read again in the other
        regime, from ids and picture features, so that the next token is the
        one that an uncached run would give.
        """
        entry, sequence = turn.entry, turn.sequence
        assert entry is not None
        regime = entry.cache.regime
        if self._model.regime_of(sequence.length) != regime:
            self._reader.claim(turn)
            return turn.choose((yield from self._read(turn, Stage.REGIME)))
        started = time.perf_counter()
        proposal: list[int] = []
        if turn.speculation is not None:
            if (longest := self._model.longest(regime)) is not None:
                room = min(room, longest - sequence.length + 1)
            proposal = self._proposal(turn, turn.speculation, room - 1)
        hidden = self._reader.forward_ids(turn, [sequence.units[-1], *proposal])
        if not proposal:
            chosen = turn.choose(logits_of(self._model, hidden)[0])
        else:
            logits = logits_of(self._model, hidden)
            chosen = _verified(logits, proposal, turn)
            turn.chances += chances_of(logits, chosen)
            entry.cache.crop(sequence.length + len(chosen) - 1)
            for token in chosen[:-1]:
                sequence.append(token)
        if turn.speculation is not None:
            turn.speculation.took(len(proposal), len(chosen), time.perf_counter() - started)
        return chosen

    def _proposal(self, turn: _Turn, speculation: Speculation, most: int) -> list[int]:
        """Propose at most so many ids, none that the constraint would not allow."""
        if (constraint := turn.constraint) is None:
            return speculation.propose(most)
        proposal = speculation.propose(most, constraint.forced)
        return proposal[: constraint.count_allowed(proposal)]


def _verified(logits: torch.Tensor, proposal: list[int], turn: _Turn) -> list[int]:
    """Return the choices for ``logits`` [S, vocab] as far as they are those proposed, and one more.

    Under a constraint each choice depends on those before it.
    """
    choices: Iterator[int] = map(turn.sampler, logits)
    if turn.constraint is None:
        choices = iter(logits.argmax(-1).tolist())
    chosen = [next(choices)]
    for proposed in proposal:
        if chosen[-1] != proposed:
            break
        chosen.append(next(choices))
    return chosen
