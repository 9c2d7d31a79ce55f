"""The models that phichat is made for. Data: one entry a model."""

from __future__ import annotations

from dataclasses import dataclass

from assistant.core.memory.sizes import PHI3_VISION, ModelSize, size_of_geometry
from assistant.phi3v.shapes import Geometry


@dataclass(frozen=True, slots=True)
class KnownModel:
    """What is known of a model before anything of it is fetched.

    ``download_bytes`` are those of its files that are read. ``revision`` is the commit that
    ``pull`` fetches unless another is asked for: what its author changes
    later is not taken unseen.
    """

    id: str
    title: str
    about: str
    licence: str
    download_bytes: int
    revision: str
    num_crops: int
    geometry: Geometry = PHI3_VISION

    @property
    def size(self) -> ModelSize:
        """For a memory plan."""
        return size_of_geometry(self.title, self.geometry, self.num_crops)


# Sizes: 8,293,242,880 bytes of weights (metadata.total_size of the official index; the other model
# has the same architecture and names), a tokenizer of 1.9 MB, headers.
# Revisions: no hub could be reached where this was written. They are the commits that several
# independent projects name in public (Phi-3-vision: SGLang, LMDeploy, a vLLM report;
# Phi-3.5-vision: Microsoft's cookbook, an OpenVINO log, printed configurations). A commit is an
# address by content: it can be gone, but it can't be something else.
KNOWN = (
    KnownModel(
        id="microsoft/Phi-3-vision-128k-instruct",
        title="Phi-3-vision-128k",
        about="one picture at a time, in up to 17 crops",
        licence="MIT",
        download_bytes=8_295_200_000,
        revision="c45209e90a4c4f7d16b2e9d48503c7f3e83623ed",
        num_crops=16,
    ),
    KnownModel(
        id="microsoft/Phi-3.5-vision-instruct",
        title="Phi-3.5-vision",
        about="several pictures at once, in up to 5 crops each",
        licence="MIT",
        download_bytes=8_295_200_000,
        revision="4a0d683eba9f1d0cbfb6151705d1ee73c25a80ca",
        num_crops=4,
    ),
)


def known_model(model_id: str) -> KnownModel | None:
    """The entry of an id; upper and lower case are the same, as on the hub."""
    return next((one for one in KNOWN if one.id.lower() == model_id.lower()), None)
