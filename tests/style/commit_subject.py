"""Commit subjects: ``area: imperative subject``. Run by pre-commit at the commit-msg stage."""

from __future__ import annotations

import re
import sys
from pathlib import Path

LONGEST = 72
"""Characters: more are cut off in logs and on forges."""
_FORM = re.compile(r"[a-z0-9_./-]+(?:, [a-z0-9_./-]+)*: (?P<verb>\S+)")
_MADE_BY_GIT = re.compile(r"(?:Merge|Revert|fixup!|squash!|amend!) ?")
_NOT_IMPERATIVE = re.compile(r"(?:\w+ed|\w+ing|\w+[^su]s|the|a|an|no|what|how)$")
_VERBS = frozenset({"bring", "embed", "feed", "need", "seed", "speed", "shed", "wed", "string"})


def faults(subject: str) -> list[str]:
    """List what a subject breaks of the form, one phrase each."""
    if _MADE_BY_GIT.match(subject):
        return []
    found = []
    if not (form := _FORM.match(subject)):
        found.append("does not begin with its area and a colon, as in 'cpu: fall back to torch'")
    elif not form["verb"][0].islower():
        found.append("goes on in upper case after the area, not in lower case")
    elif form["verb"] not in _VERBS and _NOT_IMPERATIVE.match(form["verb"]):
        found.append(f"has {form['verb']!r} where an imperative verb belongs")
    if len(subject) > LONGEST:
        found.append(f"is longer than {LONGEST} characters")
    if ";" in subject:
        found.append("has a semicolon: two changes are two commits")
    if subject.endswith("."):
        found.append("ends with a period")
    return found


def main() -> int:
    """Check the message in the file that git names."""
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    found = faults(lines[0] if lines else "")
    for fault in found:
        print(f"The commit's subject {fault}.", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
