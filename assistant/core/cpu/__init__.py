"""CPU kernels for decoding one token."""
