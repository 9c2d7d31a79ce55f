"""Pictures of all chats: listed where they were attached, and found again by content and look."""

from __future__ import annotations

from dataclasses import replace

import pytest
from PIL import Image, ImageDraw

from assistant.pictures import decode
from assistant.values.conversation import Draft, FinishReason
from storage.store import Store
from tests.pictures.picture_files import encoded
from tests.storage.stored_pictures import make_picture


def photo(scale: float = 1.0, light: int = 0) -> Image.Image:
    """A drawing with structure all over, smaller and lighter on wish."""
    image = Image.new("RGB", (640, 480), (90 + light, 120 + light, 60 + light))
    draw = ImageDraw.Draw(image)
    for n in range(24):
        left, top, grey = 97 * n % 600, 173 * n % 440, 37 * n % 200
        draw.rectangle(
            (left, top, left + 90, top + 70), fill=(grey + light, 60 + light, 90 + light)
        )
    return image.resize((round(640 * scale), round(480 * scale)), Image.Resampling.LANCZOS)


def test_pictures_are_listed_by_name_and_by_what_was_said(store: Store) -> None:
    cat, bill = make_picture("cat", "cat.png"), make_picture("bill", "IMG_1.png")
    session, question = store.add_user_turn(None, Draft("What animal?", (cat,)))
    reply = store.start_reply(session, question.id, model="demo")
    store.finish_reply(
        reply.id,
        text="A Persian.",
        token_ids=None,
        finish_reason=FinishReason.STOP,
        usage=None,
        timings=None,
    )
    other, _ = store.add_user_turn(None, Draft("How much is it?", (bill, cat)))
    store.rename(other, "Bills")
    every = store.all_pictures()
    assert [one.picture.name for one in every] == ["IMG_1.png", "cat.png", "cat.png"]
    assert [(one.session_id, one.picture.number) for one in every] == [
        (other, 1),
        (other, 2),
        (session, 1),
    ]
    assert every[2].turn_id == question.id
    for words, found in (("persian", 1), ("CAT", 2), ("bills img", 1), ("much", 2), ("dog", 0)):
        assert len(store.all_pictures(words)) == found, words
    store.delete(other)
    assert [one.session_id for one in store.all_pictures()] == [session]
    again = store.picture_file(session, 1)
    assert (again.data, again.name) == (cat.data, "cat.png")


def test_a_picture_is_found_again_by_its_pixels_then_by_its_look(store: Store) -> None:
    original = decode.open_bytes(encoded(photo()), name="a.png")
    store.add_user_turn(None, Draft("See", (original,)))
    copy = decode.open_bytes(encoded(photo(), compress_level=0), name="b.png")
    assert copy.sha256 != original.sha256
    found = store.shown_before(copy)
    assert found is not None
    assert found.picture.name == "a.png"
    changed = encoded(photo(0.5, light=12), "JPEG", quality=60)
    smaller = decode.open_bytes(changed, name="c.jpg")
    found = store.shown_before(smaller)
    assert found is not None
    assert found.picture.pixels_sha256 != smaller.pixels_sha256
    turned = encoded(photo().transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    assert store.shown_before(decode.open_bytes(turned)) is None


@pytest.mark.parametrize("shade", [0, 200])
def test_a_plain_picture_looks_like_nothing(store: Store, shade: int) -> None:
    plain = Image.new("RGB", (60, 40), (shade, shade, shade))
    other = plain.copy()
    other.putpixel((3, 3), (9, 9, 9))
    store.add_user_turn(None, Draft("See", (decode.open_bytes(encoded(plain)),)))
    assert store.shown_before(decode.open_bytes(encoded(other))) is None


def test_one_from_before_there_were_looks_is_found_by_its_pixels(store: Store) -> None:
    old = replace(decode.open_bytes(encoded(photo()), name="old.png"), look=None)
    store.add_user_turn(None, Draft("See", (old,)))
    assert store.shown_before(decode.open_bytes(encoded(photo()))) is not None
    assert store.shown_before(decode.open_bytes(encoded(photo(0.5)))) is None
