"""Context window: choice of the turns, pictures and crops that the model sees, and their cost."""
