"""CPU kernels behind one function, ``accelerate(model)``, here by numba."""
