"""The tokenizer of Phi-3-vision, without transformers."""

from __future__ import annotations

from assistant.families.vocabulary import TokenizerVocabulary


class Vocabulary(TokenizerVocabulary):
    """A checkpoint's tokenizer.json, with the control tokens of Phi-3-vision."""

    needed = ("<s>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
    stop_names = ("</s>", "<|endoftext|>", "<|end|>")
    """config.json names only the first; chat turns end in the last."""
