"""The terminal app. It knows the engine's API and nothing behind it."""
