"""README.md and docs/: commands, options, keys, settings and links that they name exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from assistant.cli.root_command import cli
from assistant.settings.schema import SETTABLE
from docs import record
from tests.conftest import ROOT
from tui import keys as commands
from tui.slashes import SLASH_NAMES

PAGES = [
    ROOT / "README.md",
    ROOT / "AGENTS.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "training" / "demo_model" / "README.md",
]
README = PAGES[0].read_text(encoding="utf-8")
KEYS = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")

_CODE = re.compile(r"^```bash\n(.*?)^```$|(?<!`)`([^`\n]+)`(?!`)", re.MULTILINE | re.DOTALL)
_CALL = re.compile(r"(?:^|[\s(])(?:\.venv/bin/)?phichat((?:[ \t]+(?:\"[^\"]*\"|[^\s|;>)#]+))*)")
_KEY = re.compile(r"\b(?:ctrl|alt|shift)\+\w+|\bF\d+|\b(?:esc|enter|page up|page down)\b")


def code(page: Path) -> list[str]:
    """Every block of shell commands and every `piece` of a page."""
    text = page.read_text(encoding="utf-8")
    return [block or piece for block, piece in _CODE.findall(text)]


def section(heading: str) -> str:
    """Return a section of the page of keys."""
    return KEYS.split(f"\n## {heading}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    for piece in code(page):
        for call in _CALL.findall(piece):
            context = cli.make_context("phichat", [], resilient_parsing=True)
            command: click.Command = cli
            for word in shlex.split(call):
                if word.startswith("-") and word != "-":
                    known = [*command.params, command.get_help_option(context)]
                    options = {name for one in known if one for name in one.opts}
                    assert word.partition("=")[0] in options, (call, word)
                elif isinstance(command, click.Group):
                    below = command.get_command(context, word)
                    assert below is not None or not word.isalpha(), call
                    command = below or command


FOR_DEVELOPERS = {
    "AGENTS.md", "CONTRIBUTING.md", "adding-a-model.md", "architecture.md", "core.md",
}  # fmt: skip
OTHER_NAMES = re.compile(r"\b(?:sessions?|conversations?|dialogues?)\b", re.IGNORECASE)
"""Other names of what users know as a chat; those of commands, options and JSON are contracts."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_chat_has_one_name_in_pages_for_users(page: Path) -> None:
    if page.name in FOR_DEVELOPERS or page.parent.name in ("decisions", "demo_model"):
        return
    text = re.sub(
        r"```.*?```|`[^`]*`|\]\([^)]*\)|--\w+", "", page.read_text(encoding="utf-8"), flags=re.S
    )
    lines = [line for line in text.splitlines() if "Simon Willison" not in line]  # llm's own name
    assert not [line for line in lines if OTHER_NAMES.search(line)]


def test_a_chat_has_one_name_in_help() -> None:
    def texts(command: click.Command) -> Iterator[str]:
        yield command.help or ""
        yield from (getattr(one, "help", None) or "" for one in command.params)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                if (below := command.get_command(context, name)) is not None:
                    yield below.get_short_help_str()
                    yield from texts(below)

    words = re.sub(r"phichat sessions|--session\b", "", "\n".join(texts(cli)))
    assert not [line for line in words.splitlines() if OTHER_NAMES.search(line)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    others = {
        "HOME", "CONFIG", "SERVER_KEY", "SERVER_KEY_HOST", "SERVER_KEY_API_EXAMPLE_ORG",
        "TRAINING_SOURCES",
    }  # fmt: skip
    for name in re.findall(r"\bPHICHAT_([A-Z_]+)\b", text):
        assert name in others or name.lower() in SETTABLE, name
    for piece in code(page):
        for name in re.findall(r"config (?:set|unset) (\w+)|^(\w+) = [a-z0-9\"{]", piece):
            assert "".join(name) in SETTABLE, piece


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        found = (page.parent / file) if file else page
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings]
            assert anchor in slugs, target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_exist(page: Path) -> None:
    folders = ("assistant", "storage", "tui", "docs", "tests", "training")
    files = [str(path) for folder in folders for path in (ROOT / folder).rglob("*")]
    for piece in code(page):
        if re.fullmatch(r"[\w.-]+/[\w./-]+\.\w+|\w+\.py", piece):
            found = any(file.endswith(f"/{piece}") for file in files)
            assert found or (ROOT / piece).exists(), piece


def test_the_slash_commands_are_all_there_are() -> None:
    assert re.findall(r"`(/\w+)`", section("Commands")) == list(SLASH_NAMES)


def test_the_readme_is_short() -> None:
    """So that a newcomer reads it: what is looked up stands in docs/."""
    assert len(README.split()) <= 900


def test_every_key_of_the_chat_is_named() -> None:
    for key in (*commands.CHAT_KEYS, *commands.COMPOSER_KEYS, *commands.APP_KEYS):
        assert key.shown in KEYS, key


def test_every_key_that_is_named_does_something() -> None:
    tables = (table for name, table in vars(commands).items() if name.endswith("_KEYS"))
    every = [key for table in tables for key in table]
    known = {key.shown for key in every} | {name for key in every for name in key.keys.split(",")}
    for row in re.findall(r"^\| (.*?) \|", section("Keys"), re.MULTILINE):
        for key in _KEY.findall(row):
            assert key in known or key.lower() in known, row


@pytest.mark.long  # it talks with the demo model
async def test_the_recording_shows_the_app_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    record.draw_sail(tmp_path / "sail.png")
    today, kept = words(await record.record()), words(record.OUT.read_text(encoding="utf-8"))
    assert today == kept, "run: python -m docs.record"


def words(svg: str) -> list[str]:
    """Everything that is written in some frame of a recording, row by row."""
    rows = re.findall(r'<g id="r\d+">(.*?)</g>', svg)
    texts = (re.findall(r"<text[^>]*>([^<]*)</text>", row) for row in rows)
    return [" ".join(row) for row in texts if row]


def test_the_recording_plays_and_is_small() -> None:
    svg = record.OUT.read_text(encoding="utf-8")
    assert len(svg) < 300_000
    shown = " ".join(words(svg))
    for shape in ("yellow star", "red triangle", "green circle"):
        assert f"I see a {shape}." in shown
    assert "the part 288×320 at " in shown, "a part was chosen"
    durations = set(re.findall(r'dur="([\d.]+)s"', svg))
    assert len(durations) == 1, "every row keeps the same time"
    for times in re.findall(r'keyTimes="([^"]*)"', svg):
        moments = [float(moment) for moment in times.split(";")]
        assert moments[0] == 0
        assert moments == sorted(moments)
        assert moments[-1] < 1
