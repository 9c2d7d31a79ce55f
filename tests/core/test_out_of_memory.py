"""Memory that really runs out, in a process whose address space is limited."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from assistant.core.out_of_memory import is_out_of_memory, with_room
from assistant.errors import ModelError
from tests.conftest import ROOT

CHILD = """
import resource
import torch
from assistant.core import GenerationEnded, Prompt, Sampling
from assistant.core.generation import ResidentModel
from assistant.errors import ModelError
from assistant.phi3v import Phi3VForCausalLM
from tests.conftest import GOLDENS

torch.set_num_threads(1)
tiny = Phi3VForCausalLM.from_pretrained(GOLDENS / "tiny-phi3v", dtype=torch.float32)
KV = 2 * 3 * 4 * 16 * 4  # bytes of a position
model = ResidentModel(tiny, frozenset(), 16384, kv_budget=2**40, prefill_chunk=512)


def ask(first, tokens):
    prompt = Prompt(((first, *range(10, 9 + tokens)),))
    try:
        *_, last = model.generate(prompt, Sampling(max_new_tokens=4), None, lambda: False)
    except ModelError as error:
        print(f"{error.code}: {error}")
    else:
        assert isinstance(last, GenerationEnded)
        print(last.usage.completion_tokens, "tokens,", last.usage.cached_tokens, "cached")


ask(1, 600)
in_use = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
limit = in_use + 4500 * KV
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
ask(1, 601)  # grows
ask(2, 2500)
ask(3, 2500)  # room for one of the two: the other gives way
ask(3, 2500)
ask(2, 2500)
ask(4, 8000)  # room for none of that size
ask(5, 1000)
ask(5, 1000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS holds on Linux only")
def test_others_give_way_then_the_turn_ends_and_the_next_one_works() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, cwd=ROOT, timeout=200
    )
    assert done.returncode == 0, done.stderr
    first, grown, second, third, again, gone, too_large, after, kept = done.stdout.splitlines()
    assert first == second == third == gone == after == "4 tokens, 0 cached"
    assert grown == "4 tokens, 600 cached"
    assert again == "4 tokens, 2499 cached"
    assert too_large.startswith("memory: The device ran out of memory: ")
    assert kept == "4 tokens, 999 cached"


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
