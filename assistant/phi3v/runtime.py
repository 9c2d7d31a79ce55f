"""Torch half of the family: model and image processor of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from assistant.families.runtime import Linears, Progress, Views, VisionLanguageModel
from assistant.phi3v.checkpoint import read_config
from assistant.phi3v.image_processing import Phi3VImageProcessor
from assistant.phi3v.interface import has_own_pass
from assistant.phi3v.load import load
from assistant.phi3v.plain_config import PlainConfig
from assistant.phi3v.resident import ResidentPhi3V

if TYPE_CHECKING:
    from assistant.phi3v.modeling import Phi3VForCausalLM


class Phi3VRuntime:
    """A :class:`assistant.families.runtime.FamilyRuntime`."""

    def load(
        self,
        folder: Path,
        *,
        device: torch.device,
        dtype: torch.dtype,
        attention: str = "sdpa",
        linears: Linears | None = None,
        progress: Progress | None = None,
    ) -> VisionLanguageModel:
        config = PlainConfig.from_values(read_config(folder), folder)
        if device.type == "cpu" and has_own_pass(config):
            return load(
                ResidentPhi3V,
                config,
                folder,
                dtype=dtype,
                device=device,
                linears=linears,
                progress=progress,
            )
        return _by_transformers().from_pretrained(
            folder,
            dtype=dtype,
            device=device,
            attn_implementation=attention,
            local_files_only=True,
            linears=linears,
            progress=progress,
        )

    def views(self, folder: Path) -> Views:
        return Phi3VImageProcessor.from_pretrained(folder, local_files_only=True).crops


def _by_transformers() -> type[Phi3VForCausalLM]:
    """Import the model whose layers are transformers' own: two CPU seconds."""
    import transformers

    from assistant.phi3v.modeling import Phi3VForCausalLM

    transformers.logging.set_verbosity_error()
    return Phi3VForCausalLM
