"""Entry point of vLLM's ``vllm.general_plugins``; runs in each of its processes."""

from __future__ import annotations


def register() -> None:
    """Have transformers' Auto classes make our configuration and processor; may run repeatedly."""
    from transformers import AutoConfig, AutoProcessor

    from phichat_vllm.processor import Phi3VProcessor
    from phichat_vllm.shared.config import Phi3VConfig

    AutoConfig.register(Phi3VConfig.model_type, Phi3VConfig, exist_ok=True)
    AutoProcessor.register(Phi3VConfig, Phi3VProcessor, exist_ok=True)
