"""The question of ``phichat ask``, which ``phichat prompt`` lays out: words, pictures, chat."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from assistant.cli.common import documents_of, open_pictures, report_missing
from assistant.cli.options import TEXT
from assistant.values.errors import PhichatError
from assistant.values.text import one_line

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.values.conversation import Draft

system_option = click.option(
    "--system", metavar="TEXT", type=TEXT, help="What the model is told first, in a new chat."
)
page_text_option = click.option(
    "--page-text", is_flag=True, help="Quote the text of the pages of PDFs before the question."
)
words_argument = click.argument("words", metavar="[PROMPT] [-]", type=TEXT, nargs=-1)


def quoted_documents(
    images: Sequence[str], session: str | None, go_on: bool, system: str | None, page_text: bool
) -> list[str]:
    """Check that options go together; return the documents whose text is quoted."""
    if session is not None and go_on:
        raise click.UsageError("--session and --continue exclude each other")
    if system is not None and (session is not None or go_on):
        raise click.UsageError("--system begins a new chat: leave out --session and --continue")
    if images.count("-") > 1:
        raise click.UsageError("standard input can be one picture only")
    documents = documents_of(images) if page_text else []
    if page_text and not documents:
        raise click.UsageError("--page-text goes with a PDF: -i report.pdf#2")
    return documents


def question_of(words: Sequence[str], images: Sequence[str], *, takes_pipe: bool = True) -> str:
    """Return the question: the argument, standard input, or first one and then the other.

    Without an argument a pipe is read too, if ``takes_pipe``.
    """
    from assistant.pictures.dropped import is_picture_file

    texts = [word for word in words if word != "-"]
    for word in filter(is_picture_file, texts):
        raise click.UsageError(f"{one_line(word, 60)} is a picture: give each by an -i of its own")
    dashes = len(words) - len(texts)
    if len(texts) > 1 or dashes > 1:
        raise click.UsageError("give one question: put it in quotes")
    is_taken = "-" in images
    if dashes and is_taken:
        raise click.UsageError("standard input can't be both the picture and the prompt")
    has_pipe = takes_pipe and not (sys.stdin is None or sys.stdin.isatty())
    if dashes or (has_pipe and not (texts or is_taken)):
        texts.append(_piped(may_be_empty=not (dashes and (texts or images))))
    return "\n\n".join(text.strip("\n") for text in texts if text.strip())


def _piped(*, may_be_empty: bool) -> str:
    """Read standard input, which holds what a question is about unless it ``may_be_empty``."""
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PhichatError(
            "Standard input is not UTF-8 text; a picture from a pipe is given with: -i -",
            code="usage",
        ) from None
    if not (may_be_empty or text.strip()):
        raise PhichatError("Standard input is empty: nothing was asked.", code="usage")
    return text


def chosen_session(engine: Engine, session: str | None, go_on: bool) -> str | None:
    """Return the id of the chat that goes on; None begins one."""
    if session is not None:
        return engine.store.find_session(session)
    if not go_on:
        return None
    latest = engine.store.latest_session()
    if latest is None:
        raise PhichatError("There is no chat to continue yet: ask without --continue.")
    return latest


def draft_of(
    engine: Engine,
    text: str,
    images: Sequence[str],
    quoted: Sequence[str],
    watch: Callable[[int, int], None] | None = None,
) -> Draft:
    """Open the pictures, and quote the text of documents before ``text``; ``watch`` a download."""
    from assistant.values.conversation import Draft

    opened = tuple(one for source in images for one in open_pictures(engine, source, watch))
    report_missing(opened)
    quotes = [engine.pictures.quoted_text(source) for source in quoted]
    return Draft("\n\n".join(filter(None, [*quotes, text])), opened)
