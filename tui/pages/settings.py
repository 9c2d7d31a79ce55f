"""Settings page: every setting of the schema, for all chats (the file) or for the open one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option, OptionDoesNotExist

from assistant.settings.load import load_with_origins, read_value
from assistant.settings.schema import PREFIX, SETTABLE, Settings
from assistant.values.conversation import Conversation
from assistant.values.sampling import PARAMETERS
from assistant.values.setting import TakesEffect, shown
from assistant.values.text import one_line
from tui.keys import SETTINGS_KEYS, bindings
from tui.pages import setting_values
from tui.pages.dialog import frame
from tui.pages.edit_setting import EditSettingScreen
from tui.pages.engine_screen import EngineScreen
from tui.requests import Answer

if TYPE_CHECKING:
    from assistant.engine.engine import Engine

PER_CHAT = ("model", "system", *(name for name in PARAMETERS if name in SETTABLE))
"""Settings that a chat can have for itself."""
EFFECTS = {
    TakesEffect.NOW: "takes effect now",
    TakesEffect.RESTART: "needs the engine to start again: r",
    TakesEffect.START: "takes effect when phichat is started again",
}
MODEL_OF_CHAT = "is used when F8 says so"
ORIGIN_COLUMN = 60
"""Column of a value's origin, in a window that is wide enough."""
LEAST_COLUMNS = 50
"""Of a row with columns for names and origins."""
GIVEN = "of this start"
"""Origin of a value from an option of the command line, or of the open chat's model."""
MARGINS = 2
"""An option has a blank on both sides."""


class SettingsScreen(EngineScreen[Settings | None]):
    """Page that writes each change at once; returns settings that need the engine restarted."""

    BINDINGS: ClassVar = bindings(SETTINGS_KEYS, vi=True)
    AUTO_FOCUS = "OptionList"

    def __init__(self, engine: Engine, session_id: str | None) -> None:
        super().__init__(engine)
        self._session_id = session_id
        self._chosen = engine.model.settings
        """As the file has it now; what needs a restart is not in force yet."""
        self._origins: Mapping[str, str] = {}
        self._chat: Conversation | None = None
        self._of_chat = False

    def compose(self) -> ComposeResult:
        keys = "enter changes · delete: default · F1 keys · esc back"
        with frame("Settings", keys, kind="page"):
            yield Static(classes="scope")
            yield OptionList()
            yield Static(classes="about")

    def on_mount(self) -> None:
        self._read()

    def _read(self) -> None:
        chosen = self._chosen

        def read() -> Answer:
            loaded, origins = load_with_origins()
            other = [name for name in SETTABLE if loaded.value(name) != chosen.value(name)]
            origins |= dict.fromkeys(other, GIVEN)
            session_id = self._session_id
            chat = None if session_id is None else self._engine.store.conversation(session_id)
            return partial(self._show, origins, chat)

        self.in_thread(read)

    def _show(self, origins: Mapping[str, str], chat: Conversation | None) -> None:
        self._origins, self._chat = origins, chat
        self._show_rows()

    # What is shown

    @property
    def _names(self) -> list[str]:
        return [name for name in SETTABLE if not self._of_chat or name in PER_CHAT]

    def _show_rows(self) -> None:
        options = self.query_one(OptionList)
        marked = options.highlighted
        options.clear_options()
        group = ""
        for name in sorted(self._names, key=_group_place):
            if SETTABLE[name].group != group:
                group = SETTABLE[name].group
                options.add_option(Option(Content.styled(group, "bold $primary"), disabled=True))
            options.add_option(Option(self._row(name), id=name))
        options.highlighted = 1 if marked is None else min(marked, options.option_count - 1)
        self._show_scope()
        self._show_about()

    def _row(self, name: str) -> Content:
        """Return a line of name, value and origin, each in its column."""
        origin = self._origin(name)
        mark = "* " if origin not in ("default", "as in all chats") else "  "
        options = self.query_one(OptionList)
        room = options.scrollable_content_region.width - MARGINS
        name_width, shown_origin = 20, one_line(origin, 40)
        if room < LEAST_COLUMNS:
            name_width, shown_origin = len(name) + 1, ""
        place = max(0, min(ORIGIN_COLUMN, room - len(shown_origin)))
        value = one_line(self._value(name)) or "“”"
        row = Content.assemble(mark, name.ljust(name_width), value)
        row = row.truncate(max(0, place - 2 if shown_origin else place), ellipsis=True)
        gap = " " * (place - row.cell_length)
        return Content.assemble(row, gap, (shown_origin, "$phi-quiet"))

    def on_resize(self) -> None:
        if self._origins:
            self.call_after_refresh(self._show_rows)

    def _value(self, name: str) -> str:
        if self._of_chat and (own := self._own(name)) is not None:
            return shown(own)
        return shown(self._chosen.value(name))

    def _own(self, name: str) -> object:
        """Return the open chat's own value, None when it has none."""
        chat = self._chat
        if chat is None:
            return None
        return getattr(chat, name) if name in ("model", "system") else chat.parameters.get(name)

    def _origin(self, name: str) -> str:
        if self._of_chat:
            return "of this chat" if self._own(name) is not None else "as in all chats"
        origin = self._origins.get(name, "default")
        file = str(self._chosen.config_file)
        if self._chosen.value(name) != self._engine.model.settings.value(name):
            return "written; needs r"
        return "configuration file" if origin == file else origin

    def _show_scope(self) -> None:
        title = one_line(self._chat.title, 40) if self._chat else "no chat is open yet"
        all_chats, this = ("bold", "$phi-quiet") if not self._of_chat else ("$phi-quiet", "bold")
        marks = ("▸ ", "  ") if not self._of_chat else ("  ", "▸ ")
        words = Content.assemble(
            (f"{marks[0]}All chats", all_chats), "   ", (f"{marks[1]}This chat: {title}", this)
        )
        if self._of_chat and (others := self._other_parameters()):
            words = Content.assemble(words, (f"\nand {others}", "$phi-quiet"))
        pending = self._needs_restart()
        if pending:
            said = f"\nr starts the engine again for: {', '.join(pending)}"
            words = Content.assemble(words, (said, "bold $warning"))
        self.query_one(".scope", Static).update(
            Content.assemble(words, ("   tab switches", "$phi-quiet"))
        )

    def _other_parameters(self) -> str:
        """Return what commands alone set in the open chat: its stop texts, its schema."""
        own = self._chat.parameters.values() if self._chat else {}
        others = {name: value for name, value in own.items() if name not in PER_CHAT}
        texts = {n: ", ".join(v) if isinstance(v, tuple) else shown(v) for n, v in others.items()}
        return "; ".join(f"{name} {one_line(text, 40)}" for name, text in texts.items())

    @on(OptionList.OptionHighlighted)
    def _show_about(self) -> None:
        name = self._marked()
        about = self.query_one(".about", Static)
        if name is None:
            about.update("")
            return
        field = SETTABLE[name]
        effect = self._effect(name)
        about.update(
            Content.assemble(
                f"{field.description}\n",
                (f"{field.must_be} · default {shown(field.default)}\n", "$phi-quiet"),
                (effect, "$phi-quiet"),
            )
        )

    def _effect(self, name: str) -> str:
        if not self._of_chat:
            return EFFECTS[SETTABLE[name].takes_effect]
        return MODEL_OF_CHAT if name == "model" else "takes effect with the next message"

    def _marked(self) -> str | None:
        options = self.query_one(OptionList)
        if options.highlighted is None:
            return None
        try:
            return options.get_option_at_index(options.highlighted).id
        except OptionDoesNotExist:
            return None

    # What is done

    @on(OptionList.OptionSelected)
    def _edit_chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if event.option.id is not None:
            self._edit(event.option.id)

    @work
    async def _edit(self, name: str) -> None:
        choices = setting_values.choices(self._chosen, name, self.app.available_themes)
        screen = EditSettingScreen(name, self._edited_text(name), choices)
        text = await self.app.push_screen_wait(screen)
        if text is None:
            return
        if self._of_chat:
            self._set_for_chat(name, read_value(name, text))
        else:
            self._write(name, text)

    def _edited_text(self, name: str) -> str:
        return "" if SETTABLE[name].is_table else self._value(name)

    def _write(self, name: str, text: str) -> None:
        chosen = self._chosen
        self.in_thread(lambda: partial(self._use, name, setting_values.write(chosen, name, text)))

    def action_reset(self) -> None:
        """Return to the default, or to the value of all chats."""
        name = self._marked()
        if name is None:
            return
        if self._of_chat:
            self._set_for_chat(name, None)
            return

        chosen = self._chosen
        self.in_thread(lambda: partial(self._use, name, setting_values.remove(chosen, name)))

    def _use(self, name: str, written: Settings) -> None:
        value = written.value(name)
        self._chosen = self._chosen.changed(**{name: value})  # others may be under way
        variable = PREFIX + name.upper()
        if os.environ.get(variable):
            self.tell(f"Written, but {variable} is set and goes before the file: unset it.")
        else:
            self.tell(f"{name} is written; it {EFFECTS[SETTABLE[name].takes_effect]}.")
        if SETTABLE[name].takes_effect is TakesEffect.NOW:
            current = self._engine.model.settings.changed(**{name: value})
            self._engine.model.settings = current
            if name == "theme" and value in self.app.available_themes:
                self.app.theme = value
        self._read()

    def _set_for_chat(self, name: str, value: object) -> None:
        chat, session_id = self._chat, self._session_id
        if chat is None or session_id is None:
            return
        own = None if value == "none" and name not in ("model",) else value

        def change() -> Answer:
            if name == "system":
                self._engine.store.set_system(session_id, None if own is None else str(own))
            elif name == "model":
                self._engine.store.set_model(session_id, None if own is None else str(own))
            else:
                changed: dict[str, Any] = {name: own}
                parameters = chat.parameters.changed(**changed)
                self._engine.store.set_parameters(session_id, parameters)
            return partial(self._tell_chat, name)

        self.in_thread(change)

    def _tell_chat(self, name: str) -> None:
        self.tell(f"{name} of this chat is changed; it {self._effect(name)}.")
        self._read()

    def action_switch(self) -> None:
        """Switch between all chats and this one."""
        if self._chat is None:
            self.tell("This chat has no message yet: it has the settings of all chats.")
            return
        self._of_chat = not self._of_chat
        self.query_one(OptionList).highlighted = None
        self._show_rows()

    def _needs_restart(self) -> list[str]:
        running = self._engine.model.settings
        return [
            name
            for name in SETTABLE
            if SETTABLE[name].takes_effect is TakesEffect.RESTART
            and self._chosen.value(name) != running.value(name)
        ]

    def action_restart(self) -> None:
        """Close, and have the engine restarted with the written settings."""
        if self._needs_restart():
            self.dismiss(self._chosen)
        else:
            self.tell("Nothing was changed that needs the engine to start again.")


def _group_place(name: str) -> int:
    """Return the place of a setting's group, in the order of the schema."""
    return next(i for i, one in enumerate(SETTABLE) if SETTABLE[one].group == SETTABLE[name].group)
