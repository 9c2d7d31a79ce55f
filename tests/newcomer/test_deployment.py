"""The compose file of the documentation: YAML, with commands, settings and roles that there are."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from click.testing import CliRunner
from sqlalchemy.engine import make_url

from assistant.cli.root_command import cli
from assistant.settings.schema import SETTABLE

DOCS = Path(__file__).parents[2] / "docs"


def _services() -> dict[str, dict[str, object]]:
    (block,) = re.findall(
        "```yaml\n(.*?)```", (DOCS / "deployment.md").read_text("utf-8"), re.DOTALL
    )
    services: dict[str, dict[str, object]] = yaml.safe_load(block)["services"]
    return services


def test_its_commands_are_real() -> None:
    commands = [str(one["command"]).split() for one in _services().values() if "command" in one]
    ours = [words[1:] for words in commands if words[0] == "phichat"]
    assert len(ours) == 2
    for words in ours:
        done = CliRunner().invoke(cli, [*words, "--help"])
        assert done.exit_code == 0, done.output


def test_its_flags_of_vllm_are_those_of_the_page_on_servers() -> None:
    flags = re.findall(r"--[a-z-]+", str(_services()["vllm"]["command"]))
    servers = (DOCS / "servers.md").read_text("utf-8")
    assert flags
    assert [flag for flag in flags if flag not in servers] == []


def test_its_settings_and_roles_are_real() -> None:
    roles = re.findall(r"CREATE ROLE (\w+) LOGIN", (DOCS / "postgresql.md").read_text("utf-8"))
    addresses = []
    for service in _services().values():
        for name, value in dict(service.get("environment", {})).items():  # type: ignore[call-overload]
            if name.startswith("PHICHAT_"):
                assert name.removeprefix("PHICHAT_").lower() in SETTABLE
                addresses += [value] if name == "PHICHAT_DATABASE" else []
    users = [make_url(re.sub(r"\$\{.*?\}", "secret", one)).username for one in addresses]
    assert users == ["phichat_owner", "alice"]
    assert set(users) <= set(roles)
