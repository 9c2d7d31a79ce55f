"""Getting models: which are known, what is here, fetching from the hub, checking what was fetched.

No torch, no terminal. Whatever is fetched lies in the standard Hugging Face cache
(:mod:`assistant.families.hub_cache`), so that other programs find it too.
"""
