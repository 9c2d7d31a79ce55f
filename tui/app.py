"""The app: themes, one screen, and the engine behind it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.theme import Theme
from textual.timer import Timer
from textual.widgets import Input

from assistant.settings.app_names import unknown_name
from assistant.values.text import one_line, plain
from tui import textual_fixes
from tui.chat.screen import ChatScreen
from tui.chat.turn_actions import possible_actions
from tui.keys import CHAT_KEYS, TURN_KEYS
from tui.messages import NoticeGiven, SessionChosen, TmuxAnswered
from tui.pages.attach import AttachScreen
from tui.pages.help import LIST, TURN, TYPING, HelpScreen, KeyRows, place_of
from tui.pages.palette import Palette, SessionProvider
from tui.requests import refuse
from tui.slashes import SLASHES
from tui.terminal import clipboard
from tui.terminal.asked_clipboard import AskedClipboard
from tui.terminal.colours import SYSTEMS, PaletteFilter
from tui.terminal.detect import Colours, Graphics
from tui.terminal.tmux import LOOK_S
from tui.themes import fallback_variables, theme_of, themes_for
from tui.widgets.gallery import Gallery
from tui.widgets.notice_line import Notice, NoticeLine
from tui.widgets.picture_drawing import PictureDrawing
from tui.widgets.session_list import keys_of

if TYPE_CHECKING:
    from assistant.engine.engine import Engine
    from assistant.settings.schema import Settings


NOTICE_S = 8.0
"""Seconds that a notice stands; one of an error stands until it is cleared."""


TWICE_S = 3.0
"""Seconds within which a second ctrl+c quits."""


def local_now() -> datetime:
    """Return the present, with the machine's time zone."""
    return datetime.now().astimezone()


class PhichatApp(App[None]):
    """phichat in the terminal."""

    TITLE = "phichat"
    CSS_PATH = ["phichat.tcss", "small_windows.tcss"]  # noqa: RUF012
    # The classes of every screen, by its columns and rows.
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-narrow"), (100, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (14, "-short"), (30, "-tall")]  # noqa: RUF012
    COMMANDS = App.COMMANDS | {SessionProvider}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "quit", "Quit", priority=True),
        *(key.binding(priority=True) for key in CHAT_KEYS if key.action == "help"),
    ]

    def __init__(
        self,
        engine: Engine,
        settings: Settings,
        *,
        session_id: str | None = None,
        pictures: Sequence[str] = (),
        graphics: Graphics = Graphics(),  # noqa: B008 (a frozen value)
        clock: Callable[[], datetime] = local_now,
    ) -> None:
        """Show ``session_id`` or a new chat, with ``pictures`` (paths, URLs) already attached.

        Nothing is drawn or loaded before the app runs.
        """
        super().__init__()
        textual_fixes.apply()
        self.engine = engine
        self.settings = settings
        self.clock = clock
        self.notices: list[Notice] = []
        """All notices since the start, the oldest first."""
        self._standing: tuple[Notice, ...] = ()
        """Those that were not cleared."""
        self._gallery = Gallery(engine, graphics, self._write)
        self._chat = ChatScreen(engine, self._gallery, clock, session_id, pictures)
        self._asked_clipboard = AskedClipboard(self._write, os.environ)
        composer = self._chat.conversation.composer
        composer.asked_clipboard, composer.typed_ahead = self._asked_clipboard, graphics.typed
        self._take_colours(graphics)
        self._last_theme = self.theme
        self.on_leaving: Callable[[], None] = lambda: None
        """Called when the user quits."""
        self.exit_code = 0
        self.has_terminal = True
        """Whether the terminal is still this app's."""
        self._interrupted: Timer | None = None
        """Runs for a while after ctrl+c."""
        self.set_keymap(dict(settings.keys))

    def _take_colours(self, graphics: Graphics) -> None:
        """Offer themes that can be read in this terminal, which a test computes."""
        offered = themes_for(graphics)
        for theme in offered:
            self.register_theme(theme)
        self.theme = theme_of(self.settings.theme, graphics)
        for name in set(self.available_themes) - {theme.name for theme in offered}:
            self.unregister_theme(name)
        self.console._color_system = SYSTEMS[graphics.colours]
        if graphics.colours is Colours.PALETTE:
            self._filters.append(PaletteFilter())

    def on_mount(self) -> None:
        self.push_screen(self._chat)
        self.theme_changed_signal.subscribe(self, self._keep_theme)
        for name in ("theme", "keys"):  # a wrong name is no reason not to start
            if words := unknown_name(name, self.settings.value(name)):
                self.notify(f"{words}.", severity="warning", markup=False)
        if self._gallery.graphics.audience is not None:
            self.set_interval(LOOK_S, self._look_at_tmux)

    async def _process_messages_loop(self) -> None:
        try:
            await super()._process_messages_loop()
        finally:  # however it ends, and before Textual leaves the screen that holds them
            self._gallery.free_terminal()

    @work(thread=True, exclusive=True, group="tmux")
    def _look_at_tmux(self) -> None:
        """Ask which terminals show the app now."""
        if (audience := self._gallery.graphics.audience) is not None:
            self.post_message(TmuxAnswered(audience.ask()))

    @on(textual_fixes.ClipboardAnswered)
    def _take_packet(self, event: textual_fixes.ClipboardAnswered) -> None:
        event.stop()
        self._asked_clipboard.take(event.packet)

    @on(TmuxAnswered)
    def _draw_again(self, event: TmuxAnswered) -> None:
        event.stop()
        if self._gallery.look_again(event.answer):
            for screen in self.screen_stack:
                for drawing in screen.query(PictureDrawing):
                    drawing.draw_again()

    def _keep_theme(self, theme: Theme) -> None:
        """Write a theme that was chosen, by whatever page, for the next start."""
        settings, was = self.engine.model.settings, self._last_theme
        self._last_theme = theme.name
        if theme.name in (was, settings.theme):  # the one at the start, or F9 wrote it
            return
        self.engine.model.settings = settings.changed(theme=theme.name)

        def write() -> Message | None:
            from assistant.settings.file import write_setting  # its library is for this alone

            write_setting(settings.config_file, "theme", theme.name)
            return None

        self._chat.in_thread(write)

    @property
    def last_words(self) -> str:
        """Sentence for the user when the app has ended, or ""."""
        return self._chat.last_words

    async def on_event(self, event: events.Event) -> None:
        """Give pastes to the message, wherever the focus is; the field of a page keeps text."""
        if isinstance(event, events.Paste) and self._chat.is_attached:
            await self._take_paste(event)
        else:
            await super().on_event(event)

    async def _take_paste(self, event: events.Paste) -> None:
        screen, area = self.screen, self._chat.conversation.composer.area
        fields = [] if screen is self._chat else list(screen.query("Input, TextArea"))
        words = await area.take_paste(event.text, is_text_for_field=bool(fields))
        if not words:
            fields[0].focus()
            is_line = isinstance(fields[0], Input)  # which would take the first of several
            lines = " ".join(filter(None, event.text.splitlines())) if is_line else event.text
            # stopped: a TextArea lets it rise to here again, for ever
            fields[0].post_message(events.Paste(lines).stop())
        elif screen is not self._chat:
            self.notify(words, markup=False)
            if isinstance(screen, AttachScreen):
                screen.dismiss(None)

    async def action_quit(self) -> None:
        """Leave: see :meth:`_leave`."""
        self._leave()

    def _leave(self) -> None:
        """Leave, after what was typed before the key: it waits in the text area's queue."""
        self.on_leaving()
        self._chat.conversation.composer.quit_after_typing()

    def end_by_signal(self, number: int) -> None:
        """Leave as by the key that quits: what was written is kept, the terminal as it was."""
        self.exit_code = 128 + number
        self._leave()

    def give_terminal_back(self) -> None:
        """Undo what the app did to the terminal, from any thread, where its own thread hangs."""
        from textual.drivers.linux_driver import LinuxDriver  # Windows has none

        driver = self._driver
        if isinstance(driver, LinuxDriver) and self.has_terminal:
            driver._disable_mouse_support()  # what the next line leaves to the main thread
            driver.stop_application_mode()
            driver.close()

    def action_help(self) -> None:
        """Show the keys of the place with the focus, on whatever page; or close them."""
        screen = self.screen
        if isinstance(screen, HelpScreen):
            screen.dismiss(None)
        else:
            place = place_of(screen.focused) or place_of(screen) or TYPING
            rebound = self.engine.model.settings.keys
            self.push_screen(HelpScreen(place, rebound, self._keys_now()))

    def _keys_now(self) -> dict[str, KeyRows]:
        """Return keys that do something else in the state of what they are about."""
        chat, found = self._chat, dict[str, KeyRows]()
        if (turn := chat.chat.selected_turn) is not None:
            found[TURN] = (*TURN_KEYS, *possible_actions(turn, chat.chat.turns))
        found[LIST] = keys_of(chat.sidebar.list.current)
        return found

    def action_help_quit(self) -> None:
        """Leave at the second ctrl+c in a row; say so at the first."""
        if self._interrupted is not None:
            self._leave()
            return
        self.notify("ctrl+c again quits; nothing is lost.", markup=False)

        def forget() -> None:
            self._interrupted = None

        self._interrupted = self.set_timer(TWICE_S, forget)

    def action_theme(self, name: str = "") -> None:
        """Take the theme of this name; without one, show all."""
        if name in self.available_themes:
            self.theme = name
        elif name:
            known = ", ".join(sorted(self.available_themes))
            refuse(self._chat.conversation, f"There is no theme {one_line(name, 30)}: {known}.")
        else:
            self.search_themes()

    def action_command_palette(self) -> None:
        """Show everything by name."""
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette(id="--command-palette"))

    # Notices

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = True,
    ) -> None:
        """Show a notice on the line of the page on top, from any thread; Textual's toasts cover."""
        words = plain(Content.from_markup(message).plain if markup else message)
        is_error = severity == "error"
        self.post_message(NoticeGiven(Notice(" ".join(words.split()), is_error, self.clock())))

    @on(NoticeGiven)
    def _add_notice(self, event: NoticeGiven) -> None:
        event.stop()
        notice, before = event.notice, self._standing
        if before and (before[-1].words, before[-1].is_error) == (notice.words, notice.is_error):
            notice = replace(notice, times=before[-1].times + 1)
            before = before[:-1]
            self.notices.pop()
        self.notices.append(notice)
        if not self.screen.query(NoticeLine):
            self.screen.mount(NoticeLine(classes="-last"))
        self._show_notices((*before, notice))
        if not notice.is_error:
            self.set_timer(NOTICE_S, partial(self._take_off, (notice,)))

    @on(NoticeLine.Cleared)
    def _clear_notices(self, event: NoticeLine.Cleared) -> None:
        self._take_off(event.notices)

    def _take_off(self, notices: Sequence[Notice]) -> None:
        self._show_notices(tuple(one for one in self._standing if one not in notices))

    def _show_notices(self, standing: tuple[Notice, ...]) -> None:
        self._standing = standing
        for screen in self.screen_stack:
            for line in screen.query(NoticeLine):
                line.standing = standing

    @on(NoticeLine.Clicked)
    def action_show_notices(self) -> None:
        """Show all notices since the start."""
        from tui.pages.notices import NoticesScreen  # not needed for the first paint

        if not isinstance(self.screen, NoticesScreen):
            self.push_screen(NoticesScreen(self.notices))

    @on(SessionChosen)
    async def _show_session(self, event: SessionChosen) -> None:
        await self._chat.go_to(event.session_id, None)

    def _write(self, sequence: str) -> None:
        """Send the terminal control sequences, behind what Textual has written so far."""
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    def copy_to_clipboard(self, text: str) -> None:
        """Copy by the terminal (OSC 52) and the system's tool; say "copied" only when one did."""
        super().copy_to_clipboard(text)
        self._copy(text)

    @work(thread=True, group="clipboard")
    def _copy(self, text: str) -> None:
        by = clipboard.copy(text)
        words = "Copied." if by else "Sent to the terminal's clipboard."
        if by == clipboard.TMUX:
            words = "Copied into tmux's buffer, and sent to the terminal's clipboard."
        self.call_from_thread(self.notify, words, markup=False)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Return our own colours for themes that lack them."""
        return fallback_variables(self.current_theme.dark)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Everything the keys do, by name, in the command palette."""
        yield from super().get_system_commands(screen)
        if screen is self._chat:
            by_key = {key.action for key in CHAT_KEYS}
            rows = [(key.does, f"Key: {key.shown}", key.action) for key in CHAT_KEYS]
            rows += [(s.does, s.name, s.action) for s in SLASHES if s.action not in by_key]
            rows = [row for row in rows if "(" not in row[2] and row[2] != "quit"]
            chat = self._chat.chat
            if (turn := chat.selected_turn) is not None:
                rows += [
                    (f"Selected turn: {one.does}", f"Key: {one.key}", f"turn({one.name!r})")
                    for one in possible_actions(turn, chat.turns)
                ]
            for does, shown, action in rows:
                yield SystemCommand(does, shown, partial(self._call, action))

    def _call(self, action: str) -> None:
        self.run_worker(self._chat.action_call(action))
