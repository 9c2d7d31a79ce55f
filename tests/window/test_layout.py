"""Crops, refusals, reports: what the user sees about the prompt, and that it is true."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from assistant.engine.engine import Engine
from assistant.families.registry import model_facts
from assistant.phi3v.pictures import Phi3VPictures
from assistant.values.context import ChosenBy, Why
from assistant.values.conversation import Draft, Picture, PictureFile, Role, Turn
from assistant.values.errors import PhichatError
from assistant.values.events import ContextPlanned
from assistant.values.prompt import Slot
from assistant.window.fit import choose_details
from assistant.window.layout import Layout, Request
from tests.engine.conftest import MakeEngine, new_session, picture, said, send

VGA = (640, 480)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def vga(colour: str, num_crops: int | None = None) -> PictureFile:
    return replace(picture(colour, VGA), num_crops=num_crops)


def numbers(engine: Engine, session: str | None, *files: PictureFile) -> list[tuple[int, ChosenBy]]:
    context = engine.prompts.context(session, Draft("x", files))
    return [(one.layout.detail, one.chosen_by) for one in context.pictures]


# Crops


def test_a_picture_has_the_models_own_crops_while_there_is_room(make: MakeEngine) -> None:
    engine, _ = make(num_crops=16)
    assert numbers(engine, None, vga("red"), vga("blue")) == [(16, ChosenBy.DEFAULT)] * 2


def test_a_small_context_gives_a_picture_fewer_crops(make: MakeEngine) -> None:
    """A third of a prompt for the pictures of a turn: three turns can be talked about."""
    engine, _ = make(num_crops=16, context=4096)
    assert numbers(engine, None, vga("red")) == [(4, ChosenBy.ROOM)]
    assert numbers(engine, None, vga("red"), vga("blue")) == [(1, ChosenBy.ROOM)] * 2
    session = new_session(engine, "a", vga("red"))
    for colour in ("blue", "green"):
        events = send(engine, session, "b", vga(colour))
        (planned,) = (event.context for event in events if isinstance(event, ContextPlanned))
        assert [one.chosen_by for one in planned.pictures][-1] is ChosenBy.ROOM
        assert planned.lowered == planned.pictures[-1:], "the front end is told"
    assert not planned.left_out
    assert len(planned.pictures) == 3


def test_what_was_sent_keeps_its_crops(make: MakeEngine) -> None:
    small, small_core = make(num_crops=16, context=4096)
    session = new_session(small, "a", vga("red"))
    big, core = make(num_crops=16)
    send(big, session, "b", vga("blue"))
    first, second = core.prompts[0].slots
    assert first == small_core.prompts[0].slots[0]
    assert (first.detail, second.detail) == (4, 16)
    stored = big.store.conversation(session).pictures
    assert [one.num_crops for one in stored] == [4, None]
    list(big.regenerate(session))
    assert core.prompts[1] == core.prompts[0]


def test_a_persons_choice_is_kept_while_it_fits(make: MakeEngine) -> None:
    engine, core = make(num_crops=16, context=4096)
    assert numbers(engine, None, vga("red", 9), vga("blue")) == [
        (9, ChosenBy.STORED),
        (1, ChosenBy.ROOM),
    ]
    session = new_session(engine, "a", vga("red", 9))
    assert core.prompts[0].slots[0].detail == 9
    engine.store.set_picture_crops(session, 1, 1)
    assert engine.prompts.preview(session).prompt.slots[0].detail == 1


def test_a_stored_choice_that_no_longer_fits_is_lowered(make: MakeEngine) -> None:
    big, _ = make(num_crops=16)
    session = new_session(big, "a", vga("red", 16))
    small, core = make(num_crops=16, context=2048)
    list(small.regenerate(session))
    assert core.prompts[0].slots[0].detail == 1
    assert small.store.conversation(session).pictures[0].num_crops == 1


@given(
    sizes=st.lists(
        st.tuples(st.integers(20, 4000), st.integers(20, 4000), st.none() | st.just(4)),
        min_size=1,
        max_size=6,
    ),
    default=st.sampled_from([1, 4, 16, 25]),
    budget=st.integers(300, 130_000),
    taken=st.floats(0, 1),
)
def test_chosen_crops_fit_or_nothing_does(
    sizes: list[tuple[int, int, int | None]], default: int, budget: int, taken: float
) -> None:
    shown = [
        Picture(n, "p", "a", "b", "image/png", width, height, num_crops)
        for n, (width, height, num_crops) in enumerate(sizes)
    ]

    form = Phi3VPictures(default)

    def cost(details: Sequence[int]) -> int:
        return sum(
            form.layout(p.width, p.height, detail).tokens
            for p, detail in zip(shown, details, strict=True)
        )

    room = int(budget * (1 - taken))
    chosen = choose_details(shown, cost, form=form, budget=budget, room=room)
    own = tuple(p.num_crops or default for p in shown)
    least = tuple(p.num_crops or 1 for p in shown)
    if chosen is None:
        assert cost(least) > room
    else:
        assert cost(chosen) <= room
        assert all(n == p.num_crops for n, p in zip(chosen, shown, strict=True) if p.num_crops)
    if cost(own) <= min(room, budget / 3):
        assert chosen == own


def test_a_long_thin_picture_gets_the_crops_that_show_it(make: MakeEngine) -> None:
    """336 pixels wide it would be less than one pixel high."""
    assert Phi3VPictures().layout(1, 400, 1).detail == 4
    with pytest.raises(ValueError, match="thin"):
        Phi3VPictures().layout(1, 6000, 16)
    engine, _ = make(context=4096, num_crops=16)
    files = [picture("red", (1, 400)) for _ in range(3)]
    context = engine.prompts.context(None, Draft("x", tuple(files)))
    assert {one.layout.detail for one in context.pictures} == {4}


# Refusals


def refused(engine: Engine, session: str | None, text: str, *files: PictureFile) -> str:
    with pytest.raises(PhichatError) as raised:
        send(engine, session, text, *files)
    assert raised.value.code == "too_long"
    with pytest.raises(PhichatError, match=re.escape(str(raised.value))):
        engine.prompts.preview(session, Draft(text, files))
    context = engine.prompts.context(session, Draft(text, files))
    assert f"takes {context.used - context.budget:,} tokens" in str(raised.value).replace(
        "take ", "takes "
    )
    return str(raised.value)


def test_a_refusal_names_the_crops_that_would_fit(make: MakeEngine) -> None:
    engine, _ = make(num_crops=16, context=4096)
    words = refused(engine, None, "x", vga("red", 16), vga("blue", 16))
    assert "This message and its 2 pictures take" in words
    assert "with at most 9 crops a picture it would fit" in words
    fitting = [vga(colour, 9) for colour in ("red", "blue")]
    assert send(engine, None, "x", *fitting)
    assert len(engine.store.sessions()) == 1


def test_a_refusal_names_how_many_pictures_would_fit(make: MakeEngine) -> None:
    engine, _ = make(context=2048)
    files = [vga("red")] * 5
    assert "3 of the 5 would fit, at one crop each" in refused(engine, None, "x", *files)
    assert send(engine, None, "x", *files[:3])


def test_a_refusal_names_the_characters_to_go(make: MakeEngine) -> None:
    engine, _ = make(context=2048)
    text = "a" * 3000
    words = refused(engine, None, text)
    (characters,) = re.findall(r"about ([\d,]+) characters", words)
    too_many = int(characters.replace(",", ""))
    assert send(engine, None, text[:-too_many])
    with pytest.raises(PhichatError):
        send(engine, None, text[: 1 - too_many])
    assert "it would fit without the pictures" in refused(engine, None, "a" * 900, vga("red"))


def test_a_refusal_says_that_too_much_is_pinned(make: MakeEngine) -> None:
    engine, _ = make(context=1000, max_new_tokens=100)
    session = new_session(engine, "a" * 700)
    send(engine, session, "b" * 170)
    engine.store.set_turn_pinned(engine.store.conversation(session).turns[0].id, True)
    engine.store.set_turn_pinned(engine.store.conversation(session).turns[2].id, True)
    with pytest.raises(PhichatError, match=r"what you pinned takes .*: let go of some"):
        send(engine, session, "c")


# Reports


@pytest.mark.slow
def test_the_report_counts_what_the_prompt_has(make: MakeEngine) -> None:
    engine, core = make(["A reply."], num_crops=4, context=8192)
    session = new_session(engine, "a", vga("red"))
    engine.store.set_system(session, "Be brief.")
    for number in range(4):
        send(engine, session, f"b{number}", *[vga("blue")] * (number % 2))
        context = engine.prompts.context(session, Draft("next"))
        preview = engine.prompts.preview(session, Draft("next"))
        assert context == preview.context
        assert context.used == preview.prompt.tokens
        assert context.picture_tokens == preview.prompt.picture_tokens
        assert [one.tokens for one in context.pictures] == [s.tokens for s in preview.prompt.slots]
        assert context.until_eviction == context.budget - context.used
        send(engine, session, "next")
        assert core.prompts[-1].tokens == context.used
    assert context.system_tokens > 0


def test_what_is_left_of_the_window_is_exactly_that(make: MakeEngine) -> None:
    engine, _ = make(["Yes."], context=1200, max_new_tokens=200)
    session = new_session(engine, "a" * 300)
    free = engine.prompts.context(session, Draft("")).until_eviction
    assert not engine.prompts.context(session, Draft("b" * free)).left_out
    left_out = engine.prompts.context(session, Draft("b" * (free + 1))).left_out
    assert [one.why for one in left_out] == [Why.NO_ROOM] * 2


def test_a_marker_stands_where_a_picture_was(make: MakeEngine) -> None:
    engine, core = make(["Yes."], context=2600)
    session = new_session(engine, "a", vga("red"))
    send(engine, session, "b", vga("blue"))
    send(engine, session, "c", vga("green"))
    assert len(core.prompts[-1].slots) == 3
    send(engine, session, "d" * 600)
    assert "\n[picture 1 was left out]\na" in said(core.prompts[-1])
    assert "\n[picture 2 was left out]\nb" in said(core.prompts[-1])
    assert [one.pixels_sha256 for one in core.prompts[-1].slots] == [vga("green").pixels_sha256]
    gone = engine.prompts.context(session).left_out
    assert [one.picture and one.picture.number for one in gone] == [1, 2]


def test_an_excluded_turn_is_not_in_the_prompt(make: MakeEngine) -> None:
    engine, core = make(["Yes."])
    session = new_session(engine, "the secret")
    send(engine, session, "b")
    engine.store.set_turn_excluded(engine.store.conversation(session).turns[0].id, True)
    send(engine, session, "c")
    assert "secret" not in said(core.prompts[-1])
    assert [one.why for one in engine.prompts.context(session).left_out] == [Why.EXCLUDED] * 2
    engine.store.set_turn_excluded(engine.store.conversation(session).turns[0].id, False)
    assert "secret" in said(engine.prompts.preview(session).prompt)


# Property: whatever the history, the prompt is what was promised


class Limited:
    """A layout whose core holds as much as a test says."""

    def __init__(self, folder: Path) -> None:
        self.limit = 0
        facts = replace(model_facts(str(folder), detail=16), name="scripted")
        self.layout = Layout(facts, lambda: self.limit)


@pytest.fixture(scope="module")
def layouts(random_folder: Path) -> tuple[Limited, Limited]:
    return Limited(random_folder), Limited(random_folder)


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
sides = st.integers(40, 3000)


@st.composite
def branches(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    count = 0
    for number in range(draw(st.integers(0, 8))):
        shown = []
        for _ in range(draw(st.integers(0, 2))):
            count += 1
            limit = draw(st.sampled_from([None, 1, 4]))
            shown.append(Picture(count, "p", "a", f"{count}", "", draw(sides), draw(sides), limit))
        pinned, excluded = draw(st.integers(0, 5)) == 0, draw(st.integers(0, 5)) == 0
        turns.append(
            Turn(f"u{number}", None, Role.USER, draw(any_text), NOW, tuple(shown), pinned=pinned)
        )
        ids = draw(st.none() | st.lists(st.integers(3, 200), max_size=40).map(tuple))
        if ids and draw(st.integers(0, 5)) == 0:  # as an import may have it
            turns[-1] = replace(turns[-1], token_ids=ids)
            ids, shown = (2**32 - 1, *ids), shown[:1]
        else:
            shown = []
        model = draw(st.sampled_from(["scripted", "another"]))
        turns.append(
            Turn(
                f"a{number}", None, Role.ASSISTANT, draw(any_text), NOW, tuple(shown), ids,
                model=model, excluded=excluded,
            )
        )  # fmt: skip
    return (*turns, Turn("q", None, Role.USER, draw(any_text), NOW))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    turns=branches(), limit=st.integers(200, 9000), max_new=st.integers(1, 1500),
    system=st.none() | any_text,
)  # fmt: skip
def test_a_prompt_takes_what_was_counted_and_fits(
    turns: tuple[Turn, ...], limit: int, max_new: int, system: str | None,
    layouts: tuple[Limited, Limited],
) -> None:  # fmt: skip
    previews = []
    for limited in layouts:
        limited.limit = limit
        layout = limited.layout
        planned = layout.plan(Request(turns, system, max_new), fresh=True)
        previews.append(layout.preview(planned))
        prompt = previews[-1].prompt
        assert prompt.tokens == previews[-1].context.used
        assert len(prompt.slots) == len(previews[-1].context.pictures)
        for part in prompt.parts:
            assert isinstance(part, Slot) or layout.chat.vocabulary.knows(part)
        if planned.plan.fits:
            layout.check(planned)
            assert previews[-1].prompt.tokens + planned.max_new_tokens <= limit
        else:
            with pytest.raises(PhichatError):
                layout.check(planned)
    assert previews[0] == previews[1]


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.lists(any_text, max_size=6).map("".join), limit=st.integers(120, 3000),
    shown=st.lists(st.tuples(sides, sides, st.sampled_from([None, 1, 4, 16])), max_size=4),
    pinned=any_text, summaries=st.booleans(),
)  # fmt: skip
def test_what_a_refusal_names_fits(
    text: str, limit: int, shown: list[tuple[int, int, int | None]], pinned: str, summaries: bool,
    layouts: tuple[Limited, Limited],
) -> None:  # fmt: skip
    limited, _ = layouts
    limited.limit = limit
    pictures = tuple(Picture(n, "p", "a", f"{n}", "", *one) for n, one in enumerate(shown, 1))
    first = Turn("u", None, Role.USER, pinned, NOW, pinned=True)
    reply = Turn("a", None, Role.ASSISTANT, "Yes.", NOW)
    question = Turn("q", None, Role.USER, text, NOW, pictures)

    def refused(question: Turn) -> str | None:
        request = Request((first, reply, question), None, 60, summaries=summaries)
        planned = limited.layout.plan(request, fresh=True)
        try:
            limited.layout.check(planned)
        except PhichatError as error:
            return str(error)
        return None

    if (sentence := refused(question)) is None:
        return
    if found := re.search(r"with at most (\d+) crops? a picture", sentence):
        fewer = [replace(p, num_crops=min(p.num_crops or 16, int(found[1]))) for p in pictures]
        question = replace(question, pictures=tuple(fewer))
    elif found := re.search(r"(\d+) of the \d+ would fit", sentence):
        fewer = [replace(p, num_crops=1) for p in pictures[: int(found[1])]]
        question = replace(question, pictures=tuple(fewer))
    elif "without the pictures" in sentence:
        question = replace(question, pictures=())
    elif found := re.search(r"shorten the text by about (\d+) character", sentence):
        assert 0 < int(found[1]) <= len(text)
        question = replace(question, pictures=(), text=text[: len(text) - int(found[1])])
    else:
        assert "let go of some of it" in sentence
        assert refused(replace(question, pictures=(), text="x")) is not None
        return
    assert refused(question) is None


def test_the_meter_sees_what_another_terminal_stored(make: MakeEngine) -> None:
    engine, _ = make(["Yes."])
    other, _ = make(["No."])
    session = new_session(engine, "a")
    before = engine.prompts.context(session).used
    assert engine.prompts.context(session).used == before
    send(other, session, "b")
    assert engine.prompts.context(session).used > before
    engine.store.set_turn_excluded(engine.store.conversation(session).turns[2].id, True)
    assert engine.prompts.context(session).used == before
