"""CPU kernels behind one function: ``accelerate(model)``, here by numba."""

from assistant.core.cpu.acceleration import accelerate

__all__ = ["accelerate"]
