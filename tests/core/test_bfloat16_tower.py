"""A tower's products in bfloat16: close to float32, taken where measured to be quicker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from assistant.core.cpu import bfloat16
from assistant.core.cpu.bfloat16 import BFloat16Linear
from assistant.core.feature_files import fingerprint
from assistant.core.weights import load_model
from tests.conftest import ROOT
from tests.tiers import few_quick

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="oneDNN has no bfloat16 here"
)


@pytest.fixture
def pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take bfloat16 for a tower of any size."""
    monkeypatch.setattr(bfloat16, "pays", lambda: True)
    monkeypatch.setattr(bfloat16, "LEAST_NUMBERS", 1)


def features(model: Any) -> torch.Tensor:
    crops = torch.randn(2, 3, 336, 336, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found: torch.Tensor = model.encode((crops, (336, 336)), lambda step: step())
    return found


@pytest.mark.usefixtures("pays")
def test_features_are_close_and_float32(tiny_folder: Path) -> None:
    whole = load_model(tiny_folder, device=CPU, dtype=torch.float32)
    narrow = load_model(tiny_folder, device=CPU, dtype=torch.bfloat16)
    assert not any(isinstance(one, BFloat16Linear) for one in whole.modules())
    packed = [one for one in narrow.modules() if isinstance(one, BFloat16Linear)]
    assert packed
    assert not any(
        type(child) is nn.Linear
        for module in narrow.vision.modules()
        if getattr(module, "takes_bfloat16", False)
        for child in module.children()
    )
    found, wanted = features(narrow), features(whole)
    assert found.dtype == torch.float32
    assert not torch.equal(found, wanted)
    assert float(torch.cosine_similarity(found, wanted, dim=-1).min()) > 0.999


@pytest.mark.usefixtures("pays")
def test_kept_features_of_other_weights_are_not_taken(tiny_folder: Path) -> None:
    narrow = load_model(tiny_folder, device=CPU, dtype=torch.bfloat16)
    other = load_model(tiny_folder, device=CPU, dtype=torch.bfloat16)
    whole = load_model(tiny_folder, device=CPU, dtype=torch.float32)
    assert fingerprint(narrow.vision) == fingerprint(other.vision) != fingerprint(whole.vision)
    packed = next(one for one in other.modules() if isinstance(one, BFloat16Linear))
    packed.start[0] += 1
    assert fingerprint(narrow.vision) != fingerprint(other.vision)


def test_a_small_tower_and_a_processor_that_gains_nothing_stay_float32(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bfloat16, "pays", lambda: True)
    model = load_model(tiny_folder, device=CPU, dtype=torch.bfloat16)
    assert not any(isinstance(one, BFloat16Linear) for one in model.modules())
    monkeypatch.setattr(bfloat16, "LEAST_NUMBERS", 1)
    monkeypatch.setattr(bfloat16, "pays", lambda: False)
    model = load_model(tiny_folder, device=CPU, dtype=torch.bfloat16)
    assert not any(isinstance(one, BFloat16Linear) for one in model.modules())


@pytest.mark.parametrize("isa", few_quick(["AVX2", "AVX512_CORE_VNNI"]))
def test_without_the_instructions_it_is_not_taken(isa: str) -> None:
    """oneDNN then multiplies by a plain loop, or widens."""
    code = "from assistant.core.cpu.bfloat16 import pays; print(pays())"
    environment = {"ONEDNN_MAX_CPU_ISA": isa, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout == "False\n", done.stderr
