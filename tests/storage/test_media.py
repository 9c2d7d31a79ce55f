"""Disks that are full and folders that are read-only: one plain sentence, and nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.values.conversation import Draft
from assistant.values.errors import StorageError
from storage.inspection import examine
from storage.store import Store
from tests.storage.victims import Say, Victim

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX modes, forks and mounts")

_UNPRIVILEGED = 65_534


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users can reach: pytest's own are its user's alone."""
    folder = Path(tempfile.mkdtemp(prefix="phichat-"))
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("file", "folder", "reads", "sentence"),
    [
        (0o444, 0o777, True, "is read-only; make the file and its folder writable"),
        (0o666, 0o555, True, "is read-only; make the file and its folder writable"),
        (0o444, 0o555, True, "is read-only; make the file and its folder writable"),
        (0o000, 0o777, False, "can't be opened; check that its folder exists and is writable"),
        (0o666, 0o000, False, "can't be made (Permission denied); make its folder writable"),
    ],
)
def test_what_may_not_be_written_is_one_sentence(
    public: Path, file: int, folder: int, reads: bool, sentence: str
) -> None:
    location = public / "phichat.db"
    store = Store.open(location)
    session, turn = store.add_user_turn(None, Draft("kept"))
    store.add_recall_turn(session, "so that nobody has a turn in hand")
    store.close()

    def program(say: Say) -> None:
        if os.geteuid() == 0:  # modes mean nothing to root
            os.setgroups([])
            os.setresgid(_UNPRIVILEGED, _UNPRIVILEGED, _UNPRIVILEGED)
            os.setresuid(_UNPRIVILEGED, _UNPRIVILEGED, _UNPRIVILEGED)
        state = examine(location)
        say("examined", words=state.obstacle or state.problem)
        try:
            opened = Store.open(location)
            say("read", texts=[t.text for t in opened.conversation(session).turns][:1])
            opened.add_user_turn(session, Draft("lost"))
        except StorageError as error:
            say("refused", sentence=str(error))

    with tempfile.TemporaryDirectory() as notes:
        Path(notes).chmod(0o777)
        location.chmod(file)
        public.chmod(folder)
        said = Victim(program, Path(notes) / "notes").said()
        public.chmod(0o777)
    assert [each.values for each in said if each.what == "read"] == [{"texts": ["kept"]}] * reads
    assert [each.what for each in said if each.values.get("words")] == ["examined"]
    assert said[-1].what == "refused"
    assert sentence in said[-1].values["sentence"]
    assert "\n" not in said[-1].values["sentence"]
    location.chmod(0o666)
    store = Store.open(location)
    assert store.all_turns(session)[0] == turn
    store.close()


_FILLS_A_DISK = """
import sys
from assistant.values.conversation import Draft
from assistant.values.errors import StorageError
from storage.inspection import examine
from storage.store import Store

store = Store.open(sys.argv[1])
session, _ = store.add_user_turn(None, Draft("kept"))
sent = 1
try:
    while True:
        store.add_user_turn(session, Draft("x" * 20_000))
        sent += 1
except StorageError as error:
    print(error)
assert len(store.all_turns(session)) == sent
store.close()
try:
    store = Store.open(sys.argv[1])
    assert len(store.all_turns(session)) == sent
    store.delete(session, for_good=True)
except StorageError as error:
    print(error)
"""


def test_a_full_disk_is_one_sentence_and_keeps_what_was_sent(tmp_path: Path) -> None:
    """A real one: a file system of two megabytes, in a name space of our own."""
    mount = "mount -t tmpfs -o size=2m none"
    inside = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*inside, f"{mount} '{tmp_path}'"], capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here, not even in a name space")
    done = subprocess.run(
        [*inside, f'{mount} "$1" && exec "$2" -c "$3" "$1/phichat.db"', "sh",
         tmp_path, sys.executable, _FILLS_A_DISK],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:1] == [
        f"The disk is full, so nothing could be saved in {tmp_path}/phichat.db; "
        "free some space and try again."
    ]
    for sentence in done.stdout.splitlines()[1:]:
        assert sentence.startswith("The disk")
