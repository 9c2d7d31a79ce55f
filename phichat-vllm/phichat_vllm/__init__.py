"""Phi-3-vision for vLLM without remote code: vLLM has the model, this is what it lacks."""
