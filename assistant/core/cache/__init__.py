"""The KV cache, and the layers it is made of."""
