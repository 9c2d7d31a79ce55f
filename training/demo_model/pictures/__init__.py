"""Pictures that the demo model learns from: one module for each kind."""
