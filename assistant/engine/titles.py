"""Title of a chat that began with a picture and no words."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from assistant.values.conversation import FinishReason, Turn
from assistant.values.errors import StorageError

if TYPE_CHECKING:
    from storage.store import Store

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


def give(store: Store, session_id: str, name: str, reply: Turn) -> None:
    """Title a chat that began without words by the first sentence of its reply.

    Until then its title is the ``name`` of the picture; a title that the user gave meanwhile
    stays. (A chat that began with words is titled after them by the store.) The model is never
    asked for a title: that would evict the chat from the KV cache for a few words no better.
    """
    title = from_reply(reply.text)
    if not title or reply.finish_reason is not FinishReason.STOP:
        return
    with suppress(StorageError):  # the reply is stored, and a title is not worth an error
        if store.conversation(session_id).title == name:
            store.rename(session_id, title)
