"""Databases as every earlier version of phichat left them, with data in all of it."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from storage import database, migrations

TEXTS = ("What is this? 这是什么", "Größe: a cat", "And this?", "A dog", "Rewritten")
"""Turn 1, its reply, what followed, its reply, and another version of turn 3."""

_0001 = """
INSERT INTO pictures (sha256, pixels_sha256, media_type, width, height, data)
    VALUES ('aa', 'bb', 'image/png', 3, 4, :picture);
INSERT INTO sessions (key, id, title, created, updated, model, system, pinned)
    VALUES (1, 'first', 'Übersicht', :at, :at, 'demo', 'Be brief.', true);
INSERT INTO sessions (key, id, title, created, updated, pinned)
    VALUES (2, 'second', 'empty', :at, :at, false);
INSERT INTO turns (id, session_key, depth, role, text, created)
    VALUES ('t1', 1, 1, 'user', :text0, :at);
INSERT INTO turns (id, session_key, parent_key, depth, role, text, created, token_ids,
        finish_reason, model, usage, timings)
    SELECT 't2', 1, key, 2, 'assistant', :text1, created, :ids, 'stop', 'demo',
        '{"prompt_tokens": 5, "completion_tokens": 2}', '{"ttft_s": 0.5}'
    FROM turns WHERE id = 't1';
INSERT INTO turns (id, session_key, parent_key, depth, role, text, created)
    SELECT 't3', 1, key, 3, 'user', :text2, created FROM turns WHERE id = 't2';
INSERT INTO turns (id, session_key, parent_key, depth, role, text, created, writer)
    SELECT 't4', 1, key, 4, 'assistant', :text3, created, 'another-boot/1:5:6'
    FROM turns WHERE id = 't3';
INSERT INTO turns (id, session_key, parent_key, depth, role, text, created)
    SELECT 't5', 1, key, 3, 'user', :text4, created FROM turns WHERE id = 't2';
UPDATE sessions SET head_key = (SELECT key FROM turns WHERE id = 't4') WHERE id = 'first';
INSERT INTO session_pictures (session_key, number, picture_key, name)
    SELECT 1, 1, key, 'kätzchen.png' FROM pictures;
INSERT INTO turn_pictures (turn_key, position, session_key, number)
    SELECT key, 0, 1, 1 FROM turns WHERE id = 't1';
"""

_0002 = """
UPDATE turns SET pinned = true, parameters = '{"seed": 7}' WHERE id = 't2';
UPDATE session_pictures SET num_crops = 4;
UPDATE sessions SET deleted = :at WHERE id = 'second';
INSERT INTO thumbnails (picture_key, data) SELECT key, :picture FROM pictures;
INSERT INTO drafts (session_key, text, updated) VALUES (1, 'typed', :at);
INSERT INTO draft_pictures (draft_key, position, picture_key, name)
    SELECT drafts.key, 0, pictures.key, 'draft.png' FROM drafts, pictures;
"""

_ADDED = {"0001": _0001, "0002": _0002}
"""Values that each version could store and the one before could not."""


def make(address: str | Path, revision: str) -> None:
    """A database that was made and used by the phichat of ``revision``."""
    engine = database.make_engine(database.parse(address))
    with database.migration(engine, "here") as connection:
        for version in migrations.KNOWN[: migrations.KNOWN.index(revision) + 1]:
            migrations.upgrade(connection, version)
            if version in _ADDED:
                _fill(connection, _ADDED[version])
    if engine.dialect.name == "sqlite":
        database._use_wal(engine)
    engine.dispose()


def _fill(connection: Connection, script: str) -> None:
    known = {
        "at": "2026-01-02 03:04:05.000000",
        "picture": b"\x89PNG",
        "ids": b"\x02\x05\x00\x06\x00",
        **{f"text{n}": text for n, text in enumerate(TEXTS)},
    }
    for statement in script.split(";\n"):
        if statement.strip():
            clause = text(statement.replace('": ', '"\\: '))
            connection.execute(clause, {n: known[n] for n in clause._bindparams})
