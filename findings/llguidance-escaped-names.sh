#!/bin/sh
# llguidance 1.9.1: text that its mask lets pass can break the JSON Schema that the mask was made of.
#
# Guessed before it was run: both a text and a name may hold escapes such as \u0061, as JSON allows,
# and a name is compared after they are undone; "always valid" is what a mask is for.
# Seen: in a text the escape is refused, where a name stands it is taken, and compared as it is
# written. So an object with a whole number "a" may end in "\u0061": "x", which is another property for
# the mask, and "a" for whoever reads the JSON. "additionalProperties": false closes that way.
# (A change in the project's repository of August 2026 is in no release yet.) Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'llguidance==1.9.1'
"$folder/venv/bin/python" - <<'PYTHON'
import json
import sys
from importlib.metadata import version

from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper


class Bytes:
    """A tokenizer with a token for each byte."""

    bos_token_id, eos_token_id = None, 256
    tokens = [bytes([byte]) for byte in range(256)] + [b"<end>"]
    special_token_ids = [256]

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


tokenizer = LLTokenizer(TokenizerWrapper(Bytes()))
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
ESCAPED = r'{"a":1,"\u0061":"x"}'


def passes(schema: object, text: str) -> bool:
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(schema))
    return matcher.try_consume_tokens(list(text.encode())) == len(text) and matcher.is_accepting()


assert json.loads(ESCAPED) == {"a": "x"}
print("llguidance", version("llguidance"))
seen = {
    "the name twice": passes(SCHEMA, '{"a":1,"a":"x"}'),
    "the name, then escaped": passes(SCHEMA, ESCAPED),
    "the same, nothing else allowed": passes(SCHEMA | {"additionalProperties": False}, ESCAPED),
    "an escape in a text": passes({"type": "string"}, r'"\u0061"'),
}
for what, passed in seen.items():
    print(f"{what}: {'passes' if passed else 'refused'}")
sys.exit(list(seen.values()) != [False, True, False, False])
PYTHON
