"""phichat's assistant: what it knows and does. No terminal, no SQL."""

__version__ = "0.1.0"
