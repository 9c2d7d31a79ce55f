"""cuDNN's attention, which plans every new length: off on a card, but within a recording."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from assistant.core import cuda, weights
from assistant.core.attention import leave_out_cudnn

is_allowed = torch.backends.cuda.cudnn_sdp_enabled


@pytest.fixture(autouse=True)
def pytorchs_default() -> Iterator[None]:
    before = is_allowed()
    torch.backends.cuda.enable_cudnn_sdp(True)
    yield
    torch.backends.cuda.enable_cudnn_sdp(before)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_model_on_a_card_is_loaded_without_cudnns_attention(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = SimpleNamespace(vision=torch.nn.Module())
    runtime = SimpleNamespace(load=lambda folder, **given: loaded)
    family = SimpleNamespace(runtime=lambda: runtime)
    monkeypatch.setattr(weights, "family_of", lambda folder: family)
    found = weights.load_model(Path(), device=torch.device(device), dtype=torch.float32)
    assert found is loaded
    assert is_allowed() == (device == "cpu")


class Graph:
    """Stands for a graph, and for what surrounds its recording."""

    def pool(self) -> None:
        return None

    def wait_stream(self, other: object) -> None:
        pass

    def replay(self) -> None:
        pass


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> cuda.Recorder:
    monkeypatch.setattr(cuda, "_stream", Graph)
    for name in ("current_stream", "CUDAGraph"):
        monkeypatch.setattr(torch.cuda, name, Graph)
    for name in ("stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, lambda *args, **given: nullcontext())
    return cuda.Recorder()


def test_a_recording_may_use_cudnns_attention(recorder: cuda.Recorder) -> None:
    leave_out_cudnn()
    seen = []

    def compute() -> torch.Tensor:
        seen.append(is_allowed())
        return torch.ones(1)

    assert recorder(compute)() == 1
    assert seen == [True, True], "once to warm up, once recorded"
    assert not is_allowed()


def test_cudnns_attention_is_off_after_a_recording_that_fails(recorder: cuda.Recorder) -> None:
    leave_out_cudnn()

    def fail() -> torch.Tensor:
        raise RuntimeError("no graphs here")

    with pytest.raises(RuntimeError):
        recorder(fail)
    assert not is_allowed()
