"""Models behind an OpenAI-compatible server, as a :class:`assistant.core.Core`. No torch.

The only room from which a conversation leaves this machine: to the address that the person gave
as the model, and only when that is what answers.
"""
