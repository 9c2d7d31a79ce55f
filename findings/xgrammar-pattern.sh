#!/bin/sh
# xgrammar 0.2.9: a "pattern" of a JSON Schema decides what stands in the JSON, not what it says.
#
# Guessed before it was run: the mask of a schema lets valid JSON pass and nothing else. A text of
# one quotation mark, which "^\"$" asks for, must be written "\"", one backslash "\\", a line end "\n".
# Seen: the pattern's characters are compared with the raw ones between the quotation marks. The
# valid texts are refused, and what passes, """, "\" and a real line end in quotes, is JSON for no
# parser, so that a model is led to an answer that breaks its reader. "." and "[^a]" leave
# these characters out, hence most patterns never show it; one for Windows paths does.
# llguidance 1.9.1 compares the text that the JSON means. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'torch==2.13.0' 'transformers==5.23.0' \
    'pydantic==2.14.3' 'llguidance==1.9.1'
"$folder/venv/bin/python" -m pip install -q --no-deps 'xgrammar==0.2.9' 'apache-tvm-ffi==0.1.15.post2'
"$folder/venv/bin/python" - <<'PYTHON'
import json
import re
import sys
from importlib.metadata import version

import xgrammar
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper

END = 256
BYTES = [bytes([byte]) for byte in range(256)]
names = xgrammar.TokenizerInfo(
    [*BYTES, b"<end>"], vocab_type=xgrammar.VocabType.RAW, stop_token_ids=[END]
)
compiler = xgrammar.GrammarCompiler(names)


class Bytes:
    """A tokenizer with a token for each byte."""

    bos_token_id, eos_token_id = None, END
    tokens = [*BYTES, b"<end>"]
    special_token_ids = [END]

    def __call__(self, text: bytes | str) -> list[int]:
        return list(text if isinstance(text, bytes) else text.encode())


tokenizer = LLTokenizer(TokenizerWrapper(Bytes()))


def xgrammar_passes(schema: dict[str, str], text: str) -> bool:
    matcher = xgrammar.GrammarMatcher(compiler.compile_json_schema(json.dumps(schema)))
    return all(map(matcher.accept_token, [*text.encode(), END]))


def llguidance_passes(schema: dict[str, str], text: str) -> bool:
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_json_schema(schema))
    return matcher.try_consume_tokens(list(text.encode())) == len(text) and matcher.is_accepting()


def valid(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, json.loads(text)) is not None
    except json.JSONDecodeError:
        return False


print("xgrammar", version("xgrammar"))
wrong = set()
MEANT = {"^a$": "a", '^"$': '"', r"^\\$": "\\", r"^\n$": "\n", r"^C:\\x$": r"C:\x"}
for pattern, said in MEANT.items():
    schema = {"type": "string", "pattern": pattern}
    for text in dict.fromkeys((json.dumps(said), f'"{said}"')):
        right, passes = valid(pattern, text), xgrammar_passes(schema, text)
        print(f"{pattern}: {text!r} valid {right}, xgrammar passes it {passes}")
        assert llguidance_passes(schema, text) == right
        wrong |= {pattern} if passes != right else set()
sys.exit(wrong != set(MEANT) - {"^a$"})
PYTHON
