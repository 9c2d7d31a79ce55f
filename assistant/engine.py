"""The one door for every front end: send, regenerate, stop, resume.

Everything here is synchronous and thread-safe: a front end iterates over the
events of a turn in a thread of its own and stays responsive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from assistant import window
from assistant.conversation import (
    Conversation,
    Draft,
    FinishReason,
    Picture,
    PictureFile,
    Role,
    SessionSummary,
    Turn,
)
from assistant.core import (
    Core,
    CoreProgressed,
    ModelFacts,
    Pixels,
    Prompt,
    Sampling,
    Slot,
    TokensGenerated,
)
from assistant.errors import PhichatError, PictureError
from assistant.events import (
    Event,
    ModelStatus,
    Progressed,
    ReplyEnded,
    ReplyFailed,
    ReplyGrew,
    ReplyStarted,
    UserTurnStored,
)
from assistant.growing_reply import GrowingReply
from assistant.phi3v.geometry import crop_grid
from assistant.phi3v.vocabulary import Vocabulary
from assistant.settings import Settings
from assistant.template import render

if TYPE_CHECKING:
    from storage import Store


@dataclass(frozen=True, slots=True)
class PromptPreview:
    """What the model would see of a conversation.

    ``budget`` is the positions that the prompt may take; the rest of the
    context is kept for the reply.
    """

    prompt: Prompt
    kept: tuple[Turn, ...]
    left_out: tuple[Turn, ...]
    budget: int
    max_new_tokens: int


class Engine:
    """Conversations on top of a store and an inference core.

    ``store`` may be a way to open one, which happens on first use: the screen
    is painted before the database library is even imported. Every method
    raises StorageError when the database can't be opened, read or written.
    """

    def __init__(self, settings: Settings, store: Store | Callable[[], Store], core: Core) -> None:
        self._settings = settings
        self._opened: Store | None = None
        self._open: Callable[[], Store] = store if callable(store) else lambda: store
        self._opening = threading.Lock()
        self._core = core
        self._costs: dict[Turn, int] = {}

    @property
    def _store(self) -> Store:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    # Sessions

    def sessions(self, limit: int = 200, offset: int = 0) -> list[SessionSummary]:
        """Sessions, the most recently used first."""
        return self._store.sessions(limit, offset)

    def find_session(self, id_or_prefix: str) -> str:
        """The full id for what a person typed of it. Raises SessionNotFoundError."""
        return self._store.find_session(id_or_prefix)

    def latest_session(self) -> str | None:
        """The id of the session used last, or None."""
        return self._store.latest_session()

    def conversation(self, session_id: str) -> Conversation:
        """The current branch of a session. Raises SessionNotFoundError."""
        return self._store.conversation(session_id)

    def all_turns(self, session_id: str) -> tuple[Turn, ...]:
        """Every turn of every branch of a session."""
        return self._store.all_turns(session_id)

    def rename(self, session_id: str, title: str) -> None:
        """Give a session another title."""
        self._store.rename(session_id, title)

    def delete(self, session_id: str) -> None:
        """Delete a session and the pictures that no other session shows."""
        self._store.delete(session_id, for_good=True)

    # Pictures

    def open_picture(self, source: str) -> PictureFile:
        """Open a path or an http(s) URL. Raises PictureError with one plain sentence."""
        from assistant import pictures  # PIL is needed only now

        return self._checked(pictures.open_source(source))

    def open_picture_bytes(self, data: bytes, name: str) -> PictureFile:
        """A picture from memory (a pipe, the clipboard). Raises PictureError."""
        from assistant import pictures

        return self._checked(pictures.open_bytes(data, name=name))

    def parse_dropped(self, text: str) -> list[str]:
        """The picture paths and URLs that a pasted text consists of; [] when it is just text."""
        from assistant import pictures

        return pictures.parse_dropped(text)

    def picture_data(self, sha256: str) -> bytes:
        """The original bytes of a stored picture."""
        return self._store.picture_data(sha256)

    def picture_tokens(self, picture: Picture | PictureFile) -> int:
        """Positions that a picture takes in the prompt of the current model."""
        facts = self._core.facts()
        grid = crop_grid(picture.width, picture.height, facts.num_crops)
        return grid.tokens(facts.num_img_tokens)

    def _checked(self, file: PictureFile) -> PictureFile:
        """A picture that the model can't be shown is refused when it is attached, not later."""
        try:
            self.picture_tokens(file)
        except ValueError:
            raise PictureError(
                f"{file.name} is {file.width} x {file.height} pixels, too thin for the model to "
                "see: crop it first."
            ) from None
        return file

    # Turns

    def send(
        self, session_id: str | None, draft: Draft, sampling: Sampling | None = None
    ) -> Iterator[Event]:
        """Store the user's turn, then answer it; ``None`` starts a new session.

        Yields UserTurnStored first. Errors after that are ReplyFailed events;
        before that (nothing stored) they are raised as PhichatError.
        """
        self._check_fits(session_id, draft)
        session_id, turn = self._store.add_user_turn(
            session_id,
            draft,
            model=self._core.facts().name,
            system=self._settings.system if session_id is None else None,
        )
        yield UserTurnStored(session_id, turn)
        yield from self._answer(session_id, turn, sampling)

    def regenerate(self, session_id: str, sampling: Sampling | None = None) -> Iterator[Event]:
        """Answer the last user turn again; the old reply stays as a sibling.

        Raises PhichatError when there is nothing to answer.
        """
        for turn in reversed(self._store.conversation(session_id).turns):
            if turn.role is Role.USER:
                yield from self._answer(session_id, turn, sampling)
                return
        raise PhichatError("There is nothing to answer yet: send a message first.")

    def resume(self, session_id: str, sampling: Sampling | None = None) -> Iterator[Event]:
        """Answer the last user turn if its reply is missing or did not end by itself."""
        turns = self._store.conversation(session_id).turns
        if turns and turns[-1].finish_reason in (FinishReason.STOP, FinishReason.LENGTH):
            raise PhichatError("The last message has its answer already.")
        yield from self.regenerate(session_id, sampling)

    def stop(self) -> None:
        """End the running reply within one token; what was written is kept."""
        self._core.stop()

    def preview(self, session_id: str | None, draft: Draft | None = None) -> PromptPreview:
        """What the model would be given if ``draft`` were sent now. Stores nothing."""
        turns: tuple[Turn, ...] = ()
        system = self._settings.system
        if session_id is not None:
            conversation = self._store.conversation(session_id)
            turns, system = conversation.turns, conversation.system
        if draft is not None:
            turns = (*turns, _as_turn(draft))
        return self._preview(turns, system)

    # The model

    def facts(self) -> ModelFacts:
        """Facts of the chosen model. Raises ModelError when there is no such model."""
        return self._core.facts()

    def status(self) -> ModelStatus:
        """The state of the model; never blocks."""
        return self._core.status()

    def preload(self) -> None:
        """Start loading the model behind the screen; returns at once."""
        self._core.preload()

    def close(self) -> None:
        """End the worker and release the database."""
        self._core.close()
        if self._opened is not None:
            self._opened.close()

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return Vocabulary.from_folder(Path(self._core.facts().folder))

    def _sampling(self, sampling: Sampling | None) -> Sampling:
        if sampling is not None:
            return sampling
        chosen = self._settings
        return Sampling(
            temperature=chosen.temperature,
            top_p=chosen.top_p,
            seed=chosen.seed,
            max_new_tokens=chosen.max_new_tokens,
        )

    def _slot(self, picture: Picture) -> Slot:
        facts = self._core.facts()
        return Slot(picture.pixels_sha256, facts.num_crops, self.picture_tokens(picture))

    def _preview(self, turns: tuple[Turn, ...], system: str | None) -> PromptPreview:
        # A stored turn of an interrupted session may lack its reply: the model sees what is there.
        context, model = self._core.facts().context, self._core.facts().name
        # another model's ids mean other words here: its replies are tokenized from their text
        turns = tuple(
            turn if turn.model == model else replace(turn, token_ids=None) for turn in turns
        )
        max_new = min(self._settings.max_new_tokens, context // 2)
        frame = render((), self._vocabulary, self._slot, system=system).tokens
        plan = window.plan(turns, context - max_new - frame, self._cost)
        prompt = render(plan.kept, self._vocabulary, self._slot, system=system)
        return PromptPreview(prompt, plan.kept, plan.left_out, context - max_new, max_new)

    def _cost(self, turn: Turn) -> int:
        """Positions that a turn adds: costs are additive, but for the BOS that render() sets.

        Turns are values, so each is tokenized for its cost once, not on every send.
        """
        if turn not in self._costs:
            alone = render((turn,), self._vocabulary, self._slot, answer=False)
            self._costs[turn] = alone.tokens - 1
        return self._costs[turn]

    def _check_fits(self, session_id: str | None, draft: Draft) -> None:
        """Refuse what can't fit even alone, before anything is stored."""
        preview = self.preview(session_id, draft)
        excess = preview.prompt.tokens - preview.budget
        if excess > 0:
            pictures = f" and {len(draft.pictures)} pictures" if draft.pictures else ""
            raise PhichatError(
                f"This message{pictures} takes {excess} tokens more than the model can hold: "
                "shorten it or attach fewer pictures.",
                code="too_long",
            )

    def _answer(
        self, session_id: str, user_turn: Turn, sampling: Sampling | None
    ) -> Iterator[Event]:
        """Stream the reply to a stored user turn; every way out leaves a finished reply."""
        reply = self._store.start_reply(session_id, user_turn.id, model=self._core.facts().name)
        growing = GrowingReply(self._store, reply, self._vocabulary)
        try:
            yield ReplyStarted(session_id, reply)
            conversation = self._store.conversation(session_id, head=user_turn.id)
            preview = self._preview(conversation.turns, conversation.system)
            chosen = self._sampling(sampling)
            room = self._core.facts().context - preview.prompt.tokens
            chosen = replace(chosen, max_new_tokens=min(chosen.max_new_tokens, room))
            by_pixels = {p.pixels_sha256: p.sha256 for p in conversation.pictures}

            def pixels(pixels_sha256: str) -> Pixels:
                return self._pixels(by_pixels[pixels_sha256])

            for event in self._core.generate(preview.prompt, chosen, pixels):
                if isinstance(event, CoreProgressed):
                    yield event
                elif isinstance(event, TokensGenerated):
                    if text := growing.add(event.ids):
                        yield ReplyGrew(text)
                else:
                    if text := growing.flush():
                        yield ReplyGrew(text)
                    yield ReplyEnded(session_id, growing.finish(event.finish_reason, event))
        except PhichatError as error:
            turn = growing.try_to_finish(FinishReason.ERROR)
            yield ReplyFailed(session_id, error.code, str(error), turn)
        finally:
            # the front end went away in the middle (ctrl-C, a closed screen): keep the half reply
            growing.try_to_finish(FinishReason.STOPPED)

    def _pixels(self, sha256: str) -> Pixels:
        from assistant import pictures

        image = pictures.pixels(self._store.picture_data(sha256))
        return Pixels(image.width, image.height, image.tobytes())


def open_engine(settings: Settings) -> Engine:
    """The engine on the database and the local model that ``settings`` name.

    Neither is touched before it is needed.
    """
    from assistant.core.client import LocalCore

    def open_store() -> Store:
        from storage import Store  # SQLAlchemy takes a third of a second to import

        return Store.open(settings.store_location)

    core = LocalCore(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        num_crops=settings.num_crops,
        context=settings.context,
        runtime=settings.runtime_dir if settings.shared_worker else None,
        keep_alive=settings.keep_alive,
        log=settings.cache_dir / "worker.log",
    )
    return Engine(settings, open_store, core)


def _as_turn(draft: Draft) -> Turn:
    """A draft as the turn that it would become, for counting only."""
    from datetime import UTC, datetime

    pictures = tuple(
        Picture(0, f.name, f.sha256, f.pixels_sha256, f.media_type, f.width, f.height)
        for f in draft.pictures
    )
    return Turn("", None, Role.USER, draft.text, datetime.now(UTC), pictures)
