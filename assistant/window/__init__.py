"""Context window: choice of the turns, pictures and crops that the model sees, and their cost."""

from assistant.window.plan import LOW_WATER, LOWEST_WATER, Plan, plan

__all__ = ["LOWEST_WATER", "LOW_WATER", "Plan", "plan"]
