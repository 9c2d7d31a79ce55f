"""Full-text search over turns, titles and the names of pictures.

SQLite: one FTS5 table each, without a copy of the text, kept in step by
triggers. PostgreSQL: one GIN index each over a function of the row. A reply
that is still being written is in neither, because it would be indexed again
twice a second.

A later migration that rebuilds one of these tables in SQLite has to make its
triggers again.

Revision ID: 0003
Revises: 0002
"""
# ruff: noqa: S608  (the names in these statements are this file's own)

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from storage.words import indexed

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# table, text column, words column
_SEARCHED = (
    ("turns", "text", "words"),
    ("sessions", "title", "title_words"),
    ("session_pictures", "name", "name_words"),
)
_ENDED = "{row}role <> 'assistant' OR {row}finish_reason IS NOT NULL"


def upgrade() -> None:
    for table, text, words in _SEARCHED:
        op.add_column(table, sa.Column(words, sa.Text()))
        _fill(table, text, words)
    if op.get_bind().dialect.name == "sqlite":
        for statement in _sqlite():
            op.execute(statement)
    else:
        op.execute(_VECTOR)
        for table, text, words in _SEARCHED:
            where = f" WHERE {_ENDED.format(row='')}" if table == "turns" else ""
            op.execute(
                f"CREATE INDEX ix_{table}_search ON {table} "
                f"USING gin (phichat_vector({words}, {text})){where}"
            )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for search in _FTS:
            for event in ("added", "changing", "changed", "removed"):
                op.execute(f"DROP TRIGGER {search}_{event}")
            op.execute(f"DROP TABLE {search}")
    else:
        for table, _, _ in _SEARCHED:
            op.execute(f"DROP INDEX ix_{table}_search")
        op.execute("DROP FUNCTION phichat_vector")
    for table, _, words in _SEARCHED:
        op.drop_column(table, words)


def _fill(table: str, text: str, words: str) -> None:
    """Store the words of all texts that aren't ASCII, a thousand rows at a time."""
    own = sa.table(table, sa.column(text), sa.column(words), *map(sa.column, _KEYS[table]))
    keys = [own.c[name] for name in _KEYS[table]]
    connection = op.get_bind()
    last: tuple[int, ...] | None = None
    change = sa.update(own).values({words: sa.bindparam("new")})
    for name, column in zip(_KEYS[table], keys, strict=True):
        change = change.where(column == sa.bindparam(f"of_{name}"))
    while True:
        some = sa.select(*keys, own.c[text]).order_by(*keys).limit(1000)
        if last is not None:
            some = some.where(sa.tuple_(*keys) > sa.tuple_(*(sa.literal(k) for k in last)))
        rows = connection.execute(some).all()
        if not rows:
            return
        last = tuple(rows[-1][:-1])
        found = [
            {"new": new} | {f"of_{n}": k for n, k in zip(_KEYS[table], row[:-1], strict=True)}
            for row in rows
            if (new := indexed(row[-1])) is not None
        ]
        if found:
            connection.execute(change, found)


_KEYS = {"turns": ("key",), "sessions": ("key",), "session_pictures": ("session_key", "number")}

# SQLite: name, its table, rowid, the session, the words, which rows. "session" narrows a search
# to one session; titles and pictures are narrowed by their rowid.
_FTS = {
    "turn_search": (
        "turns",
        "{row}.key",
        {"session": "'s' || {row}.session_key", "words": "coalesce({row}.words, {row}.text)"},
        "WHEN " + _ENDED.format(row="{row}."),
    ),
    "title_search": (
        "sessions",
        "{row}.key",
        {"words": "coalesce({row}.title_words, {row}.title)"},
        "",
    ),
    "picture_search": (
        "session_pictures",
        "({row}.session_key << 20) | {row}.number",
        {"words": "coalesce({row}.name_words, {row}.name)"},
        "",
    ),
}
_OPTIONS = (
    "content = '', prefix = '1 2 3', "
    "tokenize = \"unicode61 remove_diacritics 2 categories 'L* N* M* Co'\""
)


def _sqlite() -> Iterator[str]:
    for search, (table, rowid, columns, when) in _FTS.items():
        names = ", ".join(columns)
        yield f"CREATE VIRTUAL TABLE {search} USING fts5({names}, {_OPTIONS})"
        values = ", ".join(columns.values())
        where = when.replace("WHEN", "WHERE").format(row=table)
        yield (
            f"INSERT INTO {search} (rowid, {names}) "
            f"SELECT {rowid.format(row=table)}, {values.format(row=table)} FROM {table} {where}"
        )
        add = (
            f"INSERT INTO {search} (rowid, {names}) "
            f"VALUES ({rowid.format(row='new')}, {values.format(row='new')})"
        )
        remove = (
            f"INSERT INTO {search} ({search}, rowid, {names}) "
            f"VALUES ('delete', {rowid.format(row='old')}, {values.format(row='old')})"
        )
        text, words = next((t, w) for name, t, w in _SEARCHED if name == table)
        changes = f"UPDATE OF {text}, {words}" + (", finish_reason" if table == "turns" else "")
        for event, moment, what, row in (
            ("added", "AFTER INSERT", add, "new"),
            ("removed", "AFTER DELETE", remove, "old"),
            # What was indexed is taken out by naming it exactly, before it is changed.
            ("changing", f"BEFORE {changes}", remove, "old"),
            ("changed", f"AFTER {changes}", add, "new"),
        ):
            yield (
                f"CREATE TRIGGER {search}_{event} {moment} ON {table} "
                f"{when.format(row=row)} BEGIN {what}; END"
            )


# The words with their positions, of which PostgreSQL takes 16,383; a vector of it holds a
# megabyte at most, and the words of 200,000 characters are never that many bytes. ASCII is split
# here as SQLite does, because PostgreSQL's own parser makes e-mails and versions of it.
_VECTOR = """
CREATE FUNCTION phichat_vector(words text, raw text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(string_agg(
        '''' || replace(replace(left(word, 60), '\\', '\\\\'), '''', '''''') || ''':' || n, ' '
    ), '')::tsvector
    FROM unnest(string_to_array(trim(
        left(coalesce(words, regexp_replace(lower(raw), '[^a-z0-9]+', ' ', 'g')), 200000)
    ), ' ')) WITH ORDINALITY AS each (word, n)
    WHERE n <= 16383 AND word <> ''
$$
"""
