"""Container that is a part of the chat screen, and the protocol that its controllers ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

from textual.containers import Vertical
from textual.screen import Screen, ScreenResultCallbackType

from tui import requests

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from tui.chat.open_chat import OpenChat

ResultT = TypeVar("ResultT")


class Host(Protocol):
    """Notices, refusals, threads and pages: all that a controller needs of the app."""

    def tell(self, words: str, *, error: bool = False) -> None: ...

    def refuse(self, words: str, *, error: bool = False) -> None: ...

    def in_thread(self, job: requests.Job) -> None: ...

    def open_page(
        self, page: Screen[ResultT], then: ScreenResultCallbackType[ResultT] | None = None
    ) -> None: ...


class ChatPart(Vertical):
    """Container with a :class:`Host`'s verbs; answers of threads come to it and bubble."""

    def __init__(self, engine: Engine, chat: OpenChat, id: str | None = None) -> None:
        super().__init__(id=id)
        self._engine = engine
        self._chat = chat

    def tell(self, words: str, *, error: bool = False) -> None:
        """Show a notice; ``words`` are never read as markup."""
        requests.notify(self, words, error=error)

    def refuse(self, words: str, *, error: bool = False) -> None:
        """Say why something can't be done; a slash command that asked for it is text again."""
        requests.refuse(self, words, error=error)

    def in_thread(self, job: requests.Job) -> None:
        """Run ``job`` in a thread; post its message here, or call what it returns."""
        requests.in_thread(self, job)

    def open_page(
        self, page: Screen[ResultT], then: ScreenResultCallbackType[ResultT] | None = None
    ) -> None:
        """Show a page at once, because what is typed next is for it."""
        self.app.push_screen(page, then)
