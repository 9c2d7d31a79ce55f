"""A hub on this machine with one small model, reached the way a person would: HF_ENDPOINT."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import close_session

from assistant.models import pull as pulling
from tests.models.hub_server import Hub, serving

MODEL = "someone/tiny-vision"


@pytest.fixture
def model_files(random_folder: Path) -> dict[str, bytes]:
    """A whole model, beside what must never be fetched."""
    files = {path.name: path.read_bytes() for path in random_folder.iterdir()}
    return files | {
        "modeling_phi3_v.py": b"raise SystemExit",
        "pytorch_model.bin": b"a pickle",
        "weights.pt": b"a pickle",
        "README.md": b"# words",
        "onnx/model.safetensors": b"another kind",
    }


@pytest.fixture
def hub(
    model_files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Hub]:
    """The server; huggingface_hub reads its variables once, so here they are set in it too."""
    with serving() as server:
        server.models[MODEL] = model_files
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.delenv("HF_HUB_OFFLINE")
        for name in ("HF_TOKEN", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(pulling, "WAITS", (0.0, 0.0))
        close_session()  # it keeps connections and proxies
        yield server
        close_session()
