"""Measures a model of Phi-3-vision's size on the card: seconds, tokens per second, bytes.

The weights are random, the shapes the real ones; our own loader, memory plan and resident model
are what is measured. The most valuable figure comes first.
"""

from __future__ import annotations

import gc
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from assistant.core.attention import attend
from assistant.core.cache.kv_cache import KVCache
from assistant.core.cuda import Record, Recorder
from assistant.core.decode import Decoder, logits_of
from assistant.core.generate import ResidentModel
from assistant.core.memory.devices import choose_attention, plan_memory
from assistant.core.memory.values import MemoryPlan, Wanted
from assistant.core.weights import load_model
from assistant.families.runtime import VisionLanguageModel
from assistant.phi3v.crops import CROP, crop_grid
from assistant.values.generation import GenerationEnded
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import Sampling
from tests.bench.make_checkpoint import SIZES, make_checkpoint
from tests.bench.subjects import transformers_own
from tests.bench.timing import best, in_turn, seconds
from tests.conftest import GOLDENS
from tests.gpu.checks import Given, arguments, run

ROUNDS = 5
SHARED_MEMORY = Path("/dev/shm")
NEEDED = 12 * 10**9
"""Bytes of a checkpoint of the full size, and some."""


def prompt_of(tokens: int, first: int) -> Prompt:
    """A prompt that shares no beginning with one of another ``first``."""
    return Prompt(((first, *(3 + (7 * i) % 31000 for i in range(1, tokens))),))


class FullSize:
    """One model of the full size, and everything that is measured of it."""

    model: VisionLanguageModel
    resident: ResidentModel
    plan: MemoryPlan

    def __init__(self, given: Given, folder: Path) -> None:
        self.device, self.folder, self._quick = given.device, folder, given.quick
        self._on_card = self.device.type == "cuda"
        self._first = 2

    def size(self, tokens: int) -> int:
        """So many tokens, few where it is only shown that everything runs."""
        return tokens // 64 if self._quick else tokens

    def synchronize(self) -> None:
        if self._on_card:
            torch.cuda.synchronize()

    def free(self) -> None:
        """Hand back what nothing holds, and begin a new peak."""
        gc.collect()
        if self._on_card:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def bytes_now(self) -> dict[str, int]:
        """Bytes of tensors now and at their peak, and what the allocator holds for them."""
        if not self._on_card:
            return {}
        return {
            "allocated": torch.cuda.memory_allocated(),
            "peak": torch.cuda.max_memory_allocated(),
            "peak_reserved": torch.cuda.max_memory_reserved(),
        }

    # Loading

    def checkpoint(self) -> dict[str, Any]:
        """Write the checkpoint, its numbers drawn on the card."""
        if self._quick:
            shutil.copytree(GOLDENS / "tiny-phi3v", self.folder, dirs_exist_ok=True)
            return {"folder": str(self.folder)}
        total = make_checkpoint(self.folder, *SIZES["full"], device=str(self.device))
        self.free()
        return {"folder": str(self.folder), "bytes": total}

    def load(self, weights: str = "float", kv: str = "float") -> dict[str, Any]:
        """Plan and load as the worker does."""
        self.free()
        planned = plan_memory(self.folder, self.device, Wanted(weights=weights, kv=kv))
        self.plan = plan = planned[0]
        dtype = getattr(torch, plan.dtype)
        attention = choose_attention(self.device, dtype)
        before = self.bytes_now().get("allocated", 0)

        def read() -> None:
            self.model = load_model(
                self.folder,
                device=self.device,
                dtype=dtype,
                weights=plan.weights,
                attention=attention,
            )
            self.synchronize()

        taken = seconds(read)
        now = self.bytes_now()
        self.resident = self.new_resident()
        return {
            "load_s": taken,
            "attention": attention,
            "weights_bytes": now.get("allocated", 0) - before,
            "peak_over_weights": now.get("peak", 0) - now.get("allocated", 0),
            "plan": {
                name: getattr(plan, name)
                for name in (
                    "available", "dtype", "weights", "weights_bytes", "kv", "kv_bytes_per_token",
                    "activation_bytes", "working_bytes_per_token", "libraries", "reserve",
                    "context_tokens", "kv_budget", "host_budget", "total_bytes",
                )
            },
            "sentences": plan.sentences,
            "beside_tensors": self._beside_tensors(),
        }  # fmt: skip

    def _beside_tensors(self) -> dict[str, Any]:
        """The part of the card that torch's tensors do not take: the plan's "libraries"."""
        if not self._on_card:
            return {}
        query = ["nvidia-smi", "--query-compute-apps=pid,used_memory", "--format=csv,noheader"]
        done = subprocess.run(query, capture_output=True, text=True, timeout=10)
        free, total = torch.cuda.mem_get_info()
        reserved = torch.cuda.memory_reserved()
        return {
            "processes": done.stdout.splitlines(),
            "used_of_card": total - free,
            "reserved": reserved,
        }

    def new_resident(self, kv: str = "float", record: Record | None = None) -> ResidentModel:
        """The model of the worker, with the plan's budgets, nothing cached."""
        plan = self.plan
        resident = ResidentModel(
            self.model,
            frozenset(),
            plan.context_tokens,
            new_cache=partial(KVCache, self.model.shape.layers, kind=kv),
            position_bytes=plan.kv_bytes_per_token,
            kv_budget=plan.kv_budget,
            host_budget=plan.host_budget,
            feature_budget=plan.feature_budget,
            speculate=False,
        )
        resident._reader.decoder = Decoder(self.model, record)
        return resident

    # Replies

    def reply(self, prompt: Prompt, new: int, slot_crops: int = 0) -> dict[str, Any]:
        """Answer with ``new`` tokens: seconds to the first one, and the rate of the others."""
        crops = torch.randn(max(slot_crops, 1), 3, CROP, CROP)
        side = round((slot_crops - 1) ** 0.5) if slot_crops else 0
        views = (crops, (side * CROP, side * CROP))
        self.free()
        events = self.resident.generate(
            prompt, Sampling(max_new_tokens=new), lambda _: views, lambda: False
        )
        *_, last = events
        assert isinstance(last, GenerationEnded)
        asked = last.usage.prompt_tokens - last.usage.cached_tokens
        return {
            "prompt_tokens": last.usage.prompt_tokens,
            "cached_tokens": last.usage.cached_tokens,
            "ttft_s": last.ttft_s,
            "prompt_tokens_per_s": asked / last.ttft_s,
            "tokens_per_s": last.decode_tokens_per_s,
            **self.bytes_now(),
        }

    def another(self, tokens: int) -> Prompt:
        """A prompt that nothing is cached of."""
        self._first += 1
        return prompt_of(self.size(tokens), self._first)

    def prompts(self, *lengths: int) -> dict[str, Any]:
        """Seconds to the first token, the best of three."""
        self.reply(self.another(512), 1)
        found = {}
        for length in lengths:
            times = [self.reply(self.another(length), 1) for _ in range(3)]
            found[str(length)] = min(times, key=lambda one: float(one["ttft_s"]))
        return found

    def picture(self) -> dict[str, Any]:
        """A picture of 17 crops and a short question, the second of two."""
        grid = crop_grid(1344, 1344, 16)
        tokens = grid.tokens()
        replies = [
            self.reply(Prompt(((1,), Slot(name, 16, tokens), (5, 6, 7, 8))), 1, grid.crops)
            for name in ("one", "two")
        ]
        return replies[1] | {"crops": grid.crops, "first_ttft_s": replies[0]["ttft_s"]}

    def long_prompt(self, tokens: int) -> dict[str, Any]:
        """One prompt in one go, in a cache of its own; what the plan says of its bytes."""
        self.resident = self.new_resident()
        found = self.reply(self.another(tokens), 1)
        plan, length = self.plan, found["prompt_tokens"]
        return found | {
            "planned": plan.weights_bytes + plan.activation_bytes + length * plan.bytes_per_token,
            "planned_kv": length * plan.kv_bytes_per_token,
        }

    def decode(self, record: Record | None, length: int = 1030, kv: str = "float") -> Any:
        """Tokens per second: the first time, in another chat, and in that chat again."""
        self.resident = self.new_resident(kv, record)
        new = 48 if record is None or self._quick else 128
        chats = [self.another(length), self.another(length)]
        found: dict[str, Any] = {}
        for name, chat in zip(("first", "other_chat", "again"), (*chats, chats[1]), strict=True):
            started = time.perf_counter()
            said = self.reply(chat, new)
            found[name] = {
                "tokens_per_s": said["tokens_per_s"],
                "whole_s": time.perf_counter() - started,
                **self.bytes_now(),
            }
        found["is_graph"] = self.resident._reader.decoder._step is not None
        return found

    def growth(self, record: Record | None) -> Any:
        """Tokens per second where the cache grows in the middle, in whatever is loaded last."""
        self.resident = self.new_resident(record=record)
        chat = self.another(1000)
        return [self.reply(chat, 100)["tokens_per_s"] for _ in range(2)]

    # Against transformers, and parts

    @torch.inference_mode()
    def ratios(self, tokens: int = 1024) -> dict[str, float]:
        """transformers' seconds over ours, of a prompt and of a token after it."""
        model, tokens = self.model, self.size(tokens)
        other: Any = transformers_own(model).to(self.device)  # type: ignore[arg-type]
        decoder, graphs = Decoder(model), Decoder(model, Recorder() if self._on_card else None)
        states = model.embed_tokens(torch.arange(5, 5 + tokens, device=self.device))
        regime = model.regime_of(tokens + 64)

        def finished(compute: Callable[[], object]) -> Callable[[], None]:
            def wait() -> None:
                compute()
                self.synchronize()

            return wait

        kept = [KVCache(model.shape.layers, regime) for _ in range(2)]
        for cache in kept:
            decoder(states, cache)
        theirs = other(inputs_embeds=states[None], use_cache=True).past_key_values

        def token(decoder: Decoder, cache: KVCache) -> None:
            logits_of(model, decoder(states[:1], cache))
            cache.crop(tokens)

        measured = best(
            in_turn(
                ROUNDS,
                prompt=finished(lambda: decoder(states, KVCache(model.shape.layers, regime))),
                their_prompt=finished(lambda: other(inputs_embeds=states[None], logits_to_keep=1)),
                token=finished(lambda: token(decoder, kept[0])),
                recorded_token=finished(lambda: token(graphs, kept[1])),
                their_token=finished(
                    lambda: other(inputs_embeds=states[None, :1], past_key_values=theirs)
                ),
            )
        )
        return {
            "prefill_vs_transformers": measured["their_prompt"] / measured["prompt"],
            "eager_decode_vs_transformers": measured["their_token"] / measured["token"],
            "recorded_decode_vs_transformers": (
                measured["their_token"] / measured["recorded_token"]
            ),
            **{f"{name}_s": taken for name, taken in measured.items()},
        }

    @torch.inference_mode()
    def attention(self) -> dict[str, float]:
        """Seconds of one layer's attention, of one query and of a chunk, by the ways there are."""
        found: dict[str, float] = {}
        sdpa = torch.nn.functional.scaled_dot_product_attention
        for keys in (self.size(4096), self.size(65536)):
            k, v = torch.randn(
                2, 1, 32, keys, 96, device=self.device, dtype=torch.bfloat16
            ).unbind()
            for queries in (1, self.size(1024)):
                q = torch.randn(1, 32, queries, 96, device=self.device, dtype=torch.bfloat16)
                seen = torch.ones(1, keys, dtype=torch.bool, device=self.device)
                ways = {
                    "sdpa": partial(sdpa, q, k, v),
                    "masked": partial(sdpa, q, k, v, attn_mask=seen),
                    "with_lse": partial(attend, q, k, v),
                }
                for name, way in ways.items():
                    found[f"{name}_{queries}_over_{keys}"] = self._seconds(way)
        return found

    def _seconds(self, compute: Callable[[], object]) -> float:
        """Seconds of one call among ten."""

        def ten() -> None:
            for _ in range(10):
                compute()
            self.synchronize()

        ten()
        return min(seconds(ten) for _ in range(3)) / 10


def checks(full: FullSize) -> dict[str, Any]:
    """Names, their seconds at most, and what they measure."""
    recorded = Recorder() if full.device.type == "cuda" else None
    return {
        "checkpoint": (60, full.checkpoint),
        "load": (60, full.load),
        "prompts": (30, lambda: full.prompts(1024, 8192)),
        "picture": (20, full.picture),
        "decode_eager": (30, lambda: full.decode(None)),
        "decode_recorded": (30, lambda: full.decode(recorded)),
        "growth_recorded": (15, lambda: full.growth(recorded)),
        "attention": (15, full.attention),
        "prompt_64k": (30, lambda: full.long_prompt(65_000)),
        "prompt_120k": (40, lambda: full.long_prompt(120_000)),
        "ratios": (30, full.ratios),
        "decode_64k_recorded": (20, lambda: full.decode(recorded, 64_000)),
        "decode_kv_int8": (20, lambda: full.decode(recorded, 8000, "int8")),
        "decode_kv_int4": (20, lambda: full.decode(recorded, 8000, "int4")),
        "load_int8": (25, lambda: full.load("int8")),
        "decode_int8": (15, lambda: full.decode(recorded)),
        "prompts_int8": (10, lambda: full.prompts(1024)),
        "load_int4": (25, lambda: full.load("int4")),
        "decode_int4": (15, lambda: full.decode(recorded)),
        "prompts_int4": (10, lambda: full.prompts(1024)),
        "decode_64k_eager": (30, lambda: full.decode(None, 64_000)),
    }


def main(given: Given) -> None:
    """Make the checkpoint in main memory where it has room, and run every check."""
    gc.freeze()  # what the libraries hold is not gone over each time
    roomy = SHARED_MEMORY.is_dir() and shutil.disk_usage(SHARED_MEMORY).free > NEEDED
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if roomy else None) as folder:
        full = FullSize(given, Path(folder) / "full")
        run(checks(full), given.seconds)


if __name__ == "__main__":
    main(arguments())
