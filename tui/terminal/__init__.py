"""What the terminal can do: pictures, clipboard, editor, keys."""
