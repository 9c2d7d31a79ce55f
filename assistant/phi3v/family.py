"""Phi-3-vision's entry in :mod:`assistant.families.registry`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.families.chat import ChatTemplate
from assistant.families.checkpoint import read_json
from assistant.families.sizes import ModelSize, Shape
from assistant.families.stored_weights import stored_dtype, stored_weights
from assistant.phi3v.checkpoint import MOST, number, read_config
from assistant.phi3v.known import KNOWN
from assistant.phi3v.pictures import Phi3VPictures
from assistant.phi3v.plain_config import PlainConfig
from assistant.phi3v.shapes import is_read, model_size, weight_shapes
from assistant.phi3v.template import STYLE
from assistant.phi3v.vocabulary import Vocabulary

if TYPE_CHECKING:
    from assistant.families.runtime import FamilyRuntime


MOST_CROPS = 10_000
"""Crops of a picture at most: their arrangements are tried one after the other."""


class Phi3VCheckpoint:
    """A :class:`assistant.families.family.Checkpoint`."""

    def __init__(self, folder: Path, num_crops: int | None) -> None:
        """``num_crops`` is the setting. Raises ModelError."""
        self._folder = folder
        self._values = read_config(folder)
        path = folder / "preprocessor_config.json"
        preprocessor = {"num_crops": 16, "num_img_tokens": 144, **read_json(path)}
        self.context = int(self._values["max_position_embeddings"])
        self.pictures = Phi3VPictures(
            own=number(preprocessor, "num_crops", path, MOST_CROPS),
            chosen=num_crops,
            crop_tokens=number(preprocessor, "num_img_tokens", path, MOST),
        )
        self.chat = ChatTemplate(STYLE, partial(Vocabulary.from_folder, folder))

    @cached_property
    def _config(self) -> PlainConfig:
        return PlainConfig.from_values(self._values, self._folder)

    def weights(self) -> Mapping[str, Shape]:
        """List every weight but CLIP's last layer and final norm. Raises ModelError."""
        shapes = weight_shapes(self._config).items()
        return {name: shape for name, shape in shapes if not self.is_ignored(name)}

    def is_ignored(self, name: str) -> bool:
        return not is_read(name, self._config.clip_config.num_hidden_layers)

    def size(self, name: str) -> ModelSize:
        shapes = {weight: stored.shape for weight, stored in stored_weights(self._folder).items()}
        dtype = stored_dtype(self._values, self._folder)
        return model_size(name, self._config, self.pictures.largest, shapes, dtype)


class Phi3VFamily:
    """A :class:`assistant.families.family.ModelFamily`."""

    title = "Phi-3-vision"
    known = KNOWN

    def open(self, folder: Path, detail: int | None = None) -> Phi3VCheckpoint:
        return Phi3VCheckpoint(folder, detail)

    def runtime(self) -> FamilyRuntime:
        from assistant.phi3v.runtime import Phi3VRuntime

        return Phi3VRuntime()


FAMILY = Phi3VFamily()
