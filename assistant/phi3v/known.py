"""Official checkpoints of the family."""

from __future__ import annotations

from assistant.families.family import KnownModel
from assistant.phi3v.pictures import Phi3VPictures
from assistant.phi3v.plain_config import ClipConfig, PlainConfig
from assistant.phi3v.shapes import model_size, weight_shapes
from assistant.phi3v.shrink import shrunk

PHI3_VISION = PlainConfig(
    vocab_size=32064,
    hidden_size=3072,
    intermediate_size=8192,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=32,
    max_position_embeddings=131_072,
    original_max_position_embeddings=4096,
    rms_norm_eps=1e-5,
    rope_parameters={},
    clip_config=ClipConfig.of(None),
)
"""Phi-3-vision-128k-instruct and Phi-3.5-vision-instruct, by their config.json, whose factors of
LongRoPE no size depends on."""

# Sizes: 8,293,242,880 bytes of weights (metadata.total_size of the official index; the other model
# has the same architecture and names), a tokenizer of 1.9 MB, headers.
# Revisions: they were chosen without access to the hub. They are the commits that several
# independent projects name in public (Phi-3-vision: SGLang, LMDeploy, a vLLM report;
# Phi-3.5-vision: Microsoft's cookbook, an OpenVINO log, printed configurations). A commit is a hash
# of its content: it may be missing from the hub, but it can't name other files.
KNOWN = (
    KnownModel(
        id="microsoft/Phi-3-vision-128k-instruct",
        title="Phi-3-vision-128k",
        about="one picture at a time, in up to 17 crops",
        licence="MIT",
        download_bytes=8_295_200_000,
        revision="c45209e90a4c4f7d16b2e9d48503c7f3e83623ed",
        size=model_size("Phi-3-vision-128k", PHI3_VISION, 16, weight_shapes(PHI3_VISION)),
        pictures=Phi3VPictures(16),
        served_as=r"phi-?3[._-]?(?:v\b|vision)",
        shrink=shrunk,
        separator="<|end|>",
    ),
    KnownModel(
        id="microsoft/Phi-3.5-vision-instruct",
        title="Phi-3.5-vision",
        about="several pictures at once, in up to 5 crops each",
        licence="MIT",
        download_bytes=8_295_200_000,
        revision="4a0d683eba9f1d0cbfb6151705d1ee73c25a80ca",
        size=model_size("Phi-3.5-vision", PHI3_VISION, 4, weight_shapes(PHI3_VISION)),
        pictures=Phi3VPictures(4),
        served_as=r"phi-?3[._-]?5[._-]?(?:v\b|vision)",
        shrink=shrunk,
        separator="<|end|>",
    ),
)
