"""Commands of ``phichat chat --plain``: what the app's keys and commands do, in words."""

from __future__ import annotations

from functools import partial

from assistant.cli import plain_pictures, prompt as prompt_lines
from assistant.cli.plain_chat import LISTED, SHOWN, Command, PlainChat, number_of
from assistant.engine.chances import DOUBTFUL, words_of
from assistant.values.conversation import Draft, Role
from assistant.values.errors import PhichatError
from assistant.values.sampling import Parameters
from assistant.values.schema import read_schema
from assistant.values.text import one_line, plain
from assistant.values.words import counted


def _no_reply(chat: PlainChat, _: str) -> None:
    chat.say("No reply is being written.")


def _go_on(chat: PlainChat, _: str) -> None:
    chat.answer(chat.engine.continue_reply(chat.open()))


def _again(chat: PlainChat, _: str) -> None:
    chat.answer(chat.engine.regenerate(chat.open()))


def _edit(chat: PlainChat, text: str) -> None:
    """Send another version of the last message, with its pictures."""
    turn, store = chat.last(Role.USER), chat.engine.store
    if not text:
        raise PhichatError(f"Give the new words: /edit TEXT. Now it is: {turn.text}")
    kept = tuple(store.picture_file(chat.open(), one.number) for one in turn.pictures)
    draft = Draft(text, kept + tuple(chat.attached))
    chat.answer(chat.engine.edit(chat.open(), turn.id, draft))


def _compare(chat: PlainChat, model: str) -> None:
    if not model:
        raise PhichatError("Say which model answers too: /compare MODEL")
    chat.answer(chat.engine.compare(chat.open(), model))
    chat.say("/version goes back to the answer before.")


def _version(chat: PlainChat, _: str) -> None:
    """Go to the version of the last reply before this one, round and round."""
    store = chat.engine.store
    last = store.tail(chat.open(), 1)[-1]
    versions = [one.id for one in store.siblings(last.id)]
    before = versions[versions.index(last.id) - 1]
    store.choose(chat.open(), before)
    chat.say(f"Version {versions.index(before) + 1} of {len(versions)}:")
    chat.show(store.turn(before))


def _doubts(chat: PlainChat, chosen: str) -> None:
    """Say the doubtful words of the last reply, or go on from one with a runner-up."""
    reply = chat.last(Role.ASSISTANT)
    tokens = chat.engine.tokens(reply)
    text = "".join(token.text for token in tokens)
    doubtful = [word for word in words_of(tokens) if word.probability < DOUBTFUL]
    if chosen:
        at, runner_up = _two_numbers(chosen)
        if not 0 < at <= len(doubtful):
            raise PhichatError("There is no such doubtful word: /doubts lists them.")
        token = tokens[doubtful[at - 1].token]
        if not 0 < runner_up <= len(token.others):
            raise PhichatError("There is no such runner-up: /doubts lists them.")
        other = token.others[runner_up - 1].id
        chat.answer(chat.engine.branch(chat.open(), reply.id, token.place, other))
        return
    for number, word in enumerate(doubtful, 1):
        others = "; ".join(
            f"{row} {_likely(one.text, one.probability)}"
            for row, one in enumerate(tokens[word.token].others, 1)
        )
        chat.say(f"{number}: {_likely(text[word.start : word.end], word.probability)}. {others}")
    if not doubtful:
        chat.say("No word of the last reply was doubtful.")


def _likely(words: str, probability: float) -> str:
    return f"“{one_line(words.strip(), 60)}” {100 * probability:.0f} percent"


def _two_numbers(typed: str) -> tuple[int, int]:
    first, _, second = typed.partition(" ")
    second = second.strip() or "1"
    if not (first.isdecimal() and second.isdecimal()):
        raise PhichatError("Give the numbers of a word and of its runner-up: /doubts 2 1")
    return int(first), int(second)


# Chats


def _chats(chat: PlainChat, _: str) -> None:
    listed = chat.engine.store.sessions(LISTED)
    if not listed:
        chat.say("There is no chat yet.")
    for one in listed:
        marks = (", pinned" if one.pinned else "") + (", open" if one.id == chat.session_id else "")
        turns, pictures = counted(one.turns, "message"), counted(one.pictures, "picture")
        chat.say(f"{one.id}: {one_line(one.title, 60)}, {turns}, {pictures}{marks}")


def _switch(chat: PlainChat, name: str) -> None:
    if not name:
        raise PhichatError("Say which chat: /open ID. /chats lists them.")
    chat.begin(chat.engine.store.find_session(name))
    chat.show_last(SHOWN)


def _new(chat: PlainChat, _: str) -> None:
    chat.begin(None)
    chat.say("A new chat.")


def _show(chat: PlainChat, count: str) -> None:
    chat.show_last(number_of(count, 2))


def _rename(chat: PlainChat, title: str) -> None:
    if not title:
        raise PhichatError("Give the title: /rename TITLE")
    chat.engine.store.rename(chat.open(), title)
    chat.say(f"This chat is called {one_line(title, 60)} now.")


def _keep_on_top(chat: PlainChat, _: str) -> None:
    store, here = chat.engine.store, chat.open()
    pinned = not store.conversation(here).pinned
    store.set_pinned(here, pinned)
    chat.say("This chat stays on top." if pinned else "This chat is no longer kept on top.")


def _fork(chat: PlainChat, _: str) -> None:
    chat.begin(chat.engine.store.fork(chat.open()))
    chat.say("A new chat that begins as the one before.")


def _delete(chat: PlainChat, _: str) -> None:
    deleted = chat.open()
    chat.engine.delete(deleted)
    chat.begin(None)
    chat.deleted = deleted
    chat.say(
        f"Deleted. /undo brings it back; for a day, so does: phichat sessions restore {deleted}"
    )


def _undo(chat: PlainChat, _: str) -> None:
    if chat.deleted is None:
        raise PhichatError("There is no chat to bring back.")
    chat.engine.store.restore(chat.deleted)
    _switch(chat, chat.deleted)


def _search(chat: PlainChat, words: str) -> None:
    if not words:
        raise PhichatError("Say which words: /search WORDS")
    hits = chat.engine.store.search(words, limit=LISTED)
    if not hits:
        chat.say("Nothing has these words.")
    for hit in hits:
        found = one_line(plain(hit.snippet.text).replace("\n", " "), 100)
        chat.say(f"{hit.session_id}: {one_line(hit.session_title, 60)}: {found}")


def _export(chat: PlainChat, name: str) -> None:
    chat.say(f"Written: {chat.engine.store.export_as(name, chat.open())}")


# What the model sees and is


def _context(chat: PlainChat, _: str) -> None:
    draft = Draft("", tuple(chat.attached)) if chat.attached else None
    report = chat.engine.prompts.context(chat.session_id, draft, system=chat.system or None)
    for picture in report.pictures:
        chat.say(prompt_lines.picture_line(picture))
    for one in report.left_out:
        chat.say(prompt_lines.left_out_line(one))
    chat.say(prompt_lines.budget_line(report))


def _exclude(chat: PlainChat, _: str) -> None:
    """Take the last message and its reply out of what the model sees, or put them back."""
    turn = chat.last(Role.USER)
    chat.engine.store.set_turn_excluded(turn.id, not turn.excluded)
    chat.say(
        "The model sees your last message again."
        if turn.excluded
        else "The model no longer sees your last message and its reply; /exclude puts them back."
    )


def _recall(chat: PlainChat, words: str, *, everywhere: bool = False) -> None:
    if not words:
        raise PhichatError("Say which words: /recall WORDS quotes earlier messages that have them.")
    chat.show(chat.engine.memory.recall(chat.open(), words, everywhere=everywhere))


def _summary(chat: PlainChat, text: str) -> None:
    """Say the summary of what no longer fits, or set it."""
    if text:
        chat.engine.memory.set_summary(chat.open(), text)
    summary = chat.engine.store.conversation(chat.open()).summary
    chat.say(summary.text if summary else "There is no summary.")


def _system(chat: PlainChat, text: str) -> None:
    """Set the system message of this chat."""
    if chat.session_id is None:
        chat.system = text
    else:
        chat.engine.store.set_system(chat.session_id, text or None)
    chat.say("The model reads that first in this chat." if text else "Nothing comes first.")


def _schema(chat: PlainChat, source: str) -> None:
    schema = read_schema(source)
    chosen = chat.engine.model
    chosen.check(Parameters(schema=schema).over(chosen.settings.sampling))
    if chat.session_id is None:
        chat.schema = schema
    else:
        parameters = chat.engine.store.conversation(chat.session_id).parameters
        changed = parameters.changed(schema=schema or None)
        chat.engine.store.set_parameters(chat.session_id, changed)
    chat.say("Answers of this chat are JSON." if schema else "Answers are words again.")


def _model(chat: PlainChat, name: str) -> None:
    if name:
        chat.engine.model.use(name)
    chat.say(f"{one_line(chat.engine.model.facts().name)} answers.")


def _help(chat: PlainChat, _: str) -> None:
    chat.say("A line is a message; a backslash at its end goes on in the next line.")
    chat.say("Ctrl-C stops the reply.")
    for one in chat.commands:
        chat.say(f"{' '.join(filter(None, (one.name, one.argument)))}: {one.does}")


def _quit(chat: PlainChat, _: str) -> None:
    chat.is_over = True


COMMANDS = (
    Command(
        "/attach",
        "PATH or URL",
        "Attach a picture. Alone: say what is attached.",
        plain_pictures.attach,
    ),
    Command("/paste", "", "Attach the picture in the clipboard.", plain_pictures.paste),
    Command(
        "/off", "NUMBER", "Take an attached picture off. Alone: the last.", plain_pictures.take_off
    ),
    Command(
        "/region",
        "NUMBER left,top,width,height",
        "Attach a part of a picture, in pixels or percent. Without NUMBER: of the last attached.",
        plain_pictures.region,
    ),
    Command("/pictures", "WORDS", "List the pictures of all chats.", plain_pictures.list_all),
    Command(
        "/pin",
        "NUMBER",
        "Always show the model this picture. Alone: the last message.",
        plain_pictures.pin,
    ),
    Command("/unpin", "NUMBER", "Pin it no longer.", partial(plain_pictures.pin, pinned=False)),
    Command("/stop", "", "While a reply is written: stop it.", _no_reply),
    Command("/continue", "", "Let a half reply go on.", _go_on),
    Command("/retry", "", "Answer the last question again.", _again),
    Command("/edit", "TEXT", "Send the last message with other words.", _edit),
    Command("/compare", "MODEL", "Have another model answer the last question too.", _compare),
    Command("/version", "", "Go to the version before of the last reply.", _version),
    Command(
        "/doubts",
        "WORD RUNNER-UP",
        "Say the doubtful words of the last reply. With two numbers: go on from there.",
        _doubts,
    ),
    Command("/show", "NUMBER", "Say the last messages again, so many.", _show),
    Command("/chats", "", "List the chats.", _chats),
    Command("/open", "ID", "Go to another chat.", _switch),
    Command("/new", "", "Begin a new chat.", _new),
    Command("/rename", "TITLE", "Rename this chat.", _rename),
    Command("/pinchat", "", "Keep this chat on top of the list. Again: no longer.", _keep_on_top),
    Command("/fork", "", "Begin a new chat that begins as this one.", _fork),
    Command("/delete", "", "Delete this chat.", _delete),
    Command("/undo", "", "Bring back the chat that was deleted last.", _undo),
    Command("/search", "WORDS", "Search all chats.", _search),
    Command("/export", "FILE", "Write this chat to a .html, .md or .json file.", _export),
    Command("/context", "", "Say what the model sees, and how full the context is.", _context),
    Command("/exclude", "", "Hide the last message from the model. Again: no longer.", _exclude),
    Command("/recall", "WORDS", "Quote earlier messages with these words to the model.", _recall),
    Command("/recallall", "WORDS", "The same, from all chats.", partial(_recall, everywhere=True)),
    Command("/summary", "TEXT", "Say, or set, the summary of what no longer fits.", _summary),
    Command("/system", "TEXT", "Have the model read this first.", _system),
    Command("/schema", "FIELDS or FILE", "Answers are JSON with these. Alone: no more.", _schema),
    Command("/model", "NAME", "Answer with another model. Alone: say which answers.", _model),
    Command("/help", "", "List the commands.", _help),
    Command("/quit", "", "Leave; nothing is lost.", _quit),
)
