"""Plain immutable values that every other package may import. Imports nothing of ours."""
