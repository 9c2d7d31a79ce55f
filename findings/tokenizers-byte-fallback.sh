#!/bin/sh
# tokenizers 0.23.3: one broken byte makes whole characters before it unreadable, and ends a stream.
#
# Guessed before it was run: in a tokenizer with byte fallback (Llama's and Phi-3's kind) bytes that
# are no UTF-8 become U+FFFD, one each, and the characters beside them stay; DecodeStream gives the
# same text piece by piece and never raises.
# Seen: a run of byte tokens is decoded as a whole. A character of three bytes, complete, followed by
# the first byte of the next one (a reply that reached its limit there) is decoded to four U+FFFD.
# DecodeStream has returned that character by then, finds that the text before has changed, and raises.
# A character that is a token of its own is safe. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'tokenizers==0.23.3'
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import tokenizers
from tokenizers import Tokenizer, decoders, models
from tokenizers.decoders import DecodeStream

names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "a", "b", "\u540d"]
vocabulary = {name: token for token, name in enumerate(names)}
tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>", byte_fallback=True))
tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])


def in_bytes(*values: int) -> list[int]:
    return [vocabulary[f"<0x{value:02X}>"] for value in values]


def streamed(ids: list[int]) -> str:
    stream = DecodeStream(skip_special_tokens=False)
    try:
        return "".join(stream.step(tokenizer, token) or "" for token in ids)
    except Exception as error:
        return str(error).partition(".")[0]


whole, lone = in_bytes(0xE5, 0x90, 0x8D), in_bytes(0xE5)
a, b, token = vocabulary["a"], vocabulary["b"], vocabulary["\u540d"]
seen = {
    what: (tokenizer.decode(ids), streamed(ids))
    for what, ids in {
        "a character in three bytes": [a, *whole, b],
        "one broken byte": [a, *lone, b],
        "the character, then the broken byte": [a, *whole, *lone, b],
        "the same with the character's own token": [a, token, *lone, b],
    }.items()
}
print("tokenizers", tokenizers.__version__)
for what, (text, stream) in seen.items():
    print(f"{what}: decode {ascii(text)}, stream {ascii(stream)}")
sys.exit(
    list(seen.values())
    != [
        ("a\u540db", "a\u540db"),
        ("a\ufffdb", "a\ufffdb"),
        ("a\ufffd\ufffd\ufffd\ufffdb", "Invalid prefix encountered while decoding stream"),
        ("a\u540d\ufffdb", "a\u540d\ufffdb"),
    ]
)
PYTHON
