"""The inference core: a resident model, its KV cache, the decode loop. Token ids only, no text."""
