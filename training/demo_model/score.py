"""Counts of right replies of an evaluation, by family, with notes of the mistakes."""

from __future__ import annotations

from collections import defaultdict


class Score:
    """Counts of right and asked by family, with notes of the mistakes."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        self.mistakes: dict[str, list[str]] = defaultdict(list)

    def add(self, family: str, right: bool, note: str) -> None:
        """Count one reply."""
        self.counts[family][0] += right
        self.counts[family][1] += 1
        if not right:
            self.mistakes[family].append(note)

    def show(self, mistakes: int) -> None:
        """Print the counts as a Markdown table, and so many mistakes of each family."""
        rows = [f"| {f} | {r} / {n} | {100 * r / n:.1f} |" for f, (r, n) in self.counts.items()]
        print("| family | right | % |", "|---|---|---|", *rows, sep="\n")
        for family, notes in self.mistakes.items() if mistakes else ():
            print(f"\n{family}:", *(f"  {note}" for note in notes[:mistakes]), sep="\n")
