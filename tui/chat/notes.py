"""Notes above turns that the model does not see, whole or in part."""

from __future__ import annotations

from collections.abc import Sequence

from assistant.values.context import LeftOut, Why
from assistant.values.conversation import Turn

BOUNDARY = "↑ the model no longer sees what is above"
BOUNDARY_PINNED = "↑ of what is above the model sees only what is pinned"
NO_ROOM = "∅ no room: the model doesn't see this"
PICTURE_WORDS = {
    Why.NO_ROOM: "no room for it",
    Why.EXCLUDED: "taken out",
    Why.NOT_TAKEN: "more than the server takes",
}


def seen_words(turns: Sequence[Turn], left_out: Sequence[LeftOut]) -> dict[str, str]:
    """Return notes by the ids of turns; the model sees a turn without a note whole.

    A turn that the user took out says so itself; the note is for the reply that went with it.
    """
    gone = {one.turn.id: one.why for one in left_out if one.picture is None}
    words: dict[str, str] = {}
    boundary = None
    for place, turn in enumerate(turns):
        why = gone.get(turn.id)
        if why is Why.NO_ROOM:
            words[turn.id] = NO_ROOM
            boundary = place + 1
        elif why is Why.EXCLUDED and not turn.excluded:
            words[turn.id] = "∅ taken out with its message: the model doesn't see this"
    for one in left_out:
        if one.picture is not None and one.turn.id not in gone:
            said = f"∅ picture {one.picture.number} left out: {PICTURE_WORDS[one.why]}"
            words[one.turn.id] = "  ".join(filter(None, (words.get(one.turn.id), said)))
    if boundary is not None and boundary < len(turns):
        above = (turn.id for turn in turns[:boundary])
        mark = BOUNDARY if all(turn_id in gone for turn_id in above) else BOUNDARY_PINNED
        first = turns[boundary].id
        words[first] = "  ".join(filter(None, (mark, words.get(first))))
    return words
