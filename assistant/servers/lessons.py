"""Lessons of refusals: what a server does not take, read from its words, whatever they are.

A refusal names a limit of the server. What is learned from it is left out from then on, and the
request is sent once more.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

from assistant.servers import keys
from assistant.servers.address import Address
from assistant.values.errors import ModelError
from assistant.values.text import plain

_LONGEST = 300
"""Characters of a server's own words that are shown."""

_LONGEST_TEXT = 4096
"""Characters of a refusal that is no JSON."""

_WORDS = ("error", "detail", "message", "error_msg", "msg", "base_resp", "errors")
"""Fields with a server's words, the likeliest first."""

_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|window|size|limit)|exceed_context|context.{0,20}overflow"
    r"|(?:maximum|max)[ _](?:model|prompt|input|sequence|context)[ _]len"
    r"|number of tokens allowed|token count|too many (?:input |prompt )?tokens"
    r"|(?:prompt|inputs?|messages?|conversation)\W[^.]{0,60}(?:too (?:long|large)|longer than)"
    r"|less than \d+ tokens|tokens? \+ `?max_new_tokens|reduce (?:the length|your prompt)"
    r"|(?:prompt|input|total|sequence|token)[ _-]?(?:tokens?|length|size)\b[^.]{0,60}"
    r"(?:exceed|longer|greater|more than|larger|too|maximum)|range of input length"
    r"|(?:string|chat|conversation) too long|exceeds? (?:the )?max(?:imum)? length|[超过]长|上下文"
    r"|token limit|tokens in the prompt|tokens per minute|tokens\b[^.]{0,40}(?:window is|not fit)"
    r"|\d tokens\W[^.]{0,40}(?:more than|exceed)"
    r"|\b(?:n_ctx|max_seq_len|max_(?:total|input|prompt|num)_tokens|max_position_embeddings)\b",
    re.IGNORECASE,
)
_LIMITS = (
    re.compile(
        r"(?:context (?:length|window|size|limit)|n_ctx|(?:model|prompt|input|sequence) length"
        r"|tokens allowed|must be <=|less than|exceeds?|at most|limit(?: of)?"
        r"|max(?:_(?:input|total|prompt|num)_tokens|imum|_seq_len|(?!_\w*tokens))"
        r"|more than|>|\[[0-9]+,|(?<=[0-9])/)"
        r"\D{0,25}?(?<!by )(?<![0-9])([0-9]{3,9})",
        re.IGNORECASE,
    ),
    re.compile(r"([0-9]{3,9})(?: tokens?)? (?:maximum|max\b|token limit|limit)", re.IGNORECASE),
)
_SUM = re.compile(r"[0-9]+ \+ [0-9]+ > ([0-9]{3,9})")
_NUMBER = re.compile(r"(?<![\w.])(?<!by )[0-9]{3,9}(?![\w.]*\w)")
_OUTPUT = re.compile(
    r"(?<!\+ )max_(?:completion_|output_|new_)?tokens\W(?:(?!context).){0,80}"
    r"(?:too large|at most|less than or equal|maximum)",
    re.IGNORECASE,
)
"""The budget of the reply is refused, not the conversation."""

_PICTURE = r"(?:images?|pictures?|photos?|image_urls?|vision|multi-?modal\w*|attachments?)"
_NO_EYES = re.compile(
    r"(?:not|n't) (?:support|accept|take|allow|handle|understand|have|see)\w*\W+(?:\w+\W+){0,3}?"
    rf"{_PICTURE}|\bno (?:vision|eyes)|not a (?:vision|multi-?modal)|text-only"
    rf"|{_PICTURE}[^.]{{0,30}}(?:(?:not|n't) (?:be )?(?:support|allow|enabl|permit|accept|availab)"
    rf"|unsupported)|{_PICTURE}[^.]{{0,20}}only (?:be )?(?:supported|available|allowed)"
    r"|(?:un(?:supported|known|expected)|invalid) [\w ]{0,24}\W{1,4}image|\(not \Wlist\W\)"
    r"|only (?:\w+ )?\W?text\W[^.]{0,20}(?:content|type|input|message)"
    r"|(?:图[片像]|视觉)[^。]{0,12}不|不支持[^。]{0,8}图"
    r"|\bno \w+ (?:found )?(?:that )?support\w* image|got \W*image|required for image"
    r"|unknown variant \W*image|content[^.]{0,40}(?:must be|should be|expected)[^.]{0,20}string",
    re.IGNORECASE,
)
_SOME_EYES = re.compile(
    rf"(?:at most|up to|only|maximum|max|more than|too many|exceeds?|limit\w*|multiple|allow\w*"
    r"|\bmulti[- ]?(?=image|picture))"
    rf"[^.]{{0,60}}{_PICTURE}|{_PICTURE}[^.]{{0,60}}"
    r"(?:at most|up to|maximum|more than|exceeds?|limit|per (?:prompt|request|message)"
    r"|\bexpects?\b|greater|(?:less|fewer) than)|too much media|图[片像][^。]{0,12}(?:超|最多)",
    re.IGNORECASE,
)
_NUMERAL = r"([0-9]{1,3}|(?:a )?single|one|two|three|four|five|six|eight|ten)\b"
_MOST = re.compile(
    r"(?:at most|up to|only|max(?:imum)?(?: is| of)?|limit(?: of| is)?|more than|greater than|>"
    rf"|expects?|accepts?|allows?|or equal to|最多\D{{0,4}})\W{{0,3}}{_NUMERAL}",
    re.IGNORECASE,
)
_HOW_MANY = re.compile(
    rf"\b{_NUMERAL}\W*(?:\(?s\)?\W*)?(?:\w+ )?{_PICTURE}"
    rf"|{_PICTURE}[^.0-9]{{0,40}}?\b([0-9]{{1,3}})\b",
    re.IGNORECASE,
)
_WORDS_FOR = {
    "one": 1, "single": 1, "a single": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6,
    "eight": 8, "ten": 10,
}  # fmt: skip
_KIND = re.compile(
    r"image/\w+|\b(?:jpe?g|png)\b|(?:image|picture|file)[ _](?:format|type)|mime|media[ _]?type",
    re.IGNORECASE,
)
"""The format of a picture."""
_PLAIN_URL = re.compile(
    r"image_url\W[^.]{0,40}(?:must|should|expect\w*)[^.]{0,15}\bstring", re.IGNORECASE
)
_TOO_LARGE = re.compile(
    r"\b(?:payload|entity|body|request)\b[^.]{0,30}too large"
    r"|\bbody\b[^.]{0,60}(?:limit|exceed|larger|length)|max(?:imum)? bytes"
    r"|\b[0-9.]+ ?(?:[KMG]i?B|bytes|megabytes|pixels)\b|(?:file|image)[^.]{0,30}too (?:large|big)"
    r"|dimensions?[^.]{0,30}(?:exceed|too)",
    re.IGNORECASE,
)
_NO_SYSTEM = re.compile(
    r"(?:system|developer)[^.]{0,40}(?:not (?:supported|allowed|enabled|permitted)|unsupported"
    r"|is not|must not)|(?:n't support|not support|unsupported|unexpected|unknown|invalid)"
    r"[^.]{0,40}\b(?:system|developer)\b|only[^.]{0,20}user[^.]{0,20}assistant"
    r"|roles must alternate|first message[^.]{0,30}\buser\b|\broles?\b[^.]{0,60}\buser\b"
    r"|(?:permitted|one of)[^.]{0,20}\buser\b",
    re.IGNORECASE,
)
_UNWILLING = re.compile(
    r"unsupported|not (?:\w+ )?(?:support|permit|allow|accept|valid|recogni[sz]ed|known|implement"
    r"|compatible|available|enabl)|unknown|unrecogni[sz]ed|unexpected|extra|invalid|cannot|can't|n't|must"
    r"|only (?:one|use)|too (?:large|high)|forbidden|disabled|deprecated|instead|bad value"
    r"|maximum|at most|greater|less|range|not exist|no such|remove|wrong",
    re.IGNORECASE,
)


_FILTERED = re.compile(
    r"content[_ ](?:filter|management|policy|moderation)|responsible ?ai|safety (?:system|filter)"
    r"|usage polic|flagged (?:by|as|for)|inspection ?failed|inappropriate content|敏感|违规",
    re.IGNORECASE,
)
"""The words of the conversation are refused: the same ones are not sent again."""

_NO_NUMBER = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))|\(2013\)")
"""Commas of thousands, and MiniMax's code for bad parameters."""


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


class UnpaidError(ModelError):
    """The server wants to be paid."""

    code = "refused"


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
    name, text = address.base, _NO_NUMBER.sub("", plain(_all_words(said)))
    words = f": {words_of(said)}" if words_of(said) else "."
    # 1) the words of the conversation, of which a code may be the only name
    if _FILTERED.search(f"{text} {_codes(said)}"):
        return FilteredError(
            f"{name} has a filter that refuses this{status}{words.rstrip('.')}. Ask in other "
            "words; if it found an earlier message, begin a new chat."
        )
    # 2) the length of the conversation
    if _TOO_LONG.search(text) and not _OUTPUT.search(text):
        patterns = (_SUM,) if _SUM.search(text) else _LIMITS
        limits = [int(one) for pattern in patterns for one in pattern.findall(text)]
        limit = min(limits, default=0)
        counted = max(map(int, _NUMBER.findall(text)), default=0)
        return ContextExceededError(
            f"{name} can't read as long a chat{status}{words}",
            limit or None,
            counted if counted > limit else None,
        )
    # 3) a size in bytes or pixels, which may be that of a picture
    if _TOO_LARGE.search(text):
        return TooLargeError(f"{name} takes no request of this size{status}{words}")
    # 4) pictures: in another form, some, or none
    wants_plain_url = bool(_PLAIN_URL.search(text))
    if wants_plain_url or (_KIND.search(text) and _UNWILLING.search(text)):
        sentence = f"{name} does not take pictures of this format{status}{words}"
        return KindRefusedError(sentence, wants_plain_url=wants_plain_url)
    if _SOME_EYES.search(text):
        found = _MOST.search(text) or _HOW_MANY.search(text)
        number = next(filter(None, found.groups()), "").lower() if found else ""
        most = _WORDS_FOR.get(number, int(number) if number.isdigit() else None)
        return PicturesRefusedError(f"{name} takes fewer pictures{status}{words}", most)
    if _NO_EYES.search(text):
        return PicturesRefusedError(f"{name} can't see pictures{status}{words}", 0)
    # 5) the system message
    if _NO_SYSTEM.search(text):
        return SystemRefusedError(f"{name} takes no system message{status}{words}")
    # 6) a field of the request: names with a line are no words of a language
    spelled = re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", text).lower()
    spelled = re.sub(r"max(?:imum)? (?:output |new )?tokens", "max_tokens", spelled)
    spelled = spelled.replace("streaming", "stream")
    some = r"[a-z_]{4,}" if _UNWILLING.search(text) else r"[a-z]+_[a-z_]+"
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
    return " ".join([str(said.get("code") or ""), *map(_codes, said.values())])


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
        return next((said[name] for name in _WORDS if said.get(name)), None)
    return None


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
