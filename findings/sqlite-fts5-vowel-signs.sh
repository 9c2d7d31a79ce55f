#!/bin/sh
# SQLite 3.54.1 FTS5: the default tokenizer cuts words of Indic and vowelled Semitic scripts to pieces.
#
# Guessed before it was run: unicode61 knows the classes of Unicode, so a Hindi word is a token, and
# two words that differ by a vowel are two tokens; the marks of Arabic are kept or left out.
# Seen: a token is made of letters and digits, and a vowel sign (class M) is neither. It ends the
# token and is thrown away. So Hindi "ki" and "kii" are one word: who looks for one finds the other. A
# Hindi word becomes three words of one letter, and ranking counts letters; Arabic with its vowels is
# single letters, so that the same word without vowels isn't found. French, composed or not, is
# right, hence no test with accents shows it. categories 'L* N* Co M*' keeps the words whole.
# (The same on Debian's SQLite 3.40.) Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'apsw==3.54.1.0'
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import apsw

MARKS_TOO = "unicode61 categories 'L* N* Co M*'"
KI, KII = "\u0915\u093f", "\u0915\u0940"
HINDI = "\u0939\u093f\u0928\u094d\u0926\u0940"
VOWELLED, PLAIN = "\u0645\u064f\u062d\u064e\u0645\u064e\u0651\u062f", "\u0645\u062d\u0645\u062f"
ACCENTS, COMPOSED = "e\u0301te\u0301", "\u00e9t\u00e9"


def found(text: str, word: str, tokenizer: str = "unicode61") -> tuple[int, bool]:
    """How many tokens a text becomes, and whether a word is found in it."""
    db = apsw.Connection(":memory:")
    db.execute(f'CREATE VIRTUAL TABLE texts USING fts5(words, tokenize = "{tokenizer}")')
    db.execute("CREATE VIRTUAL TABLE tokens USING fts5vocab(texts, instance)")
    db.execute("INSERT INTO texts VALUES (?)", (text,))
    hits = db.execute("SELECT count(*) FROM texts WHERE texts MATCH ?", (f'"{word}"',))
    return db.execute("SELECT count(*) FROM tokens").get, hits.get == 1


print("SQLite", apsw.sqlite_lib_version())
seen = {
    "French, decomposed; looked for composed": found(ACCENTS, COMPOSED),
    "Hindi kii; looked for ki": found(KII, KI),
    "the word Hindi; looked for itself": found(HINDI, HINDI),
    "Arabic with vowels; looked for without": found(VOWELLED, PLAIN),
    "marks in tokens, kii; looked for ki": found(KII, KI, MARKS_TOO),
    "marks in tokens, the word Hindi": found(HINDI, HINDI, MARKS_TOO),
}
for what, (tokens, hit) in seen.items():
    print(f"{what}: {tokens} tokens, {'found' if hit else 'not found'}")
sys.exit(
    list(seen.values())
    != [(1, True), (1, True), (3, True), (4, False), (1, False), (1, True)]
)
PYTHON
