"""Search: each database finds candidates in its own way; ranking is common to all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, literal, null, select, text
from sqlalchemy.orm import Session

from assistant.values.conversation import FoundIn, Role, SearchHit
from storage.rows import session_row
from storage.schema import PICTURE_OF_TURN, SessionPictureRow, SessionRow, TurnPictureRow, TurnRow
from storage.search import query
from storage.search.query import Wanted

CANDIDATES = 1000
"""Turns that are ranked: the newest that match. A common word is in most of a million."""

_FEW = 200
"""Titles that are ranked, and names of pictures."""

_RANKED_BY = 20_000
"""Characters at the beginning of a turn that its rank is computed from."""

_WEIGHTS = {FoundIn.TURN: 1.0, FoundIn.TITLE: 2.0, FoundIn.PICTURE: 2.0}


@dataclass(frozen=True, slots=True)
class _Candidate:
    found_in: FoundIn
    key: int
    """Of the turn, or of the session for titles and pictures."""
    number: int
    """Of the picture."""
    words: str


def search(
    db: Session, words: str, *, limit: int = 50, session_id: str | None = None
) -> list[SearchHit]:
    """Find turns of every branch, titles and names of pictures with all these words, best first.

    ``"words in quotes"`` must follow one another; ``word*``, and the last word while nothing is
    typed after it, match longer words. Case and accents make no difference; pieces of Chinese,
    Japanese, Korean or Thai text and single emoji are found. Nothing that is typed is an error:
    words that can't be searched for find nothing. ``session_id`` searches one session only.

    Of the turns that match, the newest 1,000 are ranked (by BM25, a longer turn needs more of the
    words), of titles and names the newest 200: a common word takes no longer than a rare one. A
    reply is found once it has ended.
    """
    wanted = query.parse(words)
    if not wanted:
        return []
    session = None if session_id is None else session_row(db, session_id).key
    ranked: list[tuple[float, int, _Candidate]] = []
    candidates = _candidates(db, wanted, session)
    for found_in, weight in _WEIGHTS.items():
        found = [candidate for candidate in candidates if candidate.found_in is found_in]
        scores = query.scores(wanted, [candidate.words for candidate in found])
        for order, (score, candidate) in enumerate(zip(scores, found, strict=True)):
            ranked.append((score * weight, -order, candidate))
    ranked.sort(key=lambda each: each[:2], reverse=True)
    del ranked[limit:]
    described = _described(db, [candidate for *_, candidate in ranked])
    hits = []
    for score, _, candidate in ranked:
        if candidate not in described:
            continue  # of a damaged database: the row that the index names is not whole
        of_session, title, turn_id, whole, created, role = described[candidate]
        hits.append(
            SearchHit(
                session_id=of_session,
                session_title=title,
                turn_id=turn_id,
                found_in=candidate.found_in,
                snippet=query.snippet(whole, wanted),
                score=score,
                created=created,
                role=None if role is None else Role(role),
            )
        )
    return hits


# What finds the candidates: SQLite walks its index from the newest row and stops when it has
# enough, which the order of the joins makes sure of.
_SQLITE = {
    FoundIn.TURN: """
        SELECT t.key, 0, substr(coalesce(t.words, t.text), 1, :characters)
        FROM turn_search
        CROSS JOIN turns t ON t.key = turn_search.rowid
        CROSS JOIN sessions s ON s.key = t.session_key
        WHERE turn_search MATCH :query AND s.deleted IS NULL
        ORDER BY turn_search.rowid DESC LIMIT :most""",
    FoundIn.TITLE: """
        SELECT s.key, 0, coalesce(s.title_words, s.title)
        FROM title_search CROSS JOIN sessions s ON s.key = title_search.rowid
        WHERE title_search MATCH :query AND s.deleted IS NULL
        AND title_search.rowid BETWEEN :first_session AND :last_session
        ORDER BY title_search.rowid DESC LIMIT :most""",
    FoundIn.PICTURE: """
        SELECT s.key, p.number, coalesce(p.name_words, p.name)
        FROM picture_search
        CROSS JOIN session_pictures p
            ON p.session_key = picture_search.rowid >> 20
            AND p.number = picture_search.rowid & 0xFFFFF
        CROSS JOIN sessions s ON s.key = p.session_key
        WHERE picture_search MATCH :query AND s.deleted IS NULL
        AND picture_search.rowid BETWEEN :first_session << 20 AND :last_session << 20 | 0xFFFFF
        ORDER BY picture_search.rowid DESC LIMIT :most""",
}
# PostgreSQL: see m0010_private_search.py. One statement, because each is a way to the server and
# back. LATERAL and OFFSET, so that each row that is found is looked up by its key: the server takes
# it that a function returns a thousand rows, and would read a whole table, whose every row it would
# first ask whose it is.
_FOUND = """phichat_found(
        CURRENT_USER, {kind}, CAST(:query AS tsquery), CAST(:session AS integer),
        ARRAY(SELECT key FROM sessions WHERE deleted IS NOT NULL), {most}
    ) f, LATERAL"""
_POSTGRESQL = f"""
    SELECT '{FoundIn.TURN}', o.* FROM {_FOUND.format(kind=0, most=CANDIDATES)} (
        SELECT t.key, 0, substr(coalesce(t.words, t.text), 1, {_RANKED_BY})
        FROM turns t WHERE t.key = f.key OFFSET 0
    ) o
    UNION ALL
    SELECT '{FoundIn.TITLE}', o.* FROM {_FOUND.format(kind=1, most=_FEW)} (
        SELECT s.key, 0, coalesce(s.title_words, s.title)
        FROM sessions s WHERE s.key = f.key OFFSET 0
    ) o
    UNION ALL
    SELECT '{FoundIn.PICTURE}', o.* FROM {_FOUND.format(kind=2, most=_FEW)} (
        SELECT p.session_key, p.number, coalesce(p.name_words, p.name)
        FROM session_pictures p WHERE p.session_key = f.key AND p.number = f.number OFFSET 0
    ) o
    ORDER BY 2 DESC, 3 DESC"""  # noqa: S608  (all names are this file's own)
_ANY_SESSION = (0, 2**31 - 1)


def _candidates(db: Session, wanted: Sequence[Wanted], session: int | None) -> list[_Candidate]:
    """Find the newest turns, titles and names that match, of each kind the newest first."""
    if db.get_bind().dialect.name == "sqlite":
        return [one for found_in in _SQLITE for one in _in_file(db, found_in, wanted, session)]
    parameters = {"query": _tsquery(wanted), "session": session}
    found = db.execute(text(_POSTGRESQL), parameters)
    return [_Candidate(FoundIn(found_in), *row) for found_in, *row in found]


def _in_file(
    db: Session, found_in: FoundIn, wanted: Sequence[Wanted], session: int | None
) -> list[_Candidate]:
    statement = _SQLITE[found_in]
    parameters: dict[str, object] = {"most": _FEW, "query": _match(wanted)}
    if found_in is FoundIn.TURN:
        parameters |= {"most": CANDIDATES, "characters": _RANKED_BY}
        if session is not None:
            parameters["query"] = f'session : "s{session}" AND {_match(wanted)}'
    else:
        first, last = _ANY_SESSION if session is None else (session, session)
        parameters |= {"first_session": first, "last_session": last}
    return [_Candidate(found_in, *row) for row in db.execute(text(statement), parameters)]


def _match(wanted: Sequence[Wanted]) -> str:
    """As FTS5 understands it. Terms are letters and digits: nothing in them needs quoting."""
    all_of = " AND ".join(
        f'"{" ".join(each.terms)}"{" *" if each.open_ended else ""}' for each in wanted
    )
    return f"words : ({all_of})"


def _tsquery(wanted: Sequence[Wanted]) -> str:
    """As PostgreSQL understands it; words as short as :file:`m0003_search.py` indexes them."""
    return " & ".join(
        "("
        + " <-> ".join(f"'{word[:60]}'" for term in each.terms for word in term.split())
        + (":*)" if each.open_ended else ")")
        for each in wanted
    )


def _described(
    db: Session, candidates: Sequence[_Candidate]
) -> dict[_Candidate, tuple[str, str, str | None, str, datetime, str | None]]:
    """For each candidate: session id and title, turn id, the whole text, moment and role."""
    found = {}
    for found_in, statement in (
        (FoundIn.TURN, _turns()),
        (FoundIn.TITLE, _titles()),
        (FoundIn.PICTURE, _pictures()),
    ):
        wanted = {(c.key, c.number): c for c in candidates if c.found_in is found_in}
        if wanted:
            keys = {key for key, _ in wanted}
            of_keys = statement.where(statement.selected_columns[0].in_(keys))
            for key, number, *rest in db.execute(of_keys):
                if candidate := wanted.get((key, number)):
                    found[candidate] = tuple(rest)
    return found


def _turns() -> Select[*tuple[Any, ...]]:
    return select(
        TurnRow.key,
        literal(0),
        SessionRow.id,
        SessionRow.title,
        TurnRow.id,
        TurnRow.text,
        TurnRow.created,
        TurnRow.role,
    ).join(SessionRow, SessionRow.key == TurnRow.session_key)


def _titles() -> Select[*tuple[Any, ...]]:
    return select(
        SessionRow.key,
        literal(0),
        SessionRow.id,
        SessionRow.title,
        null(),
        SessionRow.title,
        SessionRow.created,
        null(),
    )


def _pictures() -> Select[*tuple[Any, ...]]:
    """Read pictures with the turns that show them, the first turn last."""
    return (
        select(
            SessionPictureRow.session_key,
            SessionPictureRow.number,
            SessionRow.id,
            SessionRow.title,
            TurnRow.id,
            SessionPictureRow.name,
            TurnRow.created,
            TurnRow.role,
        )
        .join(SessionRow, SessionRow.key == SessionPictureRow.session_key)
        .join(TurnPictureRow, PICTURE_OF_TURN)
        .join(TurnRow, TurnRow.key == TurnPictureRow.turn_key)
        .order_by(TurnRow.key.desc())
    )
