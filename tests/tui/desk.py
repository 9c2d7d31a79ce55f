"""A test's desk: the real engine and the real store, a core that says what the test tells it to."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from PIL import Image, ImageDraw
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from assistant.engine.engine import Engine
from assistant.pictures import decode
from assistant.settings.load import load as load_settings
from assistant.values.conversation import Draft, FinishReason, PictureFile, Turn, Usage
from assistant.values.events import ModelStatus, Phase, Progressed, ThoughtGrew
from assistant.values.generation import GenerationEnded, Pixels, TokensGenerated
from assistant.values.model import CoreEvent
from assistant.values.prompt import Prompt
from assistant.values.sampling import Sampling
from storage.store import Store
from tests import wait
from tests.scripted_core import ScriptedCore
from tests.tui.quiet import settle
from tui.app import PhichatApp
from tui.chat.screen import ChatScreen
from tui.terminal.detect import Graphics
from tui.themes import fallback_variables
from tui.widgets.chat_pane import ChatPane
from tui.widgets.chat_view import ChatView
from tui.widgets.composer import Composer
from tui.widgets.picture_drawing import PictureDrawing
from tui.widgets.prompt_area import PromptArea
from tui.widgets.reply_text import ReplyText
from tui.widgets.status_line import StatusLine
from tui.widgets.turn_keys import TurnKeys

NOON = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
WIDE = (140, 45)
NARROW = (80, 24)


class Gate:
    """A step at which the reply waits until the test opens it, or it is stopped."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def open(self) -> None:
        self.opened.set()


Step = str | TokensGenerated | Progressed | ThoughtGrew | Gate | Exception | FinishReason


class StagedCore(ScriptedCore):
    """Plays a list of steps for each reply: text, progress, gates, errors, how it ends."""

    def __init__(self, folder: Path, *, is_demo: bool = False, context: int = 131072) -> None:
        super().__init__(folder, is_demo=is_demo, context=context)
        self.scripts: list[list[Step]] = []
        self.phase = Phase.READY
        self.detail = ""
        self.preloaded = 0

    def status(self) -> ModelStatus:
        return ModelStatus(self.phase, "scripted", self._is_demo, self.detail)

    def preload(self) -> None:
        self.preloaded += 1

    def generate(
        self, prompt: Prompt, sampling: Sampling, pixels: Callable[[str], Pixels]
    ) -> Iterator[CoreEvent]:
        self._stop.clear()
        self.prompts.append(prompt)
        steps = self.scripts.pop(0) if self.scripts else ["Yes."]
        reason, count = FinishReason.STOP, 0
        for step in steps:
            if self._stop.is_set():
                break
            if isinstance(step, str):
                ids = self._vocabulary.encode(step)
                # every text is encoded with a blank in front, which decoding takes off only once
                ids = ids[1:] if count else ids
                count += len(ids)
                yield TokensGenerated(ids)
            elif isinstance(step, TokensGenerated | Progressed | ThoughtGrew):
                yield step
            elif isinstance(step, FinishReason):
                reason = step
            elif isinstance(step, Gate):
                step.reached.set()
                while not step.opened.wait(0.005) and not self._stop.is_set():
                    pass
            else:
                raise step
        if self._stop.is_set():
            reason = FinishReason.STOPPED
        usage = Usage(prompt.tokens, prompt.picture_tokens, 0, count)
        yield GenerationEnded(reason, usage, 0.4, 21.5)


def png(color: str = "teal", size: tuple[int, int] = (64, 48), shape: str = "") -> bytes:
    """A picture: one colour, or one filled shape on white."""
    picture = Image.new("RGB", size, "white" if shape else color)
    if shape:
        side = min(size) * 0.6
        left, top = (size[0] - side) / 2, (size[1] - side) / 2
        getattr(ImageDraw.Draw(picture), shape)((left, top, left + side, top + side), fill=color)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def picture_file(name: str, data: bytes | None = None) -> PictureFile:
    return decode.open_bytes(data or png(), name=name)


class Clock:
    """The store's clock: a second passes whenever it is looked at."""

    def __init__(self) -> None:
        self.now = NOON - timedelta(days=2)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@dataclass
class Desk:
    """Everything a test needs; ``clock`` is the store's, the app's stands at ``NOON``."""

    engine: Engine
    store: Store
    core: StagedCore
    clock: Clock
    folder: Path

    def app(
        self,
        session_id: str | None = None,
        pictures: Sequence[str] = (),
        graphics: Graphics = Graphics(),  # noqa: B008 (a frozen value)
    ) -> PhichatApp:
        app = PhichatApp(
            self.engine,
            load_settings({}),
            session_id=session_id,
            pictures=pictures,
            graphics=graphics,
            clock=lambda: NOON,
        )
        app.animation_level = "none"
        return app

    def say(self, *steps: Step) -> None:
        """Script the next reply."""
        self.core.scripts.append(list(steps))

    def chat(
        self,
        *lines: str,
        files: Sequence[PictureFile] = (),
        title: str = "",
        age: timedelta = timedelta(hours=1),
    ) -> str:
        """Store a chat of alternating lines; the first turn carries ``files``."""
        self.clock.now = NOON - age
        session_id: str | None = None
        turn: Turn | None = None
        for index, line in enumerate(lines):
            if index % 2 == 0:
                draft = Draft(line, tuple(files) if index == 0 else ())
                session_id, turn = self.store.add_user_turn(session_id, draft, model="scripted")
                continue
            assert session_id is not None
            assert turn is not None
            self.reply(session_id, turn, line)
        assert session_id is not None
        if title:
            self.engine.store.rename(session_id, title)
        return session_id

    def reply(
        self, session_id: str, turn: Turn, text: str, reason: FinishReason = FinishReason.STOP
    ) -> None:
        """Store a reply to ``turn``."""
        reply = self.store.start_reply(session_id, turn.id, model="scripted")
        self.store.finish_reply(
            reply.id, text=text, token_ids=(), finish_reason=reason, usage=None, timings=None
        )

    def file(self, name: str, data: bytes | None = None) -> Path:
        """Write a picture file."""
        path = self.folder / name
        path.write_bytes(data if data is not None else png())
        return path


class Sheet(App[None]):
    """One reply and nothing else."""

    CSS = "ReplyText { width: 1fr; height: auto; }"

    def __init__(self, text: str = "") -> None:
        super().__init__()
        self.text = text

    def compose(self) -> ComposeResult:
        yield ReplyText(self.text)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return fallback_variables(dark=True)


# Looking at the screen


def screen(pilot: Pilot[None]) -> ChatScreen:
    found = pilot.app.screen_stack[1]
    assert isinstance(found, ChatScreen)
    return found


def composer(pilot: Pilot[None]) -> Composer:
    return screen(pilot).query_one(Composer)


def area(pilot: Pilot[None]) -> PromptArea:
    return screen(pilot).query_one(PromptArea)


def pane(pilot: Pilot[None]) -> ChatPane:
    return screen(pilot).query_one(ChatPane)


def chat(pilot: Pilot[None]) -> ChatView:
    return screen(pilot).query_one(ChatView)


def status(pilot: Pilot[None]) -> StatusLine:
    return screen(pilot).query_one(StatusLine)


def notices(pilot: Pilot[None]) -> list[str]:
    """All notices so far."""
    assert isinstance(pilot.app, PhichatApp)
    return [notice.words for notice in pilot.app.notices]


def shown(pilot: Pilot[None]) -> str:
    """Everything on the screen, line by line, as a person reads it."""
    strips = pilot.app.screen._compositor.render_strips()
    lines = ("".join(segment.text for segment in strip) for strip in strips)
    return "\n".join(line.replace("\u00a0", " ").rstrip() for line in lines)


async def until(pilot: Pilot[None], condition: Callable[[], object], what: str = "") -> None:
    """Wait until something is so, and until the screen shows it."""
    await wait.until(condition, what, lambda: shown(pilot))
    await settle(pilot.app)


async def sees(pilot: Pilot[None], words: str) -> None:
    """Wait until ``words`` are on the screen."""
    await until(pilot, lambda: words in shown(pilot), words)


async def opened(pilot: Pilot[None], session_id: str) -> None:
    """Wait until the turns of this chat are on the screen, not only its id."""
    turns = screen(pilot)._engine.store.conversation(session_id).turns

    def is_open() -> bool:
        ids = [turn.id for turn in pane(pilot).turns]
        return screen(pilot).chat.session_id == session_id and ids == [turn.id for turn in turns]

    await until(pilot, is_open, "the chat")
    await until(pilot, lambda: chat(pilot).widget_of(turns[-1].id), "its last turn")


async def draft_read(pilot: Pilot[None], session_id: str | None) -> None:
    """Wait until the stored draft of this chat is in the composer: from then on it is saved."""
    keeper = screen(pilot).conversation.draft.keeper
    await until(pilot, lambda: session_id in keeper._read, "the draft was read")


async def threads_ended(pilot: Pilot[None]) -> None:
    """Wait until no thread of the app runs: from then on nothing comes but what is asked for."""

    def run() -> bool:
        return any(w.is_running and w._thread_worker for w in pilot.app.workers)

    await until(pilot, lambda: not run(), "the threads' end")


async def select_turn(pilot: Pilot[None], *keys: str) -> None:
    """Select the last turn; the keys that follow are for it."""
    await pilot.press("ctrl+up")
    await until(pilot, lambda: screen(pilot).query_one(TurnKeys).has_focus, "the selected turn")
    await pilot.press(*keys)


async def open_page(pilot: Pilot[None], key: str, *keys: str) -> None:
    """Press the key of a page or dialog, wait until it stands, and go on typing there."""
    below = pilot.app.screen
    await pilot.press(key)
    await until(pilot, lambda: pilot.app.screen is not below, "the page")
    await until(pilot, lambda: pilot.app.screen.focused is not None, "its focus")
    await pilot.press(*keys)


async def type_text(pilot: Pilot[None], text: str) -> None:
    """Type into the composer (one paste of ordinary text: quicker than key by key)."""
    area(pilot).insert(text)
    await pilot.pause()


async def send(pilot: Pilot[None], text: str) -> None:
    """Type and press enter."""
    await type_text(pilot, text)
    await pilot.press("enter")


async def idle(pilot: Pilot[None]) -> None:
    """Wait until no turn runs."""
    await until(pilot, lambda: screen(pilot).chat.running is None, "the turn's end")


async def settled(pilot: Pilot[None]) -> None:
    """Wait until the list and the meter show what there is, not what there was at the last look."""
    if isinstance(pilot.app, PhichatApp):
        chat_screen = screen(pilot)
        counter, counted = chat_screen.conversation.draft.counter, None
        await until(pilot, lambda: chat_screen.sidebar._listed, "the list")
        thumbnails = chat_screen.conversation.composer.query(PictureDrawing)
        await until(pilot, lambda: all(one.drawn for one in thumbnails), "the thumbnails")
        while counted is None or counted != counter.counted:
            counted = counter.counted
            chat_screen.status_bar._look()
            await pilot.pause()
            await until(pilot, lambda: not counter.is_counting, "the meter")
