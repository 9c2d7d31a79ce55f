"""The seam of a model family: which there are, and where their checkpoints are."""
