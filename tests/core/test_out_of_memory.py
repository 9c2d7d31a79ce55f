"""Memory that really runs out, in a process whose address space is limited."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from assistant.core.out_of_memory import is_out_of_memory, with_room
from assistant.values.errors import ModelError
from tests.conftest import ROOT

CHILD = """
import resource
from copy import deepcopy
import torch
from assistant.values.generation import GenerationEnded
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.core.generate import ResidentModel
from assistant.values.errors import ModelError
from assistant.phi3v.modeling import Phi3VForCausalLM
from tests.core.tiny import HEAD_DIM, tiny_phi3v

torch.set_num_threads(1)
config, heads, layers = deepcopy(tiny_phi3v().config), 16, 8
config.update({
    "hidden_size": heads * HEAD_DIM, "num_hidden_layers": layers, "num_attention_heads": heads,
    "num_key_value_heads": heads, "original_max_position_embeddings": 16384,
    "max_position_embeddings": 16384,
})
tiny = Phi3VForCausalLM(config).eval().requires_grad_(False)
KV = 2 * layers * heads * HEAD_DIM * 4  # bytes of a position: 16 KiB
model = ResidentModel(tiny, frozenset(), 16384, kv_budget=2**40, prefill_chunk=512)


def ask(first, tokens):
    prompt = Prompt(((first, *(6 + n % 31 for n in range(tokens - 1))),))
    try:
        *_, last = model.generate(prompt, Sampling(max_new_tokens=4), None, lambda: False)
    except ModelError as error:
        print(f"{error.code}: {error}")
    else:
        assert isinstance(last, GenerationEnded)
        print(last.usage.completion_tokens, "tokens,", last.usage.cached_tokens, "cached")


ask(1, 600)
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = in_use + 2250 * KV  # one of 1500 positions and 12 MB more, 12 MB less than for two
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
ask(1, 601)  # grows
ask(2, 1500)
ask(3, 1500)  # room for one of the two: the other gives way
ask(3, 1500)
ask(2, 1500)
ask(4, 5000)  # room for none of that size
ask(5, 1000)
ask(5, 1000)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS holds on Linux only")
def test_others_give_way_then_the_turn_ends_and_the_next_one_works() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        capture_output=True,
        text=True,
        cwd=ROOT,
        # what is large is mapped and unmapped: no hole in the heap counts as memory in use
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**17), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    first, grown, second, third, again, gone, too_large, after, kept = done.stdout.splitlines()
    assert first == second == third == gone == after == "4 tokens, 0 cached"
    assert grown == "4 tokens, 600 cached"
    assert again == "4 tokens, 1499 cached"
    assert too_large.startswith("memory: The device ran out of memory: ")
    assert kept == "4 tokens, 999 cached"


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=str,
)
def test_it_is_tried_twice_and_not_more(error: Exception) -> None:
    tries: list[str] = []

    def compute() -> None:
        tries.append("computed")
        raise error

    with pytest.raises(ModelError) as caught:
        with_room(compute, lambda: tries.append("made room"))
    assert tries == ["computed", "made room", "computed"]
    assert caught.value.code == "memory"


def test_other_errors_are_not_mistaken_for_it() -> None:
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    with pytest.raises(ZeroDivisionError):
        with_room(lambda: 1 // 0, lambda: pytest.fail("there was memory enough"))
