"""Rendezvous: only its owner gets in, and a dead worker's socket stops no terminal."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from assistant.worker.rendezvous import SUFFIX, Listening, Rendezvous, name_of, peer_uid
from assistant.worker.shared_workers import shared_workers

NAME = "worker-test"


@pytest.fixture(params=["short", "long"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A runtime folder; the second one's path is longer than a socket's may be."""
    if request.param == "long" and not os.path.isdir("/proc/self/fd"):
        pytest.skip("long paths need /proc")
    return tmp_path / ("home" if request.param == "short" else "h" * 200) / "run"


@pytest.fixture
def place(folder: Path) -> Rendezvous:
    return Rendezvous(folder, NAME)


@pytest.fixture
def listening(place: Rendezvous) -> Iterator[Listening]:
    with place.locked():
        listening = place.listen()
    yield listening
    listening.socket.close()


def test_only_its_owner_finds_the_socket(listening: Listening, folder: Path) -> None:
    def mode(path: Path) -> int:
        return stat.S_IMODE(path.lstat().st_mode)

    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert (folder / (NAME + ".token")).read_text() == listening.token
    assert len(listening.token) == 64


def test_a_client_gets_through_with_the_token(place: Rendezvous, listening: Listening) -> None:
    found = place.connect()
    assert found is not None
    connection, token = found
    served, _ = listening.socket.accept()
    with connection, served:
        assert token == listening.token
        assert peer_uid(served) == os.geteuid()
        assert peer_uid(connection) == os.geteuid()


def test_a_dead_workers_socket_is_replaced(place: Rendezvous, listening: Listening) -> None:
    listening.socket.close()  # what kill -9 leaves: the file, and no process behind it
    assert place.holds(listening.token)
    assert place.connect() is None
    with place.locked():
        again = place.listen()
    with again.socket:
        assert again.token != listening.token
        assert not place.holds(listening.token)
        place.remove(listening.token)  # the old one's last act
        assert place.holds(again.token)
        place.remove(again.token)
    assert place.connect() is None
    assert sorted(path.name for path in place.folder.iterdir()) == ["lock"]


def test_no_worker_is_there_at_first(place: Rendezvous) -> None:
    assert shared_workers(place.folder) == []
    assert not place.folder.exists(), "looking makes nothing"
    assert place.connect() is None


def test_a_folder_that_others_write_is_refused(place: Rendezvous, folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    for attempt in (place.connect, place.listen, place.locked().__enter__):
        with pytest.raises(PermissionError, match="can be written by others"):
            attempt()
    assert list(folder.iterdir()) == []


def test_a_folder_that_others_read_is_closed_to_them(place: Rendezvous, folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    place.connect()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_someone_else_is_refused(place: Rendezvous, folder: Path) -> None:
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(PermissionError, match="belongs to someone else"):
        place.connect()


@pytest.mark.parametrize("how", ["readable", "link"])
def test_a_token_that_was_tampered_with_is_refused(
    how: str, place: Rendezvous, listening: Listening, folder: Path
) -> None:
    token = folder / (NAME + ".token")
    if how == "readable":
        token.chmod(0o644)
    else:
        token.rename(folder / "elsewhere")
        token.symlink_to(folder / "elsewhere")
    with pytest.raises(OSError, match=r"read or written by others|symbolic link"):
        place.connect()


def test_one_of_many_starts(place: Rendezvous) -> None:
    """Start as terminals do at once: ask, and where no worker answers, ask again under the lock."""
    many = 12
    at_once, started = threading.Barrier(many), []

    def come(_: int) -> None:
        at_once.wait()
        found = place.connect()
        if found is None:
            with place.locked():
                found = place.connect()
                if found is None:
                    started.append(place.listen())
        if found is not None:
            found[0].close()

    with ThreadPoolExecutor(many) as threads:
        list(threads.map(come, range(many)))
    assert len(started) == 1
    started[0].socket.close()


def test_another_model_setting_or_weight_is_another_worker(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"one")
    spec = {"folder": str(tmp_path), "device": "cpu", "context": 100}
    name = name_of(spec)
    assert name == name_of(dict(reversed(spec.items())))
    assert name != name_of(spec | {"device": "cuda"})
    assert name != name_of(spec | {"context": 200})
    weights.write_bytes(b"other")
    assert name != name_of(spec)
    assert len(name + SUFFIX) < 40
