"""Model families: their interface, their registry, and their checkpoints on disk."""
