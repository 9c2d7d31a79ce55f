r"""The chat template of Phi-3-vision: ``<|user|>\n…<|end|>\n<|assistant|>``.

The ids are exactly those of the reference processor for the same conversation (its chat template,
tokenized with ``<|image_k|>`` tags), but text never becomes a control token.
"""

from __future__ import annotations

from assistant.families.chat import WHITESPACE, ChatStyle
from assistant.values.conversation import Role

STYLE = ChatStyle(
    opening={
        Role.SYSTEM: ("<|system|>", "\n"),
        Role.USER: ("<|user|>", "\n"),
        Role.ASSISTANT: ("<|assistant|>", ""),
    },
    closing=("<|end|>", "\n"),
    start="<s>",
    # the reference tokenizes the text after a picture on its own: it begins with BOS
    after_picture="<s>",
    reply_strips=WHITESPACE,  # the rstrip flag of <|assistant|>
)
