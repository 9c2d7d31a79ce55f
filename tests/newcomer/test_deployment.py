"""The compose file of the documentation: YAML, with commands, settings and roles that there are."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
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


def test_what_its_image_of_vllm_copies_is_enough_to_build_the_plugin(tmp_path: Path) -> None:
    """The plugin's build takes files of phichat along, which stand beside its own folder."""
    service = _services()["vllm"]
    build = service["build"]
    assert isinstance(build, dict)
    root = DOCS.parent / str(build["context"])
    lines = [line.split() for line in str(build["dockerfile_inline"]).splitlines()]
    for source, target in (words[1:] for words in lines if words[:1] == ["COPY"]):
        shutil.copytree(
            root / source,
            tmp_path / target.lstrip("/"),
            ignore=shutil.ignore_patterns("shared", "build", "*.egg-info"),
            dirs_exist_ok=True,
        )
    (installed,) = (words[-1] for words in lines if words[:3] == ["RUN", "pip", "install"])
    folder = tmp_path / installed.lstrip("/")
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_py", "--build-lib", "built"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    built = {path.name for path in (folder / "built").rglob("*") if path.is_file()}
    assert built >= {"plugin.py", "chat_template.jinja", "crops.py", "pixels.py"}
