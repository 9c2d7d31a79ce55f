"""The keys that scripts rely on, command by command; more may be added, none may go."""

from __future__ import annotations

import json
from typing import Any

from tests.conftest import GOLDENS, Phichat

PICTURE = GOLDENS / "images" / "sq336.png"

REPLY = {
    "session": str,
    "turn": str,
    "text": str,
    "finish_reason": str,
    "model": str,
    "usage": {
        "prompt_tokens": int,
        "picture_tokens": int,
        "cached_tokens": int,
        "completion_tokens": int,
    },
    "timings": {"load_s": float, "ttft_s": float, "decode_tokens_per_s": float},
}
PROMPT = {
    "model": str,
    "ids": list,
    "pictures": [
        {
            "number": int, "slot": int, "name": str, "sha256": str, "width": int, "height": int,
            "crops": [int], "tokens": int,
        }
    ],
    "prompt_tokens": int,
    "limit": int,
    "max_new_tokens": int,
    "left_out": [{"turn": str, "why": str}],
}  # fmt: skip
SESSIONS = [
    {
        "id": str, "title": str, "created": str, "updated": str, "turns": int, "pictures": int,
        "model": str, "pinned": bool,
    }
]  # fmt: skip
SESSION = {
    "id": str, "title": str, "created": str, "updated": str, "model": str, "pinned": bool,
    "turns": [
        {
            "id": str, "parent": (str, type(None)), "role": str, "text": str,
            "pictures": [{"number": int, "name": str, "sha256": str}],
            "finish_reason": (str, type(None)), "created": str,
        }
    ],
}  # fmt: skip
HITS = [{"session": str, "turn": (str, type(None)), "snippet": str, "score": float}]
DOCTOR = {
    "device": str, "dtype": str, "attention": str, "model": str, "database": str, "problems": list,
    "memory": {"weights_bytes": int, "kv_bytes_per_token": int, "context_tokens": int},
}  # fmt: skip


def assert_has(value: Any, shape: Any, where: str = "") -> None:
    """Every key of ``shape`` with a value of its type; a list's shape is that of each of it."""
    if isinstance(shape, dict):
        assert isinstance(value, dict), where
        assert set(shape) <= set(value), (where, set(shape) - set(value))
        for key, inner in shape.items():
            assert_has(value[key], inner, f"{where}.{key}")
    elif isinstance(shape, list):
        assert isinstance(value, list), where
        for item in value:
            assert_has(item, shape[0], f"{where}[]")
    else:
        assert isinstance(value, shape), (where, value)


def test_every_shape(phichat: Phichat) -> None:
    def shown(*arguments: object) -> Any:
        done = phichat(*map(str, arguments), "--json")
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    asked = shown("ask", "-i", PICTURE, "What is " + "this " * 60)
    assert_has(asked, REPLY)
    session = asked["session"]
    small = shown("prompt", "--session", session, "--context", 420, "-i", PICTURE, "And?")
    assert_has(small, PROMPT)
    assert [-1, 313] in small["ids"]
    assert small["pictures"]
    assert small["left_out"]
    assert_has(shown("sessions", "list"), SESSIONS)
    for every in ([], ["--all"]):
        stored = shown("sessions", "show", session, *every)
        assert_has(stored, SESSION)
        assert [len(turn["pictures"]) for turn in stored["turns"]] == [1, 0]
    hits = shown("sessions", "search", "what")
    assert_has(hits, HITS)
    assert hits
    assert_has(shown("doctor", "--quick"), DOCTOR)
    failed = phichat("ask", "--session", "nope", "--json", "x")
    assert_has(json.loads(failed.stdout), {"error": {"code": str, "message": str}})
