r"""The chat template of Phi-3-vision: ``<|user|>\n…<|end|>\n<|assistant|>``.

The ids are exactly those of the reference processor for the same conversation (its chat template,
tokenized with ``<|image_k|>`` tags), but text never becomes a control token.
"""

from __future__ import annotations

from assistant.families.chat import ChatStyle
from assistant.values.conversation import Role

# Unicode White_Space, which the tokenizer strips after <|assistant|> (its rstrip flag). Python's
# str.lstrip() would take the separators U+001C..U+001F too.
_WHITESPACE = (
    "\t\n\x0b\x0c\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)

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
    reply_strips=_WHITESPACE,
)
