"""Models behind an OpenAI-compatible server, as a :class:`assistant.values.model.Core`. No torch.

The only package that sends a conversation from this machine: to the address that the user gave
as the model, and only while that model answers.
"""
