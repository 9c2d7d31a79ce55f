"""What the model sees of a conversation: which turns and pictures, in what crops, at what cost."""

from assistant.window.plan import LOW_WATER, LOWEST_WATER, Plan, plan

__all__ = ["LOWEST_WATER", "LOW_WATER", "Plan", "plan"]
