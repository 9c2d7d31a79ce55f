"""The one door for every front end: send, edit, regenerate, continue, stop, recall, summarise.

Everything here is synchronous and thread-safe: a front end iterates over the
events of a turn in a thread of its own and stays responsive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from assistant.engine import recall, titles
from assistant.engine.archive import Parent, newest_question, place_of
from assistant.engine.chosen_model import ChosenModel
from assistant.engine.replies import sampling_of
from assistant.engine.summary import Summaries
from assistant.servers.address import is_server
from assistant.settings import Settings
from assistant.values.context import ContextReport
from assistant.values.conversation import (
    Conversation,
    Draft,
    FinishReason,
    Picture,
    PictureFile,
    Role,
    Summary,
    Turn,
    TurnKind,
)
from assistant.values.errors import PhichatError, PictureError
from assistant.values.events import Event, ReplyEnded, UserTurnStored
from assistant.values.model import Core
from assistant.values.sampling import Sampling
from assistant.window.layout import Planned, PromptPreview, as_turn
from assistant.window.readable import Piece, spell, spell_messages

if TYPE_CHECKING:
    from storage import Store


class Engine(ChosenModel):
    """Conversations on top of a store and an inference core.

    The model is :class:`assistant.engine.chosen_model.ChosenModel`; what is stored, and what the
    user marks, is :class:`assistant.engine.archive.Archive`.
    """

    # Pictures

    def open_picture(
        self, source: str, watch: Callable[[int, int], None] | None = None
    ) -> PictureFile:
        """Open a path or an http(s) URL. Raises PictureError with one plain sentence.

        ``watch`` is told how many bytes of a URL have arrived, and of how many
        (0: not known), in another thread; what it raises ends the fetch.
        """
        from assistant import pictures  # PIL is needed only now

        return self._checked(pictures.open_source(source, watch=watch))

    def open_clipboard_picture(self) -> PictureFile:
        """The picture in the system's clipboard. Raises PictureError when there is none."""
        from assistant import pictures

        return self._checked(pictures.open_clipboard())

    def open_picture_bytes(self, data: bytes, name: str) -> PictureFile:
        """A picture from memory (a pipe, the clipboard). Raises PictureError."""
        from assistant import pictures

        return self._checked(pictures.open_bytes(data, name=name))

    def parse_dropped(self, text: str) -> list[str]:
        """The picture paths and URLs that a pasted text consists of; [] when it is just text."""
        from assistant import pictures

        return pictures.parse_dropped(text)

    def picture_tokens(self, picture: Picture | PictureFile) -> int:
        """Positions that a picture takes in the prompt of the current model."""
        return self._layout.counter.picture(picture)

    def picture_crops(self, picture: Picture | PictureFile) -> tuple[int, int]:
        """Rows and columns of the crops that the current model looks at, besides the whole."""
        grid = self._layout.counter.grid(picture)
        return grid.rows, grid.columns

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
        self,
        session_id: str | None,
        draft: Draft,
        sampling: Sampling | None = None,
        *,
        parent: str | Parent | None = Parent.HEAD,
        drop_draft: bool = False,
    ) -> Iterator[Event]:
        """Store the user's turn, then answer it; ``None`` starts a new session.

        ``parent`` is the turn that this one follows, as the person saw it: of two
        that follow the same turn each gets a branch. ``drop_draft`` forgets the
        stored draft in the same transaction. Yields UserTurnStored first. Errors
        after that are ReplyFailed events; before that (nothing stored) they are
        raised as PhichatError.

        A picture whose number of crops was left open gets it here, for good: the
        same picture in other crops would be other positions and other features,
        and everything cached from it on would be lost.
        """
        above = self._above(session_id, parent)
        chosen = sampling or self._sampling(above)
        asking = replace(above, turns=(*above.turns, as_turn(draft, above.turns)))
        planned = self._answering.plan(asking, chosen, fresh=True)
        self._layout.check(planned)
        assert planned.question is not None
        files = tuple(
            replace(file, num_crops=picture.num_crops)
            for file, picture in zip(draft.pictures, planned.question.pictures, strict=True)
        )
        stored_in, turn = self._add_message(
            session_id, replace(draft, pictures=files), parent, drop_draft
        )
        yield UserTurnStored(stored_in, turn)
        words = draft.text.strip()
        name = self._store.conversation(stored_in).title if not (session_id or words) else None
        # another terminal may have been quicker, and what no database takes is stored otherwise
        end = above.turns[-1].id if above.turns else None
        is_same = (turn.parent, turn.text) == (end, draft.text)
        for event in self._answering.answer(
            stored_in,
            turn,
            chosen,
            planned=planned if is_same else None,
            asked_crops=tuple(file.num_crops for file in draft.pictures),
        ):
            if name is not None and isinstance(event, ReplyEnded):
                self._give_title(stored_in, name, event.turn)
            yield event

    def edit(
        self,
        session_id: str,
        turn_id: str,
        draft: Draft,
        sampling: Sampling | None = None,
        *,
        drop_draft: bool = False,
    ) -> Iterator[Event]:
        """Send another version of a stored message; the old one stays as a sibling.

        Its pictures keep their numbers. Raises PhichatError for a turn that is
        no message.
        """
        turn = self._turn(session_id, turn_id)
        if turn.role is not Role.USER or turn.kind is not TurnKind.MESSAGE:
            raise PhichatError("Only a message of yours can be edited: choose one.")
        yield from self.send(session_id, draft, sampling, parent=turn.parent, drop_draft=drop_draft)

    def regenerate(
        self, session_id: str, sampling: Sampling | None = None, *, turn_id: str | None = None
    ) -> Iterator[Event]:
        """Answer again; the old reply stays as a sibling.

        Answers the message ``turn_id``, or the one that the reply ``turn_id``
        answers, or the last one. Raises PhichatError when there is none.
        """
        conversation = self._store.conversation(session_id, head=turn_id)
        question = newest_question(conversation.turns)
        if question is None:
            raise PhichatError("There is nothing to answer yet: send a message first.")
        chosen = sampling or self._sampling(conversation)
        yield from self._answering.answer(session_id, question, chosen)

    def resume(self, session_id: str, sampling: Sampling | None = None) -> Iterator[Event]:
        """Answer the last user turn if its reply is missing or did not end by itself."""
        turns = self._store.conversation(session_id).turns
        if turns and turns[-1].finish_reason in (FinishReason.STOP, FinishReason.LENGTH):
            raise PhichatError("The last message has its answer already.")
        yield from self.regenerate(session_id, sampling)

    def continue_reply(self, session_id: str, sampling: Sampling | None = None) -> Iterator[Event]:
        """Let the last reply go on from its exact ids, if it did not end by itself.

        It stays the same turn and grows. Raises PhichatError when there is no
        such reply.
        """
        conversation = self._store.conversation(session_id)
        reply = conversation.turns[-1] if conversation.turns else None
        if reply is None or reply.role is not Role.ASSISTANT:
            raise PhichatError("There is no reply to continue: send a message first.")
        if reply.finish_reason is None:
            raise PhichatError("This reply is still being written, perhaps in another window.")
        if reply.finish_reason is FinishReason.STOP:
            raise PhichatError("This reply is complete: ask for more in a message.")
        if reply.model != self._layout.model or reply.token_ids is None:
            raise PhichatError(
                "Another model wrote this reply and can't be followed word by word: "
                "answer again instead."
            )
        question = newest_question(conversation.turns)
        assert question is not None
        chosen = sampling or self._sampling(conversation)
        yield from self._answering.answer(session_id, question, chosen, begun=reply)

    def stop(self) -> None:
        """End the running reply within one token; what was written is kept."""
        self._core.stop()

    # What the model sees

    def preview(
        self,
        session_id: str | None,
        draft: Draft | None = None,
        *,
        parent: str | Parent | None = Parent.HEAD,
    ) -> PromptPreview:
        """What the model would be given if ``draft`` were sent now. Stores nothing.

        Raises PhichatError (``too_long``) where :meth:`send` would.
        """
        planned = self._planned(self._above(session_id, parent), draft)
        self._layout.check(planned)
        return self._layout.preview(planned)

    def context(
        self,
        session_id: str | None,
        draft: Draft | None = None,
        *,
        parent: str | Parent | None = Parent.HEAD,
    ) -> ContextReport:
        """How full the context is, or would be with ``draft``: for a meter.

        Cheap enough for every key press, and not an error when ``draft`` is too
        long: ``used`` is more than ``budget`` then.
        """
        above = self._new() if session_id is None else self._looked_up(session_id, parent)
        return self._layout.report(self._planned(above, draft))

    def recall(self, session_id: str, words: str, *, everywhere: bool = False) -> Turn:
        """Quote earlier turns that have these words, as one turn that the model reads next.

        Looks at what the model does not see of this session, or ``everywhere``
        at every session. Raises PhichatError (``nothing_found``), and then
        nothing is stored.
        """
        planned = self._planned(self._store.conversation(session_id))
        seen = {one.turn.id for one in planned.plan.seen}
        hits = self.search(words, session_id=None if everywhere else session_id)
        found = recall.quotable(hits, seen, self._one)
        if not found:
            where = "in any session" if everywhere else "in this session"
            raise PhichatError(
                f"Nothing that the model does not see already has these words {where}: try others.",
                code="nothing_found",
            )
        room = planned.budget // recall.SHARE
        text = recall.quote(words, found, lambda text: self._layout.counter.message(text) <= room)
        if text is None:
            raise PhichatError(
                "The context is too small for a quotation: give it more (the setting context).",
                code="too_long",
            )
        return self._store.add_recall_turn(session_id, text)

    def summary_due(self, session_id: str) -> bool:
        """Whether summaries are on and turns were left out that no summary tells of yet."""
        return self._settings.summaries and self._summaries.is_due(session_id)

    def summarise(self, session_id: str) -> Iterator[Event]:
        """Have the model sum up the turns that no longer fit, beyond the last summary.

        To be called while nothing is to be answered; :meth:`stop` ends it, and
        nothing is stored then. A summary that a person edited keeps their words
        and gets a paragraph more. Yields SummaryStored last, or nothing when
        there is nothing to tell. Raises PhichatError.
        """
        yield from self._summaries.make(session_id)

    def set_summary(self, session_id: str, text: str) -> Summary | None:
        """Keep a person's own words for what no longer fits; empty ones forget the summary.

        Raises PhichatError when nothing was left out, or the text is too long.
        """
        return self._summaries.write(session_id, text)

    def spell(self, preview: PromptPreview) -> tuple[Piece, ...]:
        """A prompt as a person can read it: text, control tokens or roles by name, pictures."""
        if preview.context.is_estimate:
            return spell_messages(preview.prompt, preview.context.pictures)
        return spell(preview.prompt, preview.context.pictures, self._layout.vocabulary)

    @property
    def _summaries(self) -> Summaries:
        return Summaries(self._store, self._answering, self._layout, self._planned)

    def _sampling(self, conversation: Conversation) -> Sampling:
        return sampling_of(self._settings, conversation.parameters)

    def _above(self, session_id: str | None, parent: str | Parent | None) -> Conversation:
        """What a new message follows."""
        return self._new() if session_id is None else self._branch(session_id, parent)

    def _new(self) -> Conversation:
        """A conversation in which nothing was said."""
        now = datetime.now(UTC)
        return Conversation("", "", now, now, system=self._settings.system)

    def _planned(self, above: Conversation, draft: Draft | None = None) -> Planned:
        chosen = self._sampling(above)
        if draft is None:
            return self._answering.plan(above, chosen, fresh=False)
        asking = replace(above, turns=(*above.turns, as_turn(draft, above.turns)))
        return self._answering.plan(asking, chosen, fresh=True)

    def _add_message(
        self, session_id: str | None, draft: Draft, parent: str | Parent | None, drop_draft: bool
    ) -> tuple[str, Turn]:
        return self._store.add_user_turn(
            session_id,
            draft,
            model=self._layout.model,
            system=self._settings.system if session_id is None else None,
            drop_draft=drop_draft,
            **place_of(parent),
        )

    def _give_title(self, session_id: str, name: str, reply: Turn) -> None:
        """A chat that began without words is called what the model said of its picture.

        Until then it has the picture's ``name``; a title that a person gave
        meanwhile stays. A chat that began with words is called by them from the
        start (the store does that). The model is never asked for a title: that
        would take the chat's place in the KV cache for a few words no better.
        """
        title = titles.from_reply(reply.text)
        is_said = title and reply.finish_reason is FinishReason.STOP
        if is_said and self._store.conversation(session_id).title == name:
            self._store.rename(session_id, title)


def open_engine(settings: Settings) -> Engine:
    """The engine on the database and the model, here or on a server, that ``settings`` name.

    Neither is touched before it is needed.
    """

    def open_store() -> Store:
        from storage import Store  # SQLAlchemy takes a third of a second to import

        return Store.open(settings.store_location)

    def make_core(settings: Settings) -> Core:
        if is_server(settings.model):
            from assistant.servers.client import ServerCore  # what speaks HTTP is for it alone

            return ServerCore(
                settings.model, num_crops=settings.num_crops, context=settings.context
            )
        from assistant.worker.client import LocalCore

        return LocalCore(
            settings.model,
            device=settings.device,
            dtype=settings.dtype,
            weights=settings.weights,
            kv=settings.kv,
            num_crops=settings.num_crops,
            context=settings.context,
            runtime=settings.runtime_dir if settings.shared_worker else None,
            keep_alive=settings.keep_alive,
            log=settings.cache_dir / "worker.log",
            features=settings.cache_dir / "features",
            feature_cache_mb=settings.feature_cache_mb,
        )

    return Engine(settings, open_store, make_core(settings), make_core)
