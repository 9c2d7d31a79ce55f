"""Schemas as grammars of token ids, by llguidance, which needs a model's tokenizer.json alone.

Models that may write blanks or digits without end do. So one blank or none stands between the parts
of the JSON, and a number without limits of its own gets those of :data:`_LIMITS`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from math import inf, nextafter
from typing import TYPE_CHECKING, Any

import llguidance

from assistant.values.errors import ModelError, SchemaError

if TYPE_CHECKING:
    import torch

_FORM = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}


_LIMITS: dict[str, dict[str, float]] = {
    "integer": {"minimum": -(2**53), "maximum": 2**53},
    "number": {"minimum": -1e15, "maximum": 1e15, "multipleOf": 1e-6},
}
"""The whole numbers that every reader of JSON holds, and six decimals."""

_KEPT = 8
"""Schemas whose matchers are kept: making one takes 0.6 ms, copying it 1 us."""

_INWARD = {"minimum": inf, "exclusiveMinimum": inf, "maximum": -inf, "exclusiveMaximum": -inf}
"""Bounds of numbers, and in which direction nothing is let in that they leave out."""

_LEAST, _MOST = -(2**63) + 1024, 2**63 - 1024
"""The whole numbers that are kept exactly, if they are doubles. Smaller bounds end the process."""

_LENGTHS = frozenset({"maxLength", "maxItems", "maxProperties"})
_NO_LENGTH = 2**31
"""Limit of a length from which on it is none: no context holds as much, and no grammar takes it."""

_NOTES = frozenset({"type", "title", "description", "examples", "default"})
_COMBINED = frozenset({"$ref", "allOf", "anyOf", "oneOf", "if", "not"})
_BY_NAME = ("properties", "$defs", "definitions")
_OTHERS = frozenset({"additionalProperties", "patternProperties", "unevaluatedProperties"})


def _limited(schema: Any, closes: bool) -> Any:
    """Add :data:`_LIMITS` to plain numbers; if ``closes``, refuse properties that aren't named.

    llguidance lets the name of a property that isn't listed be written with any escape: beside
    ``a``, ``"\\u0061"`` could hold any value, and readers of JSON take it for ``a``. Objects that
    say themselves what else they hold are left as they are.
    """
    if isinstance(schema, list):
        return [_limited(one, closes) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.keys() <= _NOTES and isinstance(schema.get("type"), str):
        return schema | _LIMITS.get(schema["type"], {})
    limited = dict(schema)
    for place in _BY_NAME:
        if isinstance(named := schema.get(place), dict):
            limited[place] = {name: _limited(one, closes) for name, one in named.items()}
    for place in ("items", "anyOf"):
        if place in schema:
            limited[place] = _limited(schema[place], closes)
    if closes and schema.get("properties") and not schema.keys() & _OTHERS:
        limited["additionalProperties"] = False
    return limited


def _in_doubles(schema: Any) -> Any:
    """Keep a schema's whole numbers from being rounded, as llguidance does with what doubles lack.

    Bounds move inward, as little as that takes. Raises SchemaError for a value that is asked for.
    """
    if isinstance(schema, list):
        return [_in_doubles(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _BY_NAME and isinstance(value, dict):
            kept[name] = {key: _in_doubles(one) for key, one in value.items()}
        elif name in _INWARD and type(value) in (int, float):
            kept[name] = _inward(value, _INWARD[name])
        elif not (name in _LENGTHS and type(value) is int and value >= _NO_LENGTH):
            kept[name] = _in_doubles(value)
            if name in ("const", "enum"):
                _check_whole(value)
    return kept


def _inward(bound: float, limit: float) -> float:
    """Return the bound, or the next number in the direction of ``limit`` that is kept."""
    nearest = float(max(_LEAST, min(bound, _MOST)))
    if nearest < bound if limit > 0 else nearest > bound:
        nearest = nextafter(nearest, limit)
    if not _LEAST <= nearest <= _MOST:
        raise _too_long(bound)
    return int(nearest) if type(bound) is int or nearest != bound else bound


def _check_whole(value: Any) -> None:
    """Raise SchemaError for a whole number that is not kept."""
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        for one in value:
            _check_whole(one)
    elif type(value) is int and not (_LEAST <= value <= _MOST and int(float(value)) == value):
        raise _too_long(value)


def _too_long(number: float) -> SchemaError:
    return _refusal(f"more digits than are kept of a number: {number}")


def _is_merged(schema: Any) -> bool:
    """Say whether an object is described in several places, where none is the whole of it."""
    if isinstance(schema, list):
        return any(map(_is_merged, schema))
    if not isinstance(schema, dict):
        return False
    named = schema.get("properties") or {}
    return (
        "allOf" in schema
        or bool(named and schema.keys() & _COMBINED)
        or not set(schema.get("required") or ()) <= named.keys()
        or any(
            _is_merged([*value.values()] if key in _BY_NAME and isinstance(value, dict) else value)
            for key, value in schema.items()
        )
    )


def _grammar(schema: str) -> str:
    try:
        read = json.loads(schema)
        limited = json.dumps(_limited(_in_doubles(read), closes=not _is_merged(read)))
        grammar: str = llguidance.LLMatcher.grammar_from_json_schema(limited, overrides=_FORM)
    except (ValueError, RecursionError) as error:
        raise _refusal(str(error)) from None
    return grammar


def _refusal(reason: str) -> SchemaError:
    first = " ".join(reason.split()) or "nothing fits it"
    if first.startswith("NoExtensionBias"):  # it refers to itself alone
        first = "nothing fits it"
    if first.startswith("oneOf"):
        first = "oneOf is not supported, anyOf is"
    return SchemaError(f"The schema can't be obeyed ({first[:200].rstrip('.')}): change it.")


def check_schema(schema: str) -> None:
    """Raise SchemaError if a model here can't obey a schema."""
    is_refused, reasons = llguidance.LLMatcher.validate_grammar_with_warnings(_grammar(schema))
    if is_refused:
        raise _refusal(reasons[0])


class Grammars:
    """Constraints of one model, whose logits are ``size`` wide: often more than it has tokens.

    ``tokenizer_json`` is read with the first schema.
    """

    def __init__(self, tokenizer_json: str, size: int, stop_ids: Iterable[int]) -> None:
        self._json, self._size, self._stop_ids = tokenizer_json, size, sorted(stop_ids)
        self._fresh = lru_cache(_KEPT)(self._matcher)

    def constraint(self, schema: str, begun: Sequence[int] = ()) -> SchemaConstraint:
        """See :data:`assistant.core.constraint.MakeConstraint`."""
        matcher = self._fresh(schema).deep_copy()
        if not matcher.consume_tokens(list(begun)):
            raise SchemaError(
                "The beginning of this reply does not obey the schema: answer again instead."
            )
        return SchemaConstraint(matcher, self._size)

    def _matcher(self, schema: str) -> llguidance.LLMatcher:
        """Return a matcher that took nothing yet."""
        matcher = llguidance.LLMatcher(self._tokenizer, _grammar(schema), log_level=0)
        if matcher.is_error():
            raise _refusal(matcher.get_error())
        return matcher

    @cached_property
    def _tokenizer(self) -> llguidance.LLTokenizer:
        try:
            return llguidance.LLTokenizer(self._json, n_vocab=self._size, eos_token=self._stop_ids)
        except ValueError as error:
            raise ModelError(
                f"This model's tokenizer can't be held to a schema ({error}): "
                "ask without one, or choose another model."
            ) from error


class SchemaConstraint:
    """A :class:`assistant.core.constraint.Constraint`: the ids that keep a reply within a schema.

    When the JSON is complete, the ids that end a reply are the only ones left.
    """

    def __init__(self, matcher: llguidance.LLMatcher, size: int) -> None:
        self._matcher, self._size = matcher, size

    def allowed(self) -> torch.Tensor:
        """See :meth:`assistant.core.constraint.Constraint.allowed`."""
        import numpy as np
        import torch

        bits = np.frombuffer(self._bits(), np.uint8)
        mask = np.unpackbits(bits, count=self._size, bitorder="little")
        return torch.from_numpy(mask.view(np.bool_))

    def allows(self, token: int) -> bool:
        """See :meth:`assistant.core.constraint.Constraint.allows`."""
        return bool(self._bits()[token // 8] >> token % 8 & 1)

    def _bits(self) -> bytes:
        """Return the mask, eight ids a byte; computed once a state."""
        bits: bytes = self._matcher.compute_bitmask()
        if self._matcher.is_error():
            raise _refusal(self._matcher.get_error())
        return bits

    def forced(self) -> Sequence[int]:
        """See :meth:`assistant.core.constraint.Constraint.forced`."""
        forced: list[int] = self._matcher.compute_ff_tokens()
        return forced

    def count_allowed(self, ids: Sequence[int]) -> int:
        """See :meth:`assistant.core.constraint.Constraint.count_allowed`."""
        count: int = self._matcher.validate_tokens(list(ids))
        return count

    def take(self, token: int) -> None:
        """See :meth:`assistant.core.constraint.Constraint.take`."""
        self._matcher.consume_token(token)
