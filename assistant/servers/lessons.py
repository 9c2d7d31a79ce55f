"""Lessons of refusals: what a server does not take, read from its words, whatever they are.

A refusal names a limit of the server. What is learned from it is left out from then on, and the
request is sent once more.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from assistant.servers import keys, wordings
from assistant.servers.address import Address
from assistant.values.errors import ModelError
from assistant.values.sampling import PARAMETERS
from assistant.values.text import plain

_LONGEST = 300
"""Characters of a server's own words that are shown."""

_LONGEST_TEXT = 4096
"""Characters of a refusal that is no JSON."""

_WORDS = ("error", "detail", "message", "error_msg", "msg", "base_resp", "errors")
"""Fields with a server's words, the likeliest first."""

UNASKED = (
    "top_logprobs", "logprobs", "stream_options", "mm_processor_kwargs", "add_special_tokens",
    "chat_template_kwargs", "reasoning_effort",
)  # fmt: skip
"""Fields that no user asks for, those that are missed least first."""

OPTIONAL = (
    *UNASKED, "continue_final_message", "add_generation_prompt",
    *(one.request for name, one in PARAMETERS.items() if one.only_if_set and name != "schema"),
    "temperature", "max_tokens", "max_completion_tokens", "stream",
)  # fmt: skip
"""Fields that can be left out, in this order, one a refusal. A schema can't."""

FIELDS = frozenset(OPTIONAL) | {"stop", "response_format"}
"""Fields of requests that a refusal may name."""


class ContextExceededError(ModelError):
    """The conversation is longer than the server's model reads.

    ``limit`` is the model's context and ``counted`` the conversation, in the server's tokens,
    where it states them.
    """

    code = "context"

    def __init__(self, message: str, limit: int | None, counted: int | None) -> None:
        super().__init__(message)
        self.limit, self.counted = limit, counted


class ReplanError(ModelError):
    """The conversation fits once it is laid out again, by the limits that were learned."""

    code = "context"


class NotTakenError(ModelError):
    """The server does not take some of ``fields`` of the request, or not their values."""

    code = "refused"

    def __init__(self, message: str, fields: frozenset[str]) -> None:
        super().__init__(message)
        self.fields = fields


class PicturesRefusedError(ModelError):
    """The server's model takes fewer pictures; ``most`` of them, where that is stated."""

    code = "refused"

    def __init__(self, message: str, most: int | None) -> None:
        super().__init__(message)
        self.most = most


class TooLargeError(ModelError):
    """The request, or a picture in it, takes more bytes than the server accepts."""

    code = "refused"


class KindRefusedError(ModelError):
    """The server does not take the format of a picture, or its address in this form."""

    code = "refused"

    def __init__(self, message: str, *, wants_plain_url: bool) -> None:
        super().__init__(message)
        self.wants_plain_url = wants_plain_url


class EarlierPicturesRefusedError(ModelError):
    """The server takes pictures in the question alone."""

    code = "refused"


class HopelessError(ModelError):
    """No form of the request would be answered: the key, the model or the money is missing."""

    code = "refused"


_HOPELESS = (
    (wordings.NO_KEY, "does not accept the key", "Check the one in {variable}", "unauthorized"),
    (
        wordings.NO_MODEL,
        "does not have this model",
        "Choose another one (F8, or --model)",
        "no_such_model",
    ),
    (wordings.UNPAID, "wants to be paid", "Look at your account there", "refused"),
)


class FilteredError(ModelError):
    """A filter of the server refuses the conversation."""

    code = "filtered"


class SystemRefusedError(ModelError):
    """The server's model knows no system message."""

    code = "refused"


def lesson(address: Address, said: Any, status: str) -> ModelError | None:
    """Return what a refusal teaches about the server; None: nothing.

    ``status`` is " (error 400)", or "" for an error that came with a status that says all is well.
    """
    name, text = address.base, wordings.NO_NUMBER.sub("", plain(_all_words(said)))
    words = f": {words_of(said)}" if words_of(said) else "."
    coded = f"{text} {_codes(said)}"
    # 1) the words of the conversation, of which a code may be the only name
    if wordings.FILTERED.search(coded):
        return FilteredError(
            f"{name} has a filter that refuses this{status}{words.rstrip('.')}. Ask in other "
            "words; if it found an earlier message, begin a new chat."
        )
    # 2) the key, the model, the money: no other form of the request helps
    for pattern, words_for, advice, code in _HOPELESS:
        if pattern.search(coded):
            way = advice.format(variable=keys.key_of(address)[0])
            sentence = f"{name} {words_for}{status}{words.rstrip('.')}. {way}."
            return HopelessError(sentence, code=code)
    # 3) the length of the conversation
    counts = wordings.COUNTED.search(text)
    is_output = wordings.OUTPUT.search(text) and not counts
    is_file = re.search(r"base64|data[ -]ur[il]", text)
    if wordings.TOO_LONG.search(coded) and not (is_output or is_file):
        patterns = (wordings.SUM,) if wordings.SUM.search(text) else wordings.LIMITS
        limits = [int(one) for pattern in patterns for one in pattern.findall(text)]
        limit = min(limits, default=0)
        longest = max(map(int, wordings.NUMBER.findall(text)), default=0)
        counted = int(counts[1]) if counts else longest if longest > limit else None
        is_in_letters = re.search(r"\bchar", text)
        return ContextExceededError(
            f"{name} can't read as long a chat{status}{words}",
            None if is_in_letters else limit or None,
            None if is_in_letters else counted,
        )
    # 4) a size in bytes or pixels, which may be that of a picture
    if wordings.TOO_LARGE.search(text):
        return TooLargeError(f"{name} takes no request of this size{status}{words}")
    # 5) pictures: in another form, some, or none
    wants_plain_url = bool(wordings.PLAIN_URL.search(text))
    if wants_plain_url or (wordings.KIND.search(text) and wordings.UNWILLING.search(text)):
        sentence = f"{name} does not take pictures of this format{status}{words}"
        return KindRefusedError(sentence, wants_plain_url=wants_plain_url)
    if wordings.LAST_ONLY.search(text):
        return EarlierPicturesRefusedError(f"{name} takes no earlier pictures{status}{words}")
    if (abroad := wordings.MOST_ABROAD.search(text)) is not None:
        return PicturesRefusedError(f"{name} takes fewer pictures{status}{words}", int(abroad[1]))
    if wordings.SOME_EYES.search(text):
        found = wordings.MOST.search(text) or wordings.HOW_MANY.search(text)
        number = next(filter(None, found.groups()), "").lower() if found else ""
        most = wordings.WORDS_FOR.get(number, int(number) if number.isdigit() else None)
        return PicturesRefusedError(f"{name} takes fewer pictures{status}{words}", most)
    if wordings.NO_EYES.search(text):
        return PicturesRefusedError(f"{name} can't see pictures{status}{words}", 0)
    # 6) the system message
    if wordings.NO_SYSTEM.search(text):
        return SystemRefusedError(f"{name} takes no system message{status}{words}")
    # 7) a field of the request: names with a line are no words of a language
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", text).lower()
    for other, field in wordings.SYNONYMS:
        spelled = other.sub(field, spelled)
    some = r"[a-z_]{4,}" if wordings.UNWILLING.search(text) else r"[a-z]+_[a-z_]+"
    names = re.findall(r"[a-z_]+", _named_fields(said)) + re.findall(some, spelled)
    named = frozenset(one for one in names if not one.endswith("_error"))  # kinds of errors
    if named:
        return NotTakenError(f"{name} refuses this{status}{words}", named)
    return None


def _all_words(said: Any) -> str:
    """Return every text of an error, its numbers by name: wherever the words are, they count."""
    if isinstance(said, dict):
        skipped = ("code", "status", "type", "input", "url")
        pairs = [(key, value) for key, value in said.items() if key not in skipped]
        kind = str(said.get("type") or "") if isinstance(said.get("type"), str) else ""
        return " ".join(
            [kind, *(f"{key}: {value}" if isinstance(value, int) else _all_words(value)
                     for key, value in pairs)]
        )  # fmt: skip
    if isinstance(said, list):
        return " ".join(map(_all_words, said))
    if isinstance(said, str) and said.lstrip().startswith(("{", "[")):
        try:  # an error within an error
            return _all_words(json.loads(said))
        except ValueError:
            return said
    return said if isinstance(said, str) else ""


def _codes(said: Any) -> str:
    """Return the codes of an error and of those within it."""
    if not isinstance(said, dict):
        return ""
    own = (str(said.get(name) or "") for name in ("code", "type", "errorCode", "error_code"))
    return " ".join([*own, *map(_codes, said.values())])


def _named_fields(said: Any) -> str:
    """Return the fields that an error names by structure: OpenAI's param, a schema's place."""
    if isinstance(said, list):
        return " ".join(map(_named_fields, said))
    if not isinstance(said, dict):
        return ""
    place = said.get("loc") or said.get("param") or ""
    here = " ".join(map(str, place)) if isinstance(place, list) else str(place)
    inner = (value for value in said.values() if isinstance(value, (dict, list)))
    return " ".join([here, *map(_named_fields, inner)])


def error_of(said: Any) -> Any:
    """Return the error that an event or a body is, whatever its shape; None for none."""
    if said.get("error"):
        return said if said["error"] is True else said["error"]
    is_error = "error" in (said.get("object"), said.get("type"), said.get("status"))
    return said if is_error and "choices" not in said else None


def error_without_name(said: Any) -> Any:
    """Return the words of an object that came in the place of a reply; None for none."""
    if not isinstance(said, dict):
        return None
    found = next((said[name] for name in _WORDS if said.get(name)), None)
    return found if isinstance(found, (str, list)) or "status_msg" in (found or ()) else None


def error_in(body: bytes) -> Any:
    """Return the ``error`` of a JSON body or the field in its place, or a text; None for none."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        is_page = body.lstrip().startswith(b"<")  # of a proxy
        with suppress(UnicodeDecodeError):
            return None if is_page else body.decode()[:_LONGEST_TEXT].strip()
        return None
    if isinstance(said, list) and said and isinstance(said[0], dict):  # Gemini's
        said = said[0]
    if isinstance(said, dict):
        found = next((said[name] for name in _WORDS if said.get(name)), None)
        named = {name: said[name] for name in _NAMED if isinstance(said.get(name), str)}
        return {"message": found, **named} if named and isinstance(found, str) else found
    return None


_NAMED = ("code", "type", "errorCode", "error_code", "error_type")
"""Fields beside the words with a name for the error."""


def words_of(said: Any) -> str:
    """Shorten a server's own words to one line that is safe for a terminal."""
    if isinstance(said, dict):
        named = ("message", "msg", "status_msg", "error_msg", "error", "detail", "type")
        inner = next((said[name] for name in named if said.get(name)), None)
        if isinstance(inner, dict):
            return words_of(inner)
        said = said if inner is None else inner
    if isinstance(said, list) and said:
        return words_of(said[0])
    if not said:
        return ""
    words = said if isinstance(said, str) else json.dumps(said)
    return keys.shown(words, _LONGEST).rstrip(".")
