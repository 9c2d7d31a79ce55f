"""Title of a chat that began with a picture and no words."""

from __future__ import annotations

import re

LENGTH = 60
"""Characters; the list of chats shows fewer."""

_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s|\n")


def from_reply(text: str) -> str:
    """Take the first sentence of a reply, shortened at a word; "" when it says nothing."""
    sentence = " ".join(_SENTENCE_END.split(text.strip(), maxsplit=1)[0].split())
    if len(sentence) > LENGTH:
        sentence = sentence[:LENGTH].rpartition(" ")[0] or sentence[: LENGTH - 1]
        return sentence.rstrip(" ,;:.") + "…"
    return sentence.rstrip(".")
