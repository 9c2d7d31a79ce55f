"""Client of an OpenAI-compatible server, in place of a local core."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from assistant.families.chat import ChatTemplate
from assistant.servers import catalogue as looking, lessons, refusals
from assistant.servers.address import parse
from assistant.servers.body import CROPS, PictureUrls, body_of
from assistant.servers.catalogue import ServerModel
from assistant.servers.counts import CountedVocabulary, chat_of
from assistant.servers.fence import unfenced
from assistant.servers.limits import Limits
from assistant.servers.pace import Pace
from assistant.servers.pictures import KnownPictures, ServerPictures, pictures_for
from assistant.servers.reply import Reply
from assistant.servers.request import FAILURES, Exchange
from assistant.servers.thoughts import Habits
from assistant.servers.vocabulary import TextVocabulary
from assistant.values.conversation import FinishReason, Role, Usage
from assistant.values.errors import ModelError
from assistant.values.events import ModelStatus, Phase, Progressed, Stage, ThoughtGrew
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.model import CoreEvent, ModelFacts
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from assistant.values.schema_fit import misfit

CONTEXT = 8192
"""Tokens. The assumed context where neither the server nor the settings state it."""

MOST_BYTES = 64
"""Bytes. A server that sends more for each requested token is cut off."""

RESENT = 16
"""Times that a request is sent at most, each time without something that was refused."""

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
        self._urls = PictureUrls(self._limits)

    def facts(self) -> ModelFacts:
        """Return the model's facts; asks the server the first time. Raises ModelError."""
        found = self._look()
        stated = (found.context, self._wanted_context, self._limits.context)
        held = min((one for one in stated if one is not None), default=CONTEXT)
        # in tokens as they are estimated here
        context = max(1, self._limits.in_estimated(held))
        return ModelFacts(
            name=self._address.name,
            folder="",
            is_demo=False,
            context=context,
            chat=self._chat(found),
            pictures=self._form(found),
            most_pictures=self._limits.most_pictures,
            continues=found.owner in looking.CONTINUES,
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
            self._known.chat = chat_of(
                found.address, agrees=lambda: limits.density == 1.0 and not limits.added
            )
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
            words = looking.context_words(self._known.found, CONTEXT, self._wanted_context)
            self._set_status(Phase.READY, words)
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

    def _set_status(self, phase: Phase, detail: str = "") -> None:
        self._known.status = ModelStatus(
            phase,
            self._address.name,
            is_demo=False,
            detail=detail,
            is_server=True,
            warning=self._limits.warning,
        )

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
            form = self._form(found)
            yield from self._urls.encode(prompt, form, pixels)
            request = body_of(prompt, sampling, found, form, self._limits, self._habits, self._urls)
            try:
                yield from self._answer(prompt, sampling, request)
            except refusals.BusyError as error:
                if not waits or (error.after_s or 0.0) > LONGEST_WAIT_S:
                    raise
                first = waits.pop(0)
                wait = first if error.after_s is None else error.after_s
                found_it = "no answer" if error.code == "unreachable" else "busy"
                yield Progressed(Stage.QUEUED, detail=f"{found_it}; asked again in {wait:.0f} s")
                self._stop_event.wait(wait)
                if self._stop_wanted:
                    raise refusals.StoppedError(self._address) from error
            except lessons.NotTakenError as error:
                self._limits.leave_out(error, request, prompt)
                if isinstance(form, KnownPictures) and CROPS in self._limits.not_taken:
                    form.refuse_detail()
            except lessons.KindRefusedError as error:
                self._limits.send_otherwise(error, request, prompt)
                self._urls.clear()
            except lessons.SystemRefusedError as error:
                self._limits.do_without_system(error, request, prompt)
            except lessons.PicturesRefusedError as error:
                self._limits.take_fewer(error, request, prompt)
            except lessons.EarlierPicturesRefusedError as error:
                self._limits.show_only_asked(error, request, prompt)
            except refusals.SilentError as error:
                self._limits.ask_alone(error, prompt)
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
        pace = Pace()
        said = request["messages"][-1]["content"] if goes_on else ""
        reason: FinishReason | None = None
        exchange = self._begin(body)
        try:
            if exchange is not None:
                yield Progressed(Stage.QUEUED, detail=f"waiting for {self._address.host}")
                pieces = self._until_stopped(reply, exchange)
                for piece in unfenced(pieces, reply.chances) if sampling.schema else pieces:
                    text = piece.text if isinstance(piece, ThoughtGrew) else piece
                    said += "" if isinstance(piece, ThoughtGrew) else piece
                    pace.come(text)
                    if isinstance(piece, ThoughtGrew):
                        pace.count(len(vocabulary.encode(text)))
                        yield piece
                    else:
                        generated = TokensGenerated(*reply.chances.put_on(text))
                        pace.count(len(generated.ids))
                        yield generated
                    if pace.size > sampling.max_new_tokens * MOST_BYTES:
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
        if counted := reply.usage.get("prompt_tokens"):
            self._limits.compare(counted, prompt, self._form(self._look()))
            self._set_status(Phase.READY, self._known.status.detail)
        yield pace.ended(reason or reply.finish_reason, reply.usage, prompt)

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
