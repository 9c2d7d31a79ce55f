"""Torch half of the family: model and image processor of a folder."""

from __future__ import annotations

from pathlib import Path

import torch

from assistant.families.runtime import MakeLinear, Progress, Views, VisionLanguageModel
from assistant.phi3v.image_processing import Phi3VImageProcessor
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
        make_linear: MakeLinear | None = None,
        progress: Progress | None = None,
    ) -> VisionLanguageModel:
        return Phi3VForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            device=device,
            attn_implementation=attention,
            local_files_only=True,
            make_linear=make_linear,
            progress=progress,
        )

    def views(self, folder: Path) -> Views:
        return Phi3VImageProcessor.from_pretrained(folder, local_files_only=True).crops
