"""Commands for pictures of ``phichat chat --plain``."""

from __future__ import annotations

from assistant.cli.plain_chat import LISTED, PlainChat, described, number_of
from assistant.values.conversation import PictureFile, Role
from assistant.values.errors import PhichatError
from assistant.values.region import box_of
from assistant.values.text import one_line


def attach(chat: PlainChat, typed: str) -> None:
    if typed:
        found = chat.engine.pictures.find_dropped(typed)
        for source in (typed,) if found.words else found.sources:
            chat.open_picture(source)
        return
    for number, file in enumerate(chat.attached, 1):
        chat.say(f"Attached {number}: {described(file)}")
    if not chat.attached:
        chat.say("Nothing is attached. Name a file: /attach holiday.jpg")


def paste(chat: PlainChat, _: str) -> None:
    ask = chat.input.ask_terminal if chat.input.is_terminal else None
    chat.attach(chat.engine.pictures.open_clipboard(ask))


def take_off(chat: PlainChat, number: str) -> None:
    at = number_of(number, len(chat.attached))
    if not 0 < at <= len(chat.attached):
        raise PhichatError("There is no such picture: /attach alone lists them.")
    chat.say(f"Taken off: {one_line(chat.attached.pop(at - 1).name)}.")


def region(chat: PlainChat, argument: str) -> None:
    """Attach a part of a picture of the chat, or of the one that was attached last."""
    number, _, typed = argument.partition(" ")
    if "," in number:
        number, typed = "", argument
    file = _picture(chat, number)
    box = box_of("".join(typed.split()), file.width, file.height, file.name)
    chat.attach(chat.engine.pictures.cut(file, file.data, box))


def _picture(chat: PlainChat, number: str) -> PictureFile:
    """Find a picture by its number in the chat, by default the one that was attached last."""
    number = number.removeprefix("#")
    if not number and chat.attached:
        return chat.attached[-1]
    if not number.isdecimal():
        raise PhichatError("Give the picture's number: /region 1 10%,10%,50%,50%")
    return chat.engine.store.picture_file(chat.open(), int(number))


def pin(chat: PlainChat, number: str, *, pinned: bool = True) -> None:
    """Pin a picture of the chat, or without a number the last message."""
    store, number = chat.engine.store, number.removeprefix("#")
    how = "always sees" if pinned else "need not see"
    if number:
        if not number.isdecimal():
            raise PhichatError("Give the picture's number: /pin 1")
        store.set_picture_pinned(chat.open(), int(number), pinned)
        chat.say(f"The model {how} picture {number}.")
    else:
        store.set_turn_pinned(chat.last(Role.USER).id, pinned)
        chat.say(f"The model {how} your last message and its reply.")


def list_all(chat: PlainChat, words: str) -> None:
    found = chat.engine.store.all_pictures(words, limit=LISTED)
    if not found:
        chat.say("No picture has these words." if words else "No chat has a picture yet.")
    for one in found:
        where = f"picture {one.picture.number} of {one.session_id}, {one_line(one.session_title)}"
        chat.say(f"{described(one.picture)}: {where}")
