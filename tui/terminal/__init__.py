"""Terminal capabilities: pictures, clipboard, editor."""
