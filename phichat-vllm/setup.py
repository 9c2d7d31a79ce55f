"""Build step: files of phichat become ``phichat_vllm.shared``, so that nothing is written twice.

phichat itself can't be a dependency, because it wants another transformers than vLLM does.
"""

from __future__ import annotations

from pathlib import Path

from setuptools import setup

HERE = Path(__file__).resolve().parent
FROM, TO = HERE.parent / "assistant" / "phi3v", HERE / "phichat_vllm" / "shared"
SHARED = ("clip", "config", "crops", "pixels")
"""Modules that import each other and nothing else of phichat."""

if FROM.is_dir():  # a source archive has the copies already
    TO.mkdir(exist_ok=True)
    (TO / "__init__.py").write_text('"""Modules of phichat, copied by setup.py."""\n')
    for name in SHARED:
        text = (FROM / f"{name}.py").read_text(encoding="utf-8")
        text = text.replace("assistant.phi3v", "phichat_vllm.shared")
        (TO / f"{name}.py").write_text(text, encoding="utf-8")

setup()
