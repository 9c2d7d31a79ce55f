"""Sentence grammars: strings with alternatives ``(a|b|)``, nested at will, and ``{slots}``."""

from __future__ import annotations

from random import Random


def expand(rng: Random, grammar: str) -> str:
    """Sample one sentence: each ``(a|b)`` becomes one alternative, slots stay."""
    while (close := grammar.find(")")) >= 0:
        start = grammar.rfind("(", 0, close)
        grammar = (
            grammar[:start]
            + rng.choice(grammar[start + 1 : close].split("|"))
            + grammar[close + 1 :]
        )
    return " ".join(grammar.split())


_FRAMES = (
    "please {q}", "{q} please", "{q}, please", "hey, {q}", "ok, {q}", "so {q}", "hi, {q}",
    "now {q}", "well, {q}", "{q} thanks", "tell me: {q}", "question: {q}", "quick question: {q}",
    "i want to know: {q}", "hello! {q}", "can you tell me: {q}", "one more question: {q}",
    "next question: {q}", "just answer: {q}", "briefly: {q}", "in one word: {q}",
    "{q} answer briefly.", "{q} be short.", "{q} in one word.", "sorry, {q}", "then {q}",
    "look carefully: {q}", "great, {q}", "thanks. {q}", "can you say {q}", "in this chat, {q}",
)  # fmt: skip


def _misspell(rng: Random, text: str) -> str:
    place = rng.randrange(1, max(2, len(text) - 1))
    style = rng.randrange(3)
    if style == 0:
        return text[:place] + text[place + 1 :]
    if style == 1:
        return text[:place] + text[place : place + 1] + text[place:]
    return text[: place - 1] + text[place : place + 1] + text[place - 1 : place] + text[place + 1 :]


def vary(rng: Random, text: str, *, question: bool = True) -> str:
    """Vary a sentence as users type: framed, misspelt, in any case, with or without a mark."""
    if rng.random() < 0.16:
        text = rng.choice(_FRAMES).format(q=text)
    if rng.random() < 0.02:
        text = _misspell(rng, text)
    text = text.replace(" i ", " I ").replace(" i'd", " I'd")
    style = rng.random()
    if style < 0.62:
        text = text[:1].upper() + text[1:]
    elif style > 0.985:
        text = text.upper()
    if not text.endswith((".", "!", "?")):
        text += rng.choice("????. ? ") if question else rng.choice(".. !")
    return text.strip()
