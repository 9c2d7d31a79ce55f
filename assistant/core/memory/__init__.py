"""What this machine is and what it holds of a model: planned before anything loads."""
