"""Base classes of pages and dialogs."""

from tui.textual_fixes import GuardedDialog as Dialog, GuardedScreen, ResultT

__all__ = ["Dialog", "GuardedScreen", "ResultT"]
