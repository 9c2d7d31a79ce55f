"""``phichat sessions``: the stored sessions."""
