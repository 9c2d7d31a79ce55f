#!/bin/sh
# llguidance 1.9.1: whole numbers of a JSON Schema are rounded to what a double holds.
#
# Guessed before it was run: "const", "enum", "minimum" and "maximum" with whole numbers above 2^53
# are kept digit by digit, as Python reads them, and a text must have these digits.
# Seen: each becomes the nearest double. The only number that "const" asks for can't be written, and
# its neighbour, which no validator takes, must be; so an "enum" of ids as databases and social
# networks count them gives an id that is not among them. "multipleOf" alone says that its number has
# too many digits, and shows the rounded one. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'llguidance==1.9.1'
"$folder/venv/bin/python" - <<'PYTHON'
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


def passes(schema: object, text: str) -> bool:
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(schema))
    return matcher.try_consume_tokens(list(text.encode())) == len(text) and matcher.is_accepting()


ODD = 2**53 + 1
ONE = {"const": ODD}
IDS = {"enum": [123456789012345678, 5]}
BOUND = {"type": "integer", "minimum": ODD, "maximum": ODD}
print("llguidance", version("llguidance"))
seen = {
    f"const {ODD}: itself": passes(ONE, str(ODD)),
    f"const {ODD}: {ODD - 1}": passes(ONE, str(ODD - 1)),
    "enum 123456789012345678, 5: the first": passes(IDS, "123456789012345678"),
    "enum 123456789012345678, 5: 123456789012345680": passes(IDS, "123456789012345680"),
    f"minimum and maximum {ODD}: itself": passes(BOUND, str(ODD)),
    f"minimum and maximum {ODD}: {ODD - 1}": passes(BOUND, str(ODD - 1)),
}
for what, passed in seen.items():
    print(f"{what}: {'passes' if passed else 'refused'}")
sys.exit(list(seen.values()) != [False, True] * 3)
PYTHON
