"""Client of an OpenAI-compatible server, in place of a local core."""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from assistant.families.chat import ChatTemplate
from assistant.servers import catalogue as looking, keys, lessons, refusals
from assistant.servers.address import parse
from assistant.servers.catalogue import ServerModel
from assistant.servers.counts import CountedVocabulary, chat_of
from assistant.servers.fence import unfenced
from assistant.servers.limits import Limits
from assistant.servers.messages import as_json, messages, without_system
from assistant.servers.pictures import KnownPictures, ServerPictures, picture_url, pictures_for
from assistant.servers.reply import Reply
from assistant.servers.request import FAILURES, Exchange
from assistant.servers.thoughts import Habits, switches
from assistant.servers.vocabulary import TextVocabulary
from assistant.values.chances import OTHERS
from assistant.values.conversation import FinishReason, Role, Usage
from assistant.values.errors import ModelError
from assistant.values.events import ModelStatus, Phase, Progressed, Stage, ThoughtGrew
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.model import CoreEvent, ModelFacts
from assistant.values.prompt import Prompt, Slot
from assistant.values.sampling import PARAMETERS, Sampling
from assistant.values.schema_fit import misfit
from assistant.values.words import counted as counted_words

CONTEXT = 8192
"""Tokens. The assumed context where neither the server nor the settings state it."""

MOST_STOPS = 4
"""Stop texts that the API takes; the engine finds all of them by itself, too."""

MOST_BYTES = 64
"""Bytes. A server that sends more for each requested token is cut off."""

RESENT = 16
"""Times that a request is sent at most, each time without something that was refused."""

CROPS = "mm_processor_kwargs"
"""Field of vLLM's requests with the number of crops."""

CONTINUES = frozenset({"vllm", "llamacpp", "library"})
"""``owned_by`` of vLLM, llama.cpp and Ollama, which go on from within a reply; others may begin a
new one."""

WAITS_S = (1.0, 2.0, 4.0)
"""Seconds before a busy server is asked again, unless it says how long."""
LONGEST_WAIT_S = 30.0
"""Seconds: a server that wants to be left alone for longer is reported instead."""


@dataclass
class _Known:
    """Knowledge that all chats with a server share, beside its limits and habits."""

    status: ModelStatus
    found: ServerModel | None = None
    pictures: ServerPictures | None = None
    chat: ChatTemplate | None = None


class ServerCore:
    """A :class:`assistant.values.model.Core` that asks a server, on first use.

    ``model`` is an address, see :func:`assistant.servers.address.parse`. Sizes of prompts are
    estimates where the server has a tokenizer that we don't know. Raises ModelError for a bad
    address.
    """

    def __init__(
        self, model: str, *, detail: int | None = None, context: int | None = None
    ) -> None:
        self._address = parse(model)
        self._detail = detail
        self._wanted_context = context
        self._limits = Limits(self._address)
        self._habits = Habits()
        self._looking = threading.Lock()
        status = ModelStatus(Phase.IDLE, self._address.name, is_demo=False, is_server=True)
        self._known = _Known(status)
        self._begin_line()

    def _begin_line(self) -> None:
        """Set up what belongs to the requests of one chat."""
        self._one_at_a_time = threading.Lock()
        self._running: Exchange | None = None
        self._stop_wanted = False
        self._stops = 0
        self._stop_event = threading.Event()
        self._switch = threading.Lock()
        self._urls: dict[Slot, str] = {}

    def facts(self) -> ModelFacts:
        """Return the model's facts; asks the server the first time. Raises ModelError."""
        found = self._look()
        stated = (found.context, self._wanted_context, self._limits.context)
        held = min((one for one in stated if one is not None), default=CONTEXT)
        # in tokens as they are estimated here
        context = max(1, int(held / max(1.0, self._limits.density)))
        return ModelFacts(
            name=self._address.name,
            folder="",
            is_demo=False,
            context=context,
            chat=self._chat(found),
            pictures=self._form(found),
            most_pictures=self._limits.most_pictures,
            continues=found.owner in CONTINUES,
        )

    def _form(self, found: ServerModel) -> ServerPictures:
        """Return the picture format, always the same one of a model."""
        if self._known.pictures is None:
            self._known.pictures = pictures_for(
                found.address.model or "", found.owner, self._detail
            )
        return self._known.pictures

    def _chat(self, found: ServerModel) -> ChatTemplate:
        """Return the layout of prompts, always the same one of a model."""
        if self._known.chat is None:
            limits = self._limits
            self._known.chat = chat_of(found.address, agrees=lambda: limits.density == 1.0)
        return self._known.chat

    def status(self) -> ModelStatus:
        """Return whether the server answered last time; never blocks."""
        return self._known.status

    def preload(self) -> None:
        """Ask the server for its models, in a thread; sends nothing of a conversation."""
        threading.Thread(target=self._preload, name="phichat-server-look", daemon=True).start()

    def generate(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        """See :meth:`assistant.core.Core.generate`; ids are of :class:`TextVocabulary`."""
        with self._one_at_a_time:
            self._stop_wanted, self._limits.warning = False, ""
            self._stop_event.clear()
            yield Progressed(Stage.QUEUED, detail=f"asking {self._address.host}")
            try:
                found = self._look()
                yield from self._ask(prompt, sampling, found, pixels)
            except refusals.StoppedError:
                usage = Usage(prompt.tokens, prompt.picture_tokens, 0, 0)
                yield GenerationEnded(FinishReason.STOPPED, usage, 0.0, 0.0)
            except lessons.ContextExceededError as error:
                # the estimate was short: the engine plans once more, for less
                form = self._form(self._look())
                self._limits.shorten(error, prompt, self.facts().context, form)
                raise

    def count(self, prompt: Prompt) -> bool:
        """Ask the server's tokenizer, where the model is one whose template we know."""
        stops = self._stops
        vocabulary = self._chat(self._look()).vocabulary
        if not isinstance(vocabulary, CountedVocabulary):
            return False
        try:
            has_learned = vocabulary.learn(prompt, partial(self._watch, stops))
        finally:
            with self._switch:
                self._running = None
        if self._stops != stops:
            raise refusals.StoppedError(self._address)
        return has_learned

    def line(self) -> ServerCore:
        """Return a client of the same server for one chat: several are answered at once."""
        other = copy.copy(self)
        other._begin_line()
        return other

    def read_ahead(self, prompt: Prompt, following: int, pixels: Callable[[str], Pixels]) -> bool:
        """Send nothing before the user does."""
        return False

    def stop_reading(self) -> None:
        """Do nothing: nothing is read ahead."""

    def forget(self, chat: str) -> None:
        """Do nothing: no server hears of sessions."""

    def kill_hung(self) -> None:
        """Do nothing: a server is in the hands of others."""

    def stop(self) -> None:
        """Close the connection; harmless when nothing runs."""
        with self._switch:
            self._stop_wanted = True
            self._stops += 1
            self._stop_event.set()
            if self._running is not None:
                self._running.close()

    def close(self) -> None:
        """Leave the server."""
        self.stop()

    def _look(self) -> ServerModel:
        stops = self._stops
        with self._looking:
            if self._known.found is None:
                try:
                    self._known.found = looking.chosen(self._address, partial(self._watch, stops))
                except ModelError as error:
                    if self._stops != stops:
                        self._set_status(Phase.IDLE)
                        raise refusals.StoppedError(self._address) from error
                    self._set_status(Phase.FAILED, str(error))
                    raise
                finally:
                    with self._switch:
                        self._running = None
            self._set_status(Phase.READY, self._words(self._known.found))
            return self._known.found

    def _watch(self, stops: int, exchange: Exchange) -> None:
        """Let :meth:`stop` end a request for models, even one that waited for another."""
        with self._switch:
            self._running = exchange
            if self._stops != stops:
                exchange.close()

    def _preload(self) -> None:
        self._set_status(Phase.LOADING, f"asking {self._address.host}")
        with suppress(ModelError):  # the status says it
            self._look()

    def _words(self, found: ServerModel) -> str:
        name = keys.shown(found.address.model or "its model", 60)
        if found.context is not None:
            return f"{name} reads {counted_words(found.context, 'token')}"
        if self._wanted_context is not None:
            return f"{name}; the server does not tell its context"
        return (
            f"{name}; the server does not tell its context, {counted_words(CONTEXT, 'token')} are "
            "assumed (the setting context)"
        )

    def _set_status(self, phase: Phase, detail: str = "") -> None:
        self._known.status = ModelStatus(
            phase,
            self._address.name,
            is_demo=False,
            detail=detail,
            is_server=True,
            warning=self._limits.warning,
        )

    def _encode(
        self, prompt: Prompt, form: ServerPictures, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        """Make the data URLs of the prompt's pictures; those of the last prompt are kept."""
        slots = list(dict.fromkeys(prompt.slots))
        missing = [slot for slot in slots if slot not in self._urls]
        for done, slot in enumerate(missing):
            yield Progressed(Stage.PICTURES, done, len(missing))
            shown = pixels(slot.pixels_sha256)
            limits = self._limits
            self._urls[slot] = picture_url(
                shown, form, slot.detail, halved=limits.halved, only=limits.kind
            )
        self._urls = {slot: self._urls[slot] for slot in slots}

    def _ask(
        self,
        prompt: Prompt,
        sampling: Sampling,
        found: ServerModel,
        pixels: Callable[[str], Pixels],
    ) -> Iterator[CoreEvent]:
        """Send the prompt; again where a refusal teaches what to leave out, or after a wait."""
        waits = list(WAITS_S)
        for _ in range(RESENT):
            yield from self._encode(prompt, self._form(found), pixels)
            request = self._request(prompt, sampling, found)
            try:
                yield from self._answer(prompt, sampling, request)
            except refusals.BusyError as error:
                if not waits or (error.after_s or 0.0) > LONGEST_WAIT_S:
                    raise
                first = waits.pop(0)
                wait = first if error.after_s is None else error.after_s
                yield Progressed(Stage.QUEUED, detail=f"busy; asked again in {wait:.0f} s")
                self._stop_event.wait(wait)
                if self._stop_wanted:
                    raise refusals.StoppedError(self._address) from error
            except lessons.NotTakenError as error:
                self._limits.leave_out(error, request, prompt)
                form = self._form(found)
                if isinstance(form, KnownPictures) and CROPS in self._limits.not_taken:
                    form.refuse_detail()
            except lessons.KindRefusedError as error:
                self._limits.send_otherwise(error, request, prompt)
                self._urls.clear()
            except lessons.SystemRefusedError as error:
                self._limits.do_without_system(error, request)
            except lessons.PicturesRefusedError as error:
                self._limits.take_fewer(error, prompt)
            except lessons.TooLargeError as error:
                self._limits.make_smaller(error, prompt)
                self._urls.clear()
            except ModelError as error:
                is_plain = type(error) is ModelError and error.code == "refused"
                if not (is_plain or isinstance(error, refusals.FailedError)):
                    raise
                self._limits.do_with_less(error, request, prompt)
            else:
                self._limits.settle(prompt)
                self._set_status(Phase.READY, self._known.status.detail)
                return
        raise ModelError(f"{self._address.base} refuses every form of this request.")

    def _request(self, prompt: Prompt, sampling: Sampling, found: ServerModel) -> dict[str, Any]:
        said = messages(prompt, alone=self._limits.asks_alone)
        if not self._limits.takes_system:
            said = without_system(said)
        chosen = {
            one.request: getattr(sampling, name)
            for name, one in PARAMETERS.items()
            if one.request and not (one.only_if_set and getattr(sampling, name) == one.default)
        }
        if "stop" in chosen:
            chosen["stop"] = chosen["stop"][:MOST_STOPS]
        if said[-1].role is Role.ASSISTANT:
            chosen.pop("response_format", None)  # it would ask for a second JSON within the first
        elif sampling.schema:
            answer = {"name": "answer", "strict": True, "schema": json.loads(sampling.schema)}
            chosen["response_format"] = {"type": "json_schema", "json_schema": answer}
        if said[-1].role is Role.ASSISTANT and found.owner == "vllm":
            # others take a last message of the assistant for the beginning of the reply, or don't
            chosen |= {"continue_final_message": True, "add_generation_prompt": False}
        request = {
            "model": found.address.model,
            "messages": [as_json(one, self._url) for one in said],
            "stream": True,
            "stream_options": {"include_usage": True},
            "logprobs": True,
            "top_logprobs": OTHERS + 1,  # the chosen one is among them
            **chosen,
            **switches(sampling.thinking, found.address, found.owner, self._habits),
            **self._of_known(prompt, found),
        }
        return self._limits.without_refused(request)

    def _url(self, slot: Slot) -> dict[str, str] | str:
        url = self._urls[slot]
        return {"url": url} if self._limits.takes_url_objects else url

    def _of_known(self, prompt: Prompt, found: ServerModel) -> dict[str, Any]:
        """Return the fields with which vLLM does for a model that we know as its authors do.

        Its chat template has no beginning of the text (BOS), and none is added unasked;
        phichat-vllm's has one, and is asked to leave it to the tokenizer. The number of crops is
        one for the whole request.
        """
        form = self._form(found)
        if found.owner != "vllm" or not isinstance(form, KnownPictures):
            return {}
        fields = {"add_special_tokens": True, "chat_template_kwargs": {"bos": False}}
        most = max((slot.detail for slot in prompt.slots), default=form.own)
        return fields | ({CROPS: {"num_crops": most}} if most != form.own else {})

    def _answer(
        self, prompt: Prompt, sampling: Sampling, request: Mapping[str, Any]
    ) -> Iterator[CoreEvent]:
        level = sampling.thinking
        body = json.dumps(request).encode()
        goes_on = request["messages"][-1]["role"] == Role.ASSISTANT
        unopened = not goes_on and self._habits.may_be_unopened(str(request["model"]), level)
        strips = not goes_on and isinstance(self._known.pictures, KnownPictures)
        vocabulary = TextVocabulary()
        reply = Reply(self._address, unopened=unopened, strips=strips)
        started = time.perf_counter()
        first = last = 0.0
        events = count = size = 0
        said = request["messages"][-1]["content"] if goes_on else ""
        reason: FinishReason | None = None
        exchange = self._begin(body)
        try:
            if exchange is not None:
                yield Progressed(Stage.QUEUED, detail=f"waiting for {self._address.host}")
                pieces = self._until_stopped(reply, exchange)
                for piece in unfenced(pieces, reply.chances) if sampling.schema else pieces:
                    last = time.perf_counter()
                    first = first or last
                    text = piece.text if isinstance(piece, ThoughtGrew) else piece
                    said += "" if isinstance(piece, ThoughtGrew) else piece
                    events, size = events + 1, size + len(text)
                    if isinstance(piece, ThoughtGrew):
                        count += len(vocabulary.encode(text))
                        yield piece
                    else:
                        generated = TokensGenerated(*reply.chances.put_on(text))
                        count += len(generated.ids)
                        yield generated
                    if size > sampling.max_new_tokens * MOST_BYTES:
                        reason = FinishReason.LENGTH
                        break
                else:
                    if not self._stop_wanted:
                        reply.check(may_be_empty=goes_on)
        except FAILURES as error:
            if not self._stop_wanted:
                failure = refusals.unreachable(self._address, error)
                if failure.code == "unreachable":
                    self._forget(failure)
                    if not (reply.has_text or reply.has_thought):  # it may be starting again
                        raise refusals.BusyError(str(failure), None, failure.code) from error
                raise self._of_nothing(failure, reply) from error
        except ModelError as error:
            if not self._stop_wanted:
                raise self._of_nothing(error, reply) from error
        finally:
            with self._switch:
                self._running = None
            if exchange is not None:
                exchange.close()
            reply.teach(self._habits, level)
        if self._stop_wanted:
            reason = FinishReason.STOPPED
        elif sampling.schema and reply.finish_reason is FinishReason.STOP:
            self._check_answer(said, sampling.schema)
        counts: Mapping[str, int] = reply.usage
        if counted := counts.get("prompt_tokens"):
            self._limits.compare(counted, prompt, self._form(self._look()))
            self._set_status(Phase.READY, self._known.status.detail)
        # most servers stream a token an event
        completion = counts.get("completion_tokens", events if events > 1 else count)
        usage = Usage(
            counts.get("prompt_tokens", prompt.tokens),
            prompt.picture_tokens,
            counts.get("cached_tokens", 0),
            completion,
        )
        seconds = last - first
        rate = (completion - 1) / seconds if completion > 1 and seconds > 0 else 0.0
        ttft = first - started if first else 0.0
        yield GenerationEnded(reason or reply.finish_reason, usage, ttft, rate)

    def _of_nothing(self, error: ModelError, reply: Reply) -> ModelError:
        """Take a connection that broke off before a word came for a failure at the request."""
        if error.code != "cut" or reply.has_text or reply.has_thought:
            return error
        return refusals.FailedError(
            f"{self._address.base} closed the connection without an answer: ask again, with fewer "
            "or smaller pictures if it does so again."
        )

    def _until_stopped(self, reply: Reply, exchange: Exchange) -> Iterator[str | ThoughtGrew]:
        for piece in reply.read(exchange):
            if self._stop_wanted:
                break
            yield piece
        yield from reply.rest()

    def _check_answer(self, text: str, schema: str) -> None:
        """Warn of an answer that its schema does not allow: many servers do not obey one."""
        fault = misfit(text, schema)
        if fault is not None:
            self._limits.warning = (
                f"The server took the schema and did not obey it. {fault} "
                "Use a server that does, or a model on this machine."
            )
            self._set_status(Phase.READY, self._known.status.detail)

    def _begin(self, body: bytes) -> Exchange | None:
        """Begin the request; None if it was stopped before."""
        with self._switch:
            if self._stop_wanted:
                return None
            self._running = Exchange(
                f"{self._address.base}/chat/completions",
                looking.headers(self._address),
                body,
                proxies=not self._address.is_here,
            )
            return self._running

    def _forget(self, failure: ModelError) -> None:
        """Forget the server's model, because a server that comes back may have another."""
        self._known.found = None
        self._set_status(Phase.FAILED, str(failure))
