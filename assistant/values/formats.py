"""Number formats and limits that a user can choose, for settings and options alike."""

from __future__ import annotations

from typing import Literal

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
WeightFormat = Literal["auto", "float", "int8", "int4"]
KVFormat = Literal["auto", "float", "int8", "int4"]

MAX_CONTEXT = 131_072
"""Tokens. The context of Phi-3-vision-128k, the longest that is offered."""
