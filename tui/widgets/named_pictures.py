"""Pictures that a text names: the part of it that reads the disk, which may hang."""

from __future__ import annotations

import os
import shlex
from collections import deque
from collections.abc import Callable, Collection, Set
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from tui.disk import from_disk
from tui.slashes import split_slash
from tui.terminal.detect import PAGE_UPLOADS
from tui.widgets.completion import may_name_pictures, pictures_in

if TYPE_CHECKING:
    from assistant.pictures.dropped import Dropped


Find = Callable[[str, Collection[str]], "Dropped"]
"""Finds the pictures in a text, but for those that were refused."""
MOST_TAKEN_OUT = 100
"""Texts of which it is remembered how they stood before pictures were taken out."""


@dataclass(frozen=True, slots=True)
class Named:
    """Pictures that a message names.

    ``words`` are those of the message, which call each of ``sources`` by its name alone; of
    ``alone`` it consists.
    """

    words: str
    sources: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    missing: str = ""
    """Path of which the message consists, where no file is there."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(os.path.basename, self.sources))


@dataclass
class TakenOut:
    """Part of a message of which paths were taken out, because their pictures are opened."""

    sources: Collection[str]
    words: str
    """Text that stands for it."""
    with_refused: Callable[[Collection[str]], str]
    """Returns the part with the paths of the pictures that were refused; reads the disk."""
    refused: set[str] = field(default_factory=set)


class NamedPictures:
    """Finds the pictures that texts name."""

    def __init__(self, find: Find) -> None:
        self.find = find
        self._taken_out = deque[TakenOut](maxlen=MOST_TAKEN_OUT)

    def take_out(
        self, sources: Collection[str], words: str, with_refused: Callable[[Collection[str]], str]
    ) -> None:
        """Remember what stood for pictures in a text, which is put back where one is refused."""
        self._taken_out.append(TakenOut(sources, words, with_refused))

    def take_out_found(self, sources: Collection[str], words: str, text: str) -> None:
        """Remember that ``words`` stand for ``text``, of which pictures alone were taken out."""
        self.take_out(sources, words, lambda refused: self.find(text, refused).words)

    async def put_back(self, source: str) -> tuple[str, str] | None:
        """Return the words from which a path was taken out, and what shall stand there now.

        None for what a page sent: the user knows no path of it.
        """
        if _is_upload(source):
            return None
        mine = [one for one in self._taken_out if source in one.sources]
        part = next((one for one in reversed(mine) if source not in one.refused), None)
        if part is None:
            return None
        part.refused.add(source)
        words = await from_disk(partial(part.with_refused, frozenset(part.refused)))
        if words is None:
            return None
        before, part.words = part.words, words
        return before, words

    async def look_for(self, text: str, known: Set[str]) -> Named | None:
        """Do what ``look`` does, in a thread; None where the disk does not answer."""
        if not may_name_pictures(text):
            return Named(text)
        return await from_disk(partial(self.look, text, known))

    def look(self, text: str, known: Set[str], refused: Collection[str] = ()) -> Named:
        """Find the pictures that a message names; those with ``known`` names are attached.

        Paths of those that were ``refused`` stay as they are.
        """
        if split_slash(text) is not None:
            return Named(text)
        found = self.find(text, refused)
        alone = () if found.words else found.sources
        sources = [one for one in found.sources if os.path.basename(one) not in known]
        words = found.words if sources else text
        known = known | set(map(os.path.basename, sources))
        named = [one for one in pictures_in(words) if one.name not in known]
        for one in reversed([one for one in named if one.path not in refused]):
            sources.append(one.path)
            words = words[: one.start] + one.name + words[one.end :]
        sources = list(dict.fromkeys(sources))
        from assistant.pictures.dropped import missing_picture  # its library is imported only now

        missing = missing_picture(text)
        if os.path.basename(missing) in known:
            missing = ""
        return Named(words, tuple(sources), alone, missing)

    async def find_dropped(self, text: str) -> Dropped:
        """Find the pictures that a paste names, in a thread; none where the disk hangs."""
        from assistant.pictures.dropped import Dropped  # its libraries are imported only now

        return await from_disk(partial(self.find, text, ())) or Dropped((), text)

    async def listed(self, argument: str) -> list[str]:
        """Return the paths and URLs in ``argument``: all of its words if any surely is one."""
        return await from_disk(partial(self._listed, argument)) or [argument]

    def _listed(self, argument: str) -> list[str]:
        try:
            words = shlex.split(argument)
        except ValueError:  # a quotation mark without its partner
            words = []
        several = any(
            word.startswith(("http://", "https://")) or self._alone(word) for word in words
        )
        return self._alone(argument) or (words if several else [argument])

    def _alone(self, text: str) -> list[str]:
        found = self.find(text, ())
        return [] if found.words else list(found.sources)


def _is_upload(source: str) -> bool:
    folder = os.environ.get(PAGE_UPLOADS)
    return bool(folder) and source.startswith(f"{folder}{os.sep}")
