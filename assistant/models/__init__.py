"""Model files: known models, catalogue, downloads from the hub, verification. No torch.

Downloads go to the standard Hugging Face cache (:mod:`assistant.families.hub_cache`), so that other
programs find them too.
"""
