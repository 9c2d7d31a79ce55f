"""The chat: one screen by composition."""
