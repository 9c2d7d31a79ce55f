"""Any text there and back: through ids, through messages, through a stream cut anywhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from hypothesis import given, strategies as st
from PIL import Image

from assistant.families.chat import ChatTemplate
from assistant.servers.address import Address
from assistant.servers.messages import as_json, messages
from assistant.servers.pictures import SMALLEST, AnyPictures
from assistant.servers.reply import Reply
from assistant.servers.sse import EventStream
from assistant.servers.vocabulary import STYLE, TextVocabulary
from assistant.values.conversation import Picture, Role, Turn
from assistant.values.prompt import Slot

VOCABULARY = TextVocabulary()
CHAT = ChatTemplate(STYLE, TextVocabulary)
NAMES = ["start", "system", "user", "assistant", "end"]
HOSTILE = st.lists(
    st.one_of(
        st.text(),
        st.sampled_from(
            [*NAMES, "\n", "\r\n", "\x00", "\x1b[2J", "\u2581", " ", "👩‍👩‍👧", "<0x0A>"]
        ),
    )
).map("".join)


def whole(text: str) -> str:
    """Return what UTF-8 can hold of a text."""
    return text.encode("utf-8", "replace").decode()


@given(HOSTILE)
def test_any_text_there_and_back_and_never_a_control_token(text: str) -> None:
    ids = VOCABULARY.encode(text)
    assert VOCABULARY.text(ids) == whole(text)
    assert all(VOCABULARY.control_name(one) is None for one in ids)
    assert all(0xFF < one < 1 << 25 for one in ids)
    stream = VOCABULARY.stream()
    pieces = [stream.feed((one,)) for one in ids]
    assert "".join(pieces) + stream.flush() == whole(text)
    assert "\ufffd" not in "".join(pieces) or "\ufffd" in text


def test_control_tokens_have_names_and_no_text() -> None:
    for name in NAMES:
        assert VOCABULARY.control_name(VOCABULARY.id(name)) == name
        assert VOCABULARY.stream().feed((VOCABULARY.id(name),)) == ""
    assert VOCABULARY.control_name(0) is None
    assert VOCABULARY.control_name(len(NAMES) + 1) is None


def turn(role: Role, text: str, pictures: int = 0) -> Turn:
    shown = tuple(Picture(n, f"{n}", f"{n}", f"{n}", "image/png", 9, 9) for n in range(pictures))
    return Turn("", None, role, text, datetime.now(UTC), shown)


def slot(picture: Picture) -> Slot:
    return Slot(picture.pixels_sha256, 1, 313)


SAID = st.lists(st.tuples(HOSTILE, st.integers(0, 3), HOSTILE.filter(bool)), min_size=1, max_size=4)


@given(st.none() | HOSTILE.filter(bool), SAID)
def test_a_prompt_back_as_messages(system: str | None, said: list[tuple[str, int, str]]) -> None:
    turns, expected = [], []
    if system:
        expected.append({"role": "system", "content": whole(system)})
    for place, (question, pictures, reply) in enumerate(said):
        turns.append(turn(Role.USER, question, pictures))
        parts: list[Any] = [
            {"type": "image_url", "image_url": {"url": f"{n}"}} for n in range(pictures)
        ]
        if question:
            parts.append({"type": "text", "text": whole(question)})
        content = parts if pictures else whole(question)
        expected.append({"role": "user", "content": content})
        if place < len(said) - 1:
            spoken = Turn(
                "", None, Role.ASSISTANT, reply, datetime.now(UTC),
                token_ids=VOCABULARY.encode(reply),
            )  # fmt: skip
            turns.append(spoken)
            expected.append({"role": "assistant", "content": whole(reply)})
    prompt = CHAT.render(turns, slot, system=system)
    assert [
        as_json(one, lambda slot: {"url": slot.pixels_sha256}) for one in messages(prompt)
    ] == expected


@given(HOSTILE.filter(bool))
def test_a_half_reply_is_a_message_to_go_on_with(begun: str) -> None:
    prompt = CHAT.render([turn(Role.USER, "Hi")], slot, begun=VOCABULARY.encode(begun))
    *_, last = messages(prompt)
    assert (last.role, last.parts, last.whole) == (Role.ASSISTANT, [whole(begun)], False)


def test_a_summary_and_the_question_after_it_are_one_message() -> None:
    prompt = CHAT.render([turn(Role.USER, "Hi", 1)], slot, summary="We spoke.")
    (said,) = messages(prompt)
    words, picture, question = said.parts
    assert isinstance(words, str)
    assert words.endswith("We spoke.")
    assert (picture, question) == (Slot("0", 1, 313), "Hi")


# The stream


LINE_ENDS = st.sampled_from(["\n", "\r\n", "\r"])


@given(
    st.lists(HOSTILE, max_size=5),
    LINE_ENDS,
    st.booleans(),
    st.lists(st.integers(0, 400)),
    st.data(),
)
def test_events_cut_anywhere(
    texts: list[str], end: str, is_closed: bool, cuts: list[int], data: st.DataObject
) -> None:
    """Multi-byte characters, comments, other fields, three kinds of line ends."""
    stream = "\ufeff" if data.draw(st.booleans()) else ""
    for text in texts:
        lines = [
            ": a comment",
            "id: 7",
            "event: x",
            f"data: {json.dumps(text, ensure_ascii=False)}",
        ]
        stream += end.join(whole(line) for line in lines) + end * 2
    if not is_closed:
        stream = stream.rstrip("\r\n")
    raw = stream.encode()
    borders = sorted({0, len(raw), *(min(cut, len(raw)) for cut in cuts)})
    events, found = EventStream(), []
    for start, stop in pairwise(borders):
        found += events.feed(raw[start:stop])
    found += events.finish()
    assert [json.loads(one) for one in found] == [whole(text) for text in texts]


def test_one_event_of_several_lines_and_none_of_a_comment() -> None:
    events = EventStream()
    assert list(events.feed(b"data: a\r\ndata:b\r\n\r")) == []
    assert list(events.feed(b"\n:\n\ndata\n\n")) == ["a\nb", ""]
    assert list(events.finish()) == []


class Pieces:
    """An exchange that was heard already."""

    def __init__(self, pieces: list[Any]) -> None:
        self._pieces = iter(pieces)

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> Any:
        return next(self._pieces)


def test_halves_of_a_character_in_two_events_are_one() -> None:
    from assistant.servers.request import Head

    halves = [rb"\ud83d", rb"\ude00 \udc00 x\ud83d"]
    raw = [b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % half for half in halves]
    heard = Pieces([Head(200, "text/event-stream", ""), *raw, b"data: [DONE]\n\n"])
    text = "".join(Reply(Address("http://h/v1")).read(heard))  # type: ignore[arg-type]
    assert text == "😀 \ufffd x\ufffd"


@given(st.integers(1, 9000), st.integers(1, 9000), st.integers(1, 20))
def test_no_more_tiles_than_show_every_pixel(width: int, height: int, most: int) -> None:
    chosen = AnyPictures(most).layout(width, height, most)
    assert chosen.detail <= most
    whole = max(width, SMALLEST), max(height, SMALLEST)
    assert max(chosen.size) <= max(whole)
    assert chosen.detail == most or chosen.size == whole, "no pixel is lost"
    sent = AnyPictures(most).shrunk(Image.new("L", (width, height)), chosen.detail, 0)
    assert sent.size == chosen.size, "it is what the page says"
