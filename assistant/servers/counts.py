"""Counts of tokens for a model that we know: by its tokenizer on this disk, or by its server.

A server takes messages, so nothing needs the ids themselves. A text that was counted is laid out
as so many ids of :mod:`assistant.servers.vocabulary`, which share its bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

from assistant.families import hub_cache
from assistant.families.chat import ChatTemplate
from assistant.families.registry import open_checkpoint
from assistant.servers.address import Address
from assistant.servers.catalogue import NO_ANSWER, Request, Watch, ask
from assistant.servers.messages import pieces
from assistant.servers.pictures import known_model
from assistant.servers.vocabulary import STYLE, TextVocabulary, encode_bytes, shared_among
from assistant.values.errors import ModelError
from assistant.values.prompt import Prompt, Vocabulary

COUNTING_S = 10.0
"""Longest time for the count of a chat; it is estimated then."""

Tokenize = Callable[[str, Watch | None], Sequence[int]]
"""Asks a server for the ids of a text with control tokens in it. Raises ModelError."""


class LocalCounts:
    """Counts by the tokenizer of a checkpoint that is on this disk."""

    revision = 0
    is_exact = True

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def of(self, text: str) -> int | None:
        """Return the tokens of a text."""
        return len(self._vocabulary.encode(text))

    def learn(self, texts: Sequence[str], watch: Watch | None) -> bool:
        """All are known."""
        return False


class ServedCounts:
    """Counts that the model's server was asked for; other texts are estimated.

    ``separator`` is a control token between messages: one request counts many texts, each as it is
    tokenized behind such a token.
    """

    def __init__(self, separator: str, tokenize: Tokenize) -> None:
        self._separator, self._tokenize = separator, tokenize
        self._known: dict[str, int] = {}
        self._mark: int | None = None
        """The separator's id."""
        self._is_refused = False
        self.revision = 0
        self.is_exact = True
        """Nothing was estimated since texts were counted last."""

    def of(self, text: str) -> int | None:
        """Return the tokens of a text, None where they are not known."""
        found = self._known.get(text)
        self.is_exact &= found is not None
        return found

    def learn(self, texts: Sequence[str], watch: Watch | None) -> bool:
        """Have texts counted; returns whether that brought anything new. Never raises."""
        new = [one for one in dict.fromkeys(texts) if one not in self._known]
        if not new or self._is_refused:
            return False
        try:
            if self._mark is None:
                (self._mark,) = self._tokenize(self._separator, watch)
            self._known |= zip(new, self._counted(new, self._mark, watch), strict=True)
        except (ModelError, ValueError) as error:
            # one that was away for a moment is asked the next time
            self._is_refused = not (isinstance(error, ModelError) and error.code in NO_ANSWER)
            return False
        self.revision, self.is_exact = self.revision + 1, True
        return True

    def _counted(self, texts: Sequence[str], mark: int, watch: Watch | None) -> Iterator[int]:
        ids = list(self._tokenize("".join(self._separator + one for one in texts), watch))
        starts = [at for at, token in enumerate(ids) if token == mark]
        if len(texts) == 1:
            yield len(ids) - 1
        elif len(starts) == len(texts):
            yield from (end - at - 1 for at, end in pairwise([*starts, len(ids)]))
        else:  # a text has the name of the token in it
            half = len(texts) // 2
            yield from self._counted(texts[:half], mark, watch)
            yield from self._counted(texts[half:], mark, watch)


class CountedVocabulary(TextVocabulary):
    """A vocabulary that has as many ids for a text as the model has tokens, where that is known.

    ``agrees`` says whether the server's own counts were these.
    """

    def __init__(self, counts: LocalCounts | ServedCounts, agrees: Callable[[], bool]) -> None:
        self._counts, self._agrees = counts, agrees

    @property
    def counts_exactly(self) -> bool:
        return self._counts.is_exact and self._agrees()

    @property
    def revision(self) -> int:
        return self._counts.revision

    def encode(self, text: str) -> tuple[int, ...]:
        # half of a surrogate pair is stored as U+FFFD
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        count, data = self._counts.of(whole), whole.encode()
        return shared_among(data, count) if count else encode_bytes(data)

    def learn(self, prompt: Prompt, watch: Watch | None = None) -> bool:
        """Have the texts of a prompt counted; whether that brought anything new. Never raises."""
        texts = [one for one in pieces(prompt) if isinstance(one, str)]
        # a half reply that goes on has its ids
        return self._counts.learn(texts[:-1] if prompt.begun else texts, watch)


def chat_of(address: Address, agrees: Callable[[], bool]) -> ChatTemplate:
    """Return the layout of prompts for a server's model; see :class:`CountedVocabulary`."""
    known, vocabulary = known_model(address.model or ""), TextVocabulary()
    if known is not None:
        served = ServedCounts(known.separator, partial(_tokenized, address))
        vocabulary = CountedVocabulary(_local(known.id) or served, agrees)
    return ChatTemplate(STYLE, lambda: vocabulary)


def _local(model_id: str) -> LocalCounts | None:
    """Find the tokenizer of a model that was fetched, its weights or not."""
    commit = hub_cache.fetched_commit(model_id)
    if commit is None:
        return None
    try:
        folder = hub_cache.snapshot(model_id, commit)
        return LocalCounts(open_checkpoint(folder).chat.vocabulary)
    except ModelError:
        return None


def _tokenized(address: Address, text: str, watch: Watch | None) -> list[int]:
    """Ask a server's ``/tokenize``: of vLLM and SGLang, or of llama.cpp. Raises ModelError."""
    body = {
        "model": address.model,
        **dict.fromkeys(("prompt", "content"), text),
        **dict.fromkeys(("add_special_tokens", "add_special"), False),
    }
    url = f"{address.base.removesuffix('/v1')}/tokenize"
    request = Request(url, COUNTING_S, json.dumps(body).encode())
    return ask(address, request, lambda said: [int(one) for one in said["tokens"]], watch)
