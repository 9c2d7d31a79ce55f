"""The API of front ends: six verbs for turns, and the parts for everything else.

Everything is synchronous and thread-safe: a front end iterates over the events of a turn in a
thread of its own and stays responsive.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from assistant.engine import titles
from assistant.engine.chances import Token, branch, tokens_of
from assistant.engine.head_start import HeadStart
from assistant.engine.memory import Memory
from assistant.engine.model import Model
from assistant.engine.pictures import Pictures
from assistant.engine.pixels import pixels_of
from assistant.engine.prompts import Prompts
from assistant.engine.replies import Replies
from assistant.engine.saver import LEAVING_S, Patience
from assistant.values.chances import Chances
from assistant.values.conversation import Draft, FinishReason, Parent, Role, Turn, TurnKind
from assistant.values.errors import PhichatError
from assistant.values.events import Event, Phase, ReplyEnded, UserTurnStored
from assistant.values.model import Core
from assistant.values.sampling import Parameters, Sampling
from assistant.values.text import one_line
from assistant.window.layout import Layout
from storage.ids import SESSION_LENGTH, new_id

if TYPE_CHECKING:
    from storage.store import Store


class Engine:
    """Conversations in a store, answered by a model.

    ``store`` may be a function that opens one, which is called on first use: the screen is painted
    before the database library is imported.
    """

    def __init__(self, store: Store | Callable[[], Store], model: Model) -> None:
        self._opened: Store | None = None if callable(store) else store
        self._open: Callable[[], Store] = store if callable(store) else lambda: store
        self._opening = threading.Lock()
        self.patience = Patience()
        self._lines: dict[str, Core] = {}
        """The cores of the replies that run, by session."""
        self.model = model
        self.pictures = Pictures(model)
        self.prompts = Prompts(lambda: self.store, model)
        self.memory = Memory(lambda: self.store, model, self.prompts)

    @property
    def store(self) -> Store:
        """Sessions, turns, pictures and drafts. Raises StorageError if it can't be opened."""
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
            return self._opened

    def close(self) -> None:
        """End the worker and release the database."""
        self.model.core.close()
        self.patience.close()
        if self._opened is not None:
            self._opened.close()

    def send(
        self,
        session_id: str | None,
        draft: Draft,
        sampling: Sampling | None = None,
        *,
        parent: str | Parent | None = Parent.HEAD,
        drop_draft: bool = False,
        system: str | None = None,
        parameters: Parameters | None = None,
    ) -> Iterator[Event]:
        """Store the user's turn, then answer it; ``None`` starts a new session.

        A new session begins with ``system`` (None: with that of the settings) and keeps
        ``parameters``. ``parent`` is the turn that the message follows, as the user saw it: two
        messages that follow the same turn become two branches. ``drop_draft`` deletes the stored
        draft in the same transaction.
        Yields UserTurnStored first. Errors after that are ReplyFailed events; errors before it
        (nothing stored) are raised as PhichatError.

        A picture whose number of crops was left open gets its final number here: other crops mean
        other positions and features, and everything cached from the picture on would be lost.
        """
        # 1) plan the window before anything is stored: it may not fit
        above = self.prompts.above(session_id, parent, system=system)
        chosen = self._chosen(sampling, parameters or above.parameters)
        with self._stoppable(session_id or "", self.model.core.line()) as line:
            planned = self.prompts.plan(above, draft, chosen, count=line.count)
        self.model.layout.check(planned)
        assert planned.question is not None
        files = tuple(
            replace(file, num_crops=picture.num_crops)
            for file, picture in zip(draft.pictures, planned.question.pictures, strict=True)
        )
        # 2) where the database is still to be opened, the model begins meanwhile
        new_session = new_id(SESSION_LENGTH) if session_id is None else None
        begins: AbstractContextManager[HeadStart | None] = nullcontext()
        if new_session and self._opened is None and not self.model.status().is_server:
            begins = HeadStart.of_first_message(self.model, new_session, planned, chosen, draft)
        with begins as head_start:
            # 3) store the message
            stored_in, turn = self.store.add_user_turn(
                session_id,
                replace(draft, pictures=files),
                model=self.model.layout.model,
                system=above.system if session_id is None else None,
                drop_draft=drop_draft,
                parent=parent,
                new_session=new_session,
            )
            if session_id is None and parameters is not None:
                self.store.set_parameters(stored_in, parameters)
            yield UserTurnStored(stored_in, turn)
            # 4) answer it. The plan is void if another terminal was quicker, or if the database
            # stored another text (one without what it can't hold)
            words = draft.text.strip()
            name = self.store.conversation(stored_in).title if not (session_id or words) else None
            end = above.turns[-1].id if above.turns else None
            is_same = (turn.parent, turn.text) == (end, draft.text)
            if head_start and not (is_same and stored_in == new_session):
                head_start.drop()
                head_start = None
            for event in self._answer(
                stored_in,
                turn,
                chosen,
                planned=planned if is_same else None,
                head_start=head_start,
                asked_crops=tuple(file.num_crops for file in draft.pictures),
            ):
                if name is not None and isinstance(event, ReplyEnded) and not event.unstored:
                    titles.give(self.store, stored_in, name, event.turn)
                yield event

    def edit(
        self, session_id: str, turn_id: str, draft: Draft, *, drop_draft: bool = False
    ) -> Iterator[Event]:
        """Send another version of a stored message; the old one stays as a sibling.

        Its pictures keep their numbers. Raises PhichatError for a turn that is no message.
        """
        turn = self.store.conversation(session_id, head=turn_id).turns[-1]
        if turn.role is not Role.USER or turn.kind is not TurnKind.MESSAGE:
            raise PhichatError("Only a message of yours can be edited: choose one.")
        yield from self.send(session_id, draft, parent=turn.parent, drop_draft=drop_draft)

    def regenerate(
        self, session_id: str, sampling: Sampling | None = None, *, turn_id: str | None = None
    ) -> Iterator[Event]:
        """Answer again; the old reply stays as a sibling.

        Answers the message ``turn_id``, or the message of the reply ``turn_id``, or the last
        message. Raises PhichatError when there is none.
        """
        conversation = self.store.conversation(session_id, head=turn_id)
        question = _question_of(conversation.turns)
        chosen = self._chosen(sampling, conversation.parameters)
        yield from self._answer(session_id, question, chosen)

    def compare(
        self, session_id: str, name: str, sampling: Sampling | None = None
    ) -> Iterator[Event]:
        """Answer the last message by another model too; its reply is a version of the turn.

        That model is loaded beside the present one and ends with the reply. A server is sent the
        chat, this once: it stays with its own model. Raises PhichatError.
        """
        conversation = self.store.conversation(session_id)
        question = _question_of(conversation.turns)
        chosen = self._chosen(sampling, conversation.parameters)
        core, layout = self.model.other(name)
        try:
            yield from self._answer_by(core, layout, session_id, question, chosen, is_compared=True)
        finally:
            core.close()

    def resume(self, session_id: str) -> Iterator[Event]:
        """Answer the last user turn if its reply is missing or did not end by itself."""
        turns = self.store.conversation(session_id).turns
        if turns and turns[-1].finish_reason in (FinishReason.STOP, FinishReason.LENGTH):
            raise PhichatError("The last message has its answer already.")
        yield from self.regenerate(session_id)

    def continue_reply(self, session_id: str, sampling: Sampling | None = None) -> Iterator[Event]:
        """Continue the last reply from its exact ids, if it did not end by itself.

        It stays the same turn and grows, by the same schema. Raises PhichatError when there is no
        such reply.
        """
        conversation = self.store.conversation(session_id)
        reply = conversation.turns[-1] if conversation.turns else None
        if reply is None or reply.role is not Role.ASSISTANT:
            raise PhichatError("There is no reply to continue: send a message first.")
        if reply.finish_reason is None:
            raise PhichatError("This reply is still being written, perhaps in another window.")
        if reply.finish_reason is FinishReason.STOP:
            raise PhichatError("This reply is complete: ask for more in a message.")
        if not self.model.layout.can_continue(reply):
            raise PhichatError(
                "Another model wrote this reply and can't be followed word by word: "
                "answer again instead."
            )
        question = _last_message(conversation.turns)
        assert question is not None
        chosen = sampling or self.model.sampling(conversation.parameters)
        chosen = replace(chosen, schema=_schema_of(reply))
        yield from self._answer(session_id, question, chosen, begun=reply)

    def tokens(self, turn: Turn, chances: Chances | None = None) -> tuple[Token, ...]:
        """Return the tokens of a reply of the chosen model, with their probabilities.

        ``chances`` are those that are stored, by default. Raises PhichatError where they are not
        known.
        """
        kept = chances or self.store.chances(turn.id)
        if kept is None or turn.token_ids is None:
            raise PhichatError(
                "How sure the model was of this reply is not known: it was not kept, or the server "
                "did not say."
            )
        if turn.model != self.model.layout.model:
            raise PhichatError(
                f"{one_line(turn.model or 'Another model', 80)} wrote this reply: choose it with "
                "F8 to see how sure it was."
            )
        return tokens_of(turn.token_ids, kept, self.model.layout.chat.vocabulary)

    def branch(
        self,
        session_id: str,
        turn_id: str,
        place: int,
        token: int | str,
        sampling: Sampling | None = None,
    ) -> Iterator[Event]:
        """Answer once more from within a reply: as it was before ``place``, then with ``token``.

        That is one of the runners-up there; the reply stays as a sibling. Raises PhichatError.
        """
        conversation = self.store.conversation(session_id, head=turn_id)
        reply, question = conversation.turns[-1], _last_message(conversation.turns)
        chances, ids = self.store.chances(turn_id), reply.token_ids
        vocabulary = self.model.layout.chat.vocabulary
        begun = branch(ids, chances, place, token, vocabulary) if chances and ids else None
        if begun is None or question is None or not self.model.layout.can_continue(reply):
            raise PhichatError("This reply can't go on from there: answer again instead.")
        if token in vocabulary.stop_ids or token == "":
            raise PhichatError("The reply would end there: choose another word.")
        if vocabulary.control_name(begun.ids[place]) or not vocabulary.knows(begun.ids):
            raise PhichatError("That is no word of this model: choose another one.")  # an import's
        if not self.model.facts().continues:
            raise PhichatError(
                "Whether this server goes on from within a reply is not known: answer again "
                "instead, or ask a model of vLLM, llama.cpp, Ollama or this machine."
            )
        chosen = sampling or self.model.sampling(conversation.parameters)
        chosen = replace(chosen, schema=_schema_of(reply))
        yield from self._answer(session_id, question, chosen, branch=begun)

    def read_ahead(
        self,
        session_id: str | None,
        draft: Draft,
        *,
        parent: str | Parent | None = Parent.HEAD,
        system: str | None = None,
    ) -> bool:
        """Have the model read what it will need when ``draft`` is sent, while the user types.

        Its pictures are encoded and everything before its words is read. Returns, when that is
        over, whether all was read. It gives way to every reply, loads no model, and sends
        nothing to a server. ``system`` is that of a new session. Raises PhichatError.
        """
        core, layout = self.model.core, self.model.layout
        status = core.status()
        if status.is_server or status.phase is not Phase.READY:
            return False
        above = self.prompts.above(session_id, parent, system=system, cached=True)
        planned = self.prompts.plan(above, draft)
        layout.check(planned)
        known, following = layout.known_start(planned)
        pixels = pixels_of(planned, lambda name: self.store.picture_data(name), draft.pictures)
        return core.read_ahead(replace(known, chat=session_id or ""), following, pixels)

    def stop_reading(self) -> None:
        """Give up what is read ahead; what is encoded of a picture so far is kept."""
        self.model.core.stop_reading()

    def delete(self, session_id: str) -> None:
        """Delete a session; the model gives back what it keeps of it. Raises StorageError."""
        self.store.delete(session_id)
        self.model.core.forget(session_id)

    def stop(self, session_id: str | None = None) -> None:
        """End the running reply within one token; the text so far is kept.

        Where it is complete and the database is away, end the wait for that. Of several chats that
        a server answers at once, that of ``session_id`` alone, of the new one that is planned ("")
        or all.
        """
        self.patience.give_up()
        self._stop(session_id)

    def _stop(self, session_id: str | None = None) -> None:
        lines = dict(self._lines)
        if session_id in lines:
            lines[session_id].stop()
            return
        self.model.core.stop()
        if session_id is None:
            for one in lines.values():
                one.stop()

    def leave(self) -> None:
        """As :meth:`stop`, at the end of the program, with a second for what can't be stopped."""
        self.patience.leave()
        self._stop()
        closing = threading.Timer(LEAVING_S, self.model.core.close)
        closing.daemon = True
        closing.start()

    def _chosen(self, sampling: Sampling | None, parameters: Parameters) -> Sampling:
        """Return ``sampling``, or that of a chat, if the model can be asked with it."""
        chosen = sampling or self.model.sampling(parameters)
        self.model.check(chosen)
        return chosen

    def _answer(
        self, session_id: str, question: Turn, chosen: Sampling, **more: Any
    ) -> Iterator[Event]:
        """Answer by the present core: a reply that runs keeps its core when another is chosen.

        ``more`` as in :meth:`assistant.engine.replies.Replies.answer`.
        """
        line = self.model.core.line()
        yield from self._answer_by(line, self.model.layout, session_id, question, chosen, **more)

    def _answer_by(
        self,
        line: Core,
        layout: Layout,
        session_id: str,
        question: Turn,
        chosen: Sampling,
        **more: Any,
    ) -> Iterator[Event]:
        summaries = self.model.settings.summaries
        replies = Replies(self.store, line, layout, self.patience, summaries=summaries)
        with self._stoppable(session_id, line):
            yield from replies.answer(session_id, question, chosen, **more)

    @contextmanager
    def _stoppable(self, session_id: str, line: Core) -> Iterator[Core]:
        """Let :meth:`stop` end what the core does for a session."""
        self._lines[session_id] = line
        try:
            yield line
        finally:
            if self._lines.get(session_id) is line:
                del self._lines[session_id]


def _schema_of(reply: Turn) -> str:
    """Return the schema that a reply began with; "" for none."""
    return (reply.parameters.get("schema") if reply.parameters else None) or ""


def _question_of(turns: Sequence[Turn]) -> Turn:
    if (question := _last_message(turns)) is None:
        raise PhichatError("There is nothing to answer yet: send a message first.")
    return question


def _last_message(turns: Sequence[Turn]) -> Turn | None:
    """Find the last message that awaits, or has, a reply."""
    asked = (t for t in reversed(turns) if t.role is Role.USER and t.kind is TurnKind.MESSAGE)
    return next(asked, None)
