"""Rendezvous of the terminals of one user with the worker that they share.

A folder that only its owner can enter holds, for each kind of worker, a socket,
a file with the token that a client must show, and one lock under which a worker
is started or its socket removed. Nothing here is believed before owner and mode
were checked, and everything is then reached through the checked folder itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".sock"

_LONGEST = 100
"""Bytes of a socket's path; Linux takes 107, macOS 103."""

_LOCK_WAIT_S = 15.0
"""Seconds: the lock is held while a process starts; a process that holds it longer hangs."""

_CONNECT_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that waits for clients, and the token that they must show.

    The token also tells this worker's place from the next one's: inodes are used again.
    """

    socket: socket.socket
    token: str


class Rendezvous:
    """The place of one kind of worker; ``name`` comes from :func:`name_of`.

    Every method raises OSError when the folder can't be made or is not safe.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self._files = tuple(name + end for end in (SUFFIX, ".token", ".pid"))

    def connect(self) -> tuple[socket.socket, str] | None:
        """Connect; returns the socket and the token to show, None when no worker listens."""
        if not os.path.isdir(self.folder):
            return None
        with _opened(self.folder) as folder:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(_CONNECT_WAIT_S)
            try:
                connection.connect(self._address(folder))
                connection.settimeout(None)
                if peer_uid(connection) not in (None, os.geteuid()):
                    raise PermissionError("someone else answers at the worker's socket")
                token = self._read_token(folder)
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                return None
            except BaseException:
                connection.close()
                raise
            return connection, token

    def listen(self) -> Listening:
        """Take the place of a worker that is gone; the lock must be held."""
        with _opened(self.folder) as folder:
            for old in self._files:
                with suppress(FileNotFoundError):
                    os.unlink(old, dir_fd=folder)
            token = secrets.token_hex(32)
            self._write_token(folder, token)
            listener = socket.socket(socket.AF_UNIX)
            try:
                listener.bind(self._address(folder))
                os.chmod(self.name + SUFFIX, 0o600, dir_fd=folder)
                listener.listen(128)
            except BaseException:
                listener.close()
                raise
            return Listening(listener, token)

    def note_process(self, pid: int) -> None:
        """Write down which process serves here; the lock must be held."""
        with _opened(self.folder) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with open(os.open(self.name + ".pid", flags, 0o600, dir_fd=folder), "w") as file:
                file.write(str(pid))

    def process(self) -> int | None:
        """Read which process serves here; None where that is not known."""
        try:
            return int((self.folder / f"{self.name}.pid").read_text())
        except (OSError, ValueError):
            return None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who starts or removes workers here. Raises TimeoutError."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _opened(self.folder) as folder:
            lock = os.open("lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            try:
                deadline = time.monotonic() + _LOCK_WAIT_S
                while True:
                    try:
                        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        if time.monotonic() > deadline:
                            raise TimeoutError("another terminal holds the worker's lock") from None
                        time.sleep(0.02)
                yield
            finally:
                os.close(lock)

    def holds(self, token: str) -> bool:
        """Whether a socket is here and is the one that this token is for."""
        try:
            with _opened(self.folder) as folder:
                os.stat(self.name + SUFFIX, dir_fd=folder, follow_symlinks=False)
                return self._read_token(folder) == token
        except OSError:
            return False

    def remove(self, token: str) -> None:
        """Remove a worker's socket, unless another worker has put its own there."""
        if not os.path.isdir(self.folder):
            return  # taking the lock would make it again
        with self.locked(), _opened(self.folder) as folder:
            if self.holds(token):
                for name in self._files:
                    with suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=folder)

    def _address(self, folder: int) -> str:
        """Return a path short enough for a socket, through the checked folder where possible."""
        name = self.name + SUFFIX
        if os.path.isdir(f"/proc/self/fd/{folder}"):
            return f"/proc/self/fd/{folder}/{name}"
        path = str(self.folder / name)
        if len(os.fsencode(path)) > _LONGEST:
            raise OSError(f"the path of {self.folder} is too long for a socket")
        return path

    def _write_token(self, folder: int, token: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(self.name + ".token", flags, 0o600, dir_fd=folder), "w") as file:
            file.write(token)

    def _read_token(self, folder: int) -> str:
        flags = os.O_RDONLY | os.O_NOFOLLOW
        with open(os.open(self.name + ".token", flags, dir_fd=folder)) as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.geteuid() or found.st_mode & 0o077:
                raise PermissionError("the worker's token can be read or written by others")
            return file.read(100)


def name_of(spec: Mapping[str, object]) -> str:
    """Return the name of the worker that serves ``spec``.

    Other settings, weights, code, graphics cards or another machine give another name, and so
    another worker.
    """
    code = _fingerprint(Path(__file__).resolve().parents[1].rglob("*.py"))
    weights = _fingerprint(Path(str(spec["folder"])).glob("*.*"))
    cards = os.environ.get("CUDA_VISIBLE_DEVICES")
    parts = [spec, weights, code, sys.prefix, sys.version, socket.gethostname(), cards]
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
    return f"worker-{digest[:16]}"


def _fingerprint(paths: Iterator[Path]) -> list[tuple[str, int, int]]:
    """List name, size and time of change: a replaced file differs from the old one in these."""
    found = []
    for path in sorted(paths):
        with suppress(OSError):
            about = path.stat()
            found.append((str(path), about.st_size, about.st_mtime_ns))
    return found


def peer_uid(connection: socket.socket) -> int | None:
    """Return the user at the other end of a Unix socket; None where the kernel does not say."""
    if hasattr(socket, "SO_PEERCRED"):  # Linux: struct ucred
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("iII", raw)[1])
    if sys.platform == "darwin" or "bsd" in sys.platform:  # struct xucred: version, uid, groups
        local_peercred, size = 1, 76
        raw = connection.getsockopt(0, local_peercred, size)
        return int(struct.unpack_from("II", raw)[1])
    return None


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open the folder as a descriptor; refuse one that other users could have written to."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        about = os.fstat(folder)
        if about.st_uid != os.geteuid():
            raise PermissionError(f"{path} belongs to someone else")
        if stat.S_IMODE(about.st_mode) & 0o022:
            raise PermissionError(f"{path} can be written by others")
        if stat.S_IMODE(about.st_mode) & 0o077:
            os.fchmod(folder, 0o700)
        yield folder
    finally:
        os.close(folder)
