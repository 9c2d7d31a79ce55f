"""Limits of a server, learned while it is asked; they hold for the rest of the process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from assistant.servers import lessons, refusals
from assistant.servers.address import Address
from assistant.servers.messages import asked_pictures, has_earlier
from assistant.servers.pictures import AnyPictures, ServerPictures
from assistant.values.conversation import Role
from assistant.values.errors import ModelError
from assistant.values.prompt import Prompt
from assistant.values.sampling import PARAMETERS
from assistant.values.words import counted as counted_words

INSTEAD: Mapping[str, str] = {one.request: one.instead for one in PARAMETERS.values()}
"""Fields of sampling that a model may not take, and the field in their place; "": none."""

STOP = "stop"
"""Field with the stop texts, which cost nothing to leave out: the engine finds them by itself."""

_OLDER = "pictures of earlier messages"
"""A guess beside those of fields."""
_EARLIER = "earlier messages"
"""A guess that leaves the question alone: the chat may be too long in words that we don't know."""

SHRUNK = 2
"""Times that pictures are halved for a server that takes no request of their size."""

SHORTEST = 256
"""Tokens that every context has: what counts or refuses fewer speaks of something else."""

CUT_FROM = 1500
"""Tokens of a prompt from which on its count is compared: estimates of short ones are coarse."""

COARSE_BELOW = 256
"""Tokens of a prompt: what a server counts more of fewer is its template and its own instruction,
which longer prompts have only once, too."""

READ_LEAST = 0.6
"""Share of the expected tokens: a server that counts fewer has cut the conversation by itself."""

CACHED_BELOW = 0.25
"""Share of the tokens of the prompt before: a server that counts fewer leaves out what it had."""


@dataclass
class Limits:
    """Limits of the server at ``address``; each method learns one."""

    address: Address
    context: int | None = None
    """Its tokens."""
    density: float = 1.0
    """Its tokens for each one that was estimated."""
    added: int = 0
    """Its tokens around what is sent, in each prompt."""
    most_pictures: int | None = None
    takes_system: bool = True
    halved: int = 0
    """Times that the sides of pictures are halved."""
    kind: str = ""
    """The only format of pictures that it takes; "" for any."""
    takes_url_objects: bool = True
    not_taken: set[str] = field(default_factory=set)
    guesses: list[frozenset[str]] = field(default_factory=list)
    """Groups of things that are left out because no refusal said why, until a request is taken."""
    has_failed: bool = False
    """A guess was made for a failure, which may have passed by itself."""
    most_before: int | None = None
    """``most_pictures`` before a guess."""
    read: int = 0
    """Tokens of the last prompt, as the server counted them."""
    read_of: str = ""
    """The chat of that prompt."""
    seen: int = 0
    """The most pictures of a request that was taken."""
    hides: bool = False
    """Pictures of earlier messages are left out since the last request that was taken."""
    warning: str = ""
    """Sentence about what the server did not read of the last prompt, though it answered."""

    @property
    def asks_alone(self) -> bool:
        """Whether the question is sent without what was said before."""
        return self._guessed(_EARLIER)

    def _guessed(self, one: str) -> bool:
        return any(one in group for group in self.guesses)

    def _guess(self, *left_out: str) -> None:
        self.not_taken |= {*left_out} & {*lessons.FIELDS}
        self.guesses.append(frozenset(left_out))

    def shorten(
        self,
        error: lessons.ContextExceededError,
        prompt: Prompt,
        held: int,
        pictures: ServerPictures,
    ) -> None:
        """Learn the context; where none is stated, that ``held`` estimated tokens are too many."""
        if error.counted is not None:
            self._count(error.counted, prompt, pictures)
        if error.limit is None:
            self._hold_fewer(prompt, held)
            return
        self.context = error.limit
        if error.counted is None and self.in_estimated(error.limit) >= held:
            self.density = max(1.0, self.density) * 4 / 3

    def _hold_fewer(self, prompt: Prompt, held: float) -> None:
        """Learn that a prompt is too long, and ``held`` estimated tokens with it."""
        fewer = min(held * 3 / 4, max(prompt.tokens, SHORTEST))
        self.context = int(fewer * max(1.0, self.density)) + self.added

    def in_estimated(self, context: int) -> int:
        """Return how many tokens, as they are estimated here, a context of the server holds.

        What a server adds may be more than the context that is assumed, and yet it answered.
        """
        return int((context - min(self.added, context // 2)) / max(1.0, self.density))

    def _count(self, counted: int, prompt: Prompt, pictures: ServerPictures) -> None:
        """Learn the server's count of a prompt.

        Where it is more than the estimate, pictures take more, if there are any: many models take
        as many tokens for a small one as for a large one.
        """
        if prompt.slots and counted > prompt.tokens and isinstance(pictures, AnyPictures):
            text = (prompt.tokens - prompt.picture_tokens) * max(1.0, self.density) + self.added
            more = (counted - text - prompt.picture_tokens) / len(prompt.slots)
            pictures.extra += max(0, math.ceil(more))
        else:
            self.density = max(1, counted - self.added) / prompt.tokens

    def leave_out(
        self, error: lessons.NotTakenError, request: Mapping[str, Any], prompt: Prompt
    ) -> None:
        """Learn that a field is not taken. Raises ``error`` if it names none that can go."""
        named = [name for name in lessons.OPTIONAL if name in request and name in error.fields]
        if named:
            self.not_taken.add(named[0])
        elif error.fields & request.keys() - {"model", "messages", *lessons.OPTIONAL}:
            raise error  # a schema is not left out
        else:
            self.do_with_less(error, request, prompt)

    def do_with_less(self, error: ModelError, request: Mapping[str, Any], prompt: Prompt) -> None:
        """Leave out all that can be, where a refusal names nothing that was sent.

        A server that failed is asked less often, because each try may be long. Raises ReplanError
        for older pictures to be left out, and ``error`` once nothing was of help, with everything
        as it was before.
        """
        has_failed = isinstance(error, refusals.FailedError)
        self.has_failed |= has_failed
        if STOP in request:
            self._guess(STOP)
            return
        if has_failed:
            self._leave_out_pictures(error, prompt)
        groups = lessons.UNASKED, ("temperature",), ("stream",)
        for fields in groups[:1] if has_failed else groups:
            if guess := request.keys() & fields:
                self._guess(*guess)
                return
        has_system = self.takes_system and request["messages"][0]["role"] == Role.SYSTEM
        if has_system and not has_failed:
            self._guess(Role.SYSTEM)
            self.takes_system = False
            return
        self._leave_out_pictures(error, prompt)
        is_later = has_earlier(prompt)
        if is_later and not self.asks_alone:
            self._guess(_EARLIER)
            return
        self._take_back()
        if has_failed:
            raise error
        raise refusals.no_way(error, asked_pictures(prompt), has_earlier=is_later)

    def settle(self, prompt: Prompt) -> None:
        """Keep the guess with which a request was taken; those before it had not helped.

        Where the server had failed before, keep that of stop texts alone. Where only the question
        was taken alone, the chat was too long, and nothing else was the matter; no length is
        learned of a server that failed, or from a short chat. Older pictures are not left out for
        good where the model has seen more of them.
        """
        if self.hides:
            which = "older pictures" if prompt.slots else "pictures of earlier messages"
            self.warning = f"The server did not take the {which}, and answered without them."
            self.hides = False
        if self.asks_alone:
            may_be_length = not self.has_failed and prompt.tokens > SHORTEST
            self._take_back()
            if not may_be_length:
                self.warning = (
                    "The server did not take the whole chat and answered the question alone: it "
                    "read nothing of what was said before."
                )
                return
            self._hold_fewer(prompt, prompt.tokens)
            self.warning = (
                "The server did not answer the whole chat, and answered the question alone: it may "
                "be too long for its model; from now on less is sent."
            )
        elif self.guesses:
            *before, last = self.guesses
            has_seen_more = last == {_OLDER} and (self.most_pictures or 0) < self.seen
            is_kept = not (has_seen_more or (self.has_failed and last != {STOP}))
            self.guesses = before if is_kept else self.guesses
            self._take_back()
        self.seen = max(self.seen, len(prompt.slots))

    def _take_back(self) -> None:
        self.not_taken -= frozenset[str]().union(*self.guesses)
        self.takes_system |= self._guessed(Role.SYSTEM)
        if self._guessed(_OLDER):
            self.most_pictures = self.most_before
        self.guesses, self.has_failed = [], False

    def _leave_out_pictures(self, error: ModelError, prompt: Prompt, least: int = 1) -> None:
        """Guess that older pictures are refused: all but one, then all. Raises ReplanError."""
        sent, asked = len(prompt.slots), asked_pictures(prompt)
        if sent == asked:
            return
        if not self._guessed(_OLDER):
            self._guess(_OLDER)
            self.most_before = self.most_pictures
        self._show_fewer(max(asked, least * int(sent > 1)), error)

    def _show_fewer(self, most: int, error: ModelError) -> NoReturn:
        self.most_pictures, self.hides = most, True
        raise lessons.ReplanError(str(error))

    def send_otherwise(
        self, error: lessons.KindRefusedError, request: Mapping[str, Any], prompt: Prompt
    ) -> None:
        """Learn the format of pictures. Raises ``error`` if the other one was refused, too."""
        if error.wants_plain_url and self.takes_url_objects:
            self.takes_url_objects = False
        elif self.kind or not prompt.slots:
            self.kind = ""
            self.do_with_less(error, request, prompt)
        else:
            self.kind = "png" if "data:image/jpeg" in str(request["messages"]) else "jpeg"

    def without_refused(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return a request without the fields that are not taken, or with those in their place."""
        for name in self.not_taken:
            if (value := request.pop(name, None)) is not None and (other := INSTEAD.get(name)):
                request[other] = value
        if "stream" not in request:
            request.pop("stream_options", None)
        if "logprobs" in self.not_taken:
            request.pop("top_logprobs", None)
        return {name: value for name, value in request.items() if name not in self.not_taken}

    def do_without_system(
        self, error: lessons.SystemRefusedError, request: Mapping[str, Any], prompt: Prompt
    ) -> None:
        """Learn that there is no system message; guess where none was sent."""
        if not self.takes_system or request["messages"][0]["role"] != Role.SYSTEM:
            self.do_with_less(error, request, prompt)
        else:
            self.takes_system = False

    def ask_alone(self, error: ModelError, prompt: Prompt) -> None:
        """Guess that a long chat that got no word was too long. Raises ``error`` else."""
        if self.asks_alone or prompt.tokens < CUT_FROM or not has_earlier(prompt):
            self._take_back()
            raise error
        self._guess(_EARLIER)

    def show_only_asked(
        self, error: ModelError, request: Mapping[str, Any], prompt: Prompt
    ) -> None:
        """Leave out the pictures of earlier messages, for this question. Raises ReplanError."""
        self._leave_out_pictures(error, prompt, least=0)
        self.do_with_less(error, request, prompt)

    def take_fewer(
        self, error: lessons.PicturesRefusedError, request: Mapping[str, Any], prompt: Prompt
    ) -> None:
        """Learn how many pictures the model takes.

        Raises ReplanError, for the conversation to be laid out again, or another ModelError
        where the question itself has too many.
        """
        sent, asked = len(prompt.slots), asked_pictures(prompt)
        if not sent:
            self.do_with_less(error, request, prompt)
            return
        # words for no pictures at all, of a model that has seen some, mean so many
        is_stated = error.most or (error.most == 0 and not self.seen)
        most = (error.most or 0) if is_stated else int(sent > 1)
        self.most_pictures = min(most, sent - 1)
        if asked > self.most_pictures:
            raise refusals.blind(self.address, error, asked)
        self._show_fewer(self.most_pictures, error)

    def make_smaller(self, error: ModelError, prompt: Prompt) -> None:
        """Learn to send less: without the older half of the pictures, then with smaller ones."""
        sent, asked = len(prompt.slots), asked_pictures(prompt)
        if not sent:
            raise lessons.ContextExceededError(str(error), None, None)
        if sent > asked:
            self._show_fewer(max(asked, sent // 2), error)
        if self.halved >= SHRUNK:
            raise refusals.too_large(error)
        self.halved += 1

    def compare(self, counted: int, prompt: Prompt, pictures: ServerPictures) -> None:
        """Compare what the server read with what was sent: some cut conversations silently.

        Others count only what they had not read before.
        """
        if prompt.chat != self.read_of:
            self.read, self.read_of = 0, prompt.chat
        is_long, least = prompt.tokens > CUT_FROM, max(SHORTEST, CACHED_BELOW * self.read)
        if self.asks_alone or (is_long and counted < least):
            return
        expected = prompt.tokens * self.density + self.added
        is_short = is_long and counted < READ_LEAST * expected
        if is_short and counted <= self.read:
            self.context = counted
            self.warning = (
                f"The server read {counted_words(counted, 'token')} of about {expected:,.0f}: it "
                "left out the beginning of the chat by itself. Give its model a longer "
                "context there (num_ctx of Ollama); from now on less is sent."
            )
        elif prompt.tokens < min(COARSE_BELOW, counted) and not prompt.slots:
            self.added = counted - prompt.tokens
        else:
            self._count(counted, prompt, pictures)
        self.read = counted
