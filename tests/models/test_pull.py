"""Fetching a model from a real HTTP server: whole and right, or not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from assistant.families.checkpoint import find_folder
from assistant.models import pull as pulling
from assistant.models.progress import Progress
from assistant.models.pull import PullCancelled, pull
from assistant.values.errors import ModelError
from tests.conftest import ROOT
from tests.models.conftest import MODEL
from tests.models.hub_server import COMMIT, Hub

WEIGHTS = "model.safetensors"
READ = {
    "config.json",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    WEIGHTS,
}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def assert_not_there() -> None:
    with pytest.raises(ModelError, match=f"phichat models pull {MODEL}"):
        find_folder(MODEL, local_files_only=True)


def test_what_is_read_is_fetched_and_nothing_else(hub: Hub) -> None:
    heard: list[Progress] = []
    pulled = pull(MODEL, on_progress=heard.append)
    assert find_folder(MODEL, local_files_only=True) == pulled.folder
    assert names(pulled.folder) == READ
    for name in READ:
        assert (pulled.folder / name).read_bytes() == hub.models[MODEL][name]
    assert pulled.commit == COMMIT
    assert pulled.fetched == pulled.total == sum(len(hub.models[MODEL][name]) for name in READ)
    assert [one.file for one in heard if one.file_done][-1] == WEIGHTS
    assert heard[-1].done == heard[-1].total == pulled.total
    done = [one.done for one in heard]
    assert done == sorted(done)
    assert not [path for _, path, _ in hub.asked if path.endswith((".py", ".bin", ".pt", ".md"))]


def test_the_second_time_only_looks(hub: Hub) -> None:
    first = pull(MODEL)
    hub.asked.clear()
    again = pull(MODEL)
    assert (again.folder, again.fetched) == (first.folder, 0)
    assert len(hub.asked) == 1  # the listing


def test_the_commit_that_was_fetched_stays(hub: Hub) -> None:
    """Neither a change at the hub nor another program's newer “main” changes what is used."""
    first = pull(MODEL)
    newer = "f" * 40
    hub.revisions["main"] = newer
    hub.revisions["v1"] = COMMIT
    refs = first.folder.parent.parent / "refs"
    (refs / "main").write_text(newer)
    (first.folder.parent / newer).mkdir()
    assert find_folder(MODEL, local_files_only=True) == first.folder
    assert pull(MODEL).commit == COMMIT
    assert pull(MODEL, revision="main").commit == newer
    assert find_folder(MODEL, local_files_only=True).name == newer


@pytest.mark.parametrize("cuts", [[100_000], [100_000, 0, 5_000_000]])
def test_a_cut_in_the_middle_goes_on_there(hub: Hub, cuts: list[int]) -> None:
    hub.cuts[WEIGHTS] = list(cuts)
    size = len(hub.models[MODEL][WEIGHTS])
    assert size > sum(cuts)
    pulled = pull(MODEL)
    assert pulled.fetched == pulled.total  # nothing came twice
    ranges = [headers.get("Range") for headers in hub.requests(f"signed/{WEIGHTS}")]
    starts = [sum(cuts[: n + 1]) for n in range(len(cuts))]
    assert ranges == [None, *(f"bytes={start}-" for start in starts)]
    assert (pulled.folder / WEIGHTS).read_bytes() == hub.models[MODEL][WEIGHTS]


def test_a_server_that_dies_leaves_the_rest_for_later(hub: Hub) -> None:
    hub.cuts[WEIGHTS] = [100_000, 0, 0]
    with pytest.raises(ModelError, match="what came is kept") as refused:
        pull(MODEL)
    assert "\n" not in str(refused.value)
    assert_not_there()
    hub.asked.clear()
    pulled = pull(MODEL)
    assert hub.requests(f"signed/{WEIGHTS}")[0]["Range"] == "bytes=100000-"
    assert pulled.fetched == len(hub.models[MODEL][WEIGHTS]) - 100_000
    assert find_folder(MODEL, local_files_only=True) == pulled.folder


def test_cancelling_keeps_what_came(hub: Hub) -> None:
    asked: list[bool] = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > 30

    with pytest.raises(PullCancelled):
        pull(MODEL, cancelled=cancelled)
    assert_not_there()
    (partial,) = Path(constants.HF_HUB_CACHE).glob("models--*/blobs/*.incomplete")
    kept = partial.stat().st_size
    again = pull(MODEL)
    assert again.fetched <= again.total - kept
    assert names(again.folder) == READ


def test_a_server_without_ranges_begins_again(hub: Hub) -> None:
    hub.ranges = False
    hub.cuts[WEIGHTS] = [100_000]
    heard: list[Progress] = []
    pulled = pull(MODEL, on_progress=heard.append)
    assert (pulled.folder / WEIGHTS).read_bytes() == hub.models[MODEL][WEIGHTS]
    assert heard[-1].done == pulled.total


@pytest.mark.parametrize("name", [WEIGHTS, "config.json"])
@pytest.mark.parametrize("how", ["changed", "longer", "resumed"])
def test_a_wrong_checksum(hub: Hub, name: str, how: str) -> None:
    right = hub.models[MODEL][name]
    wrong = bytes([right[0] ^ 1]) + right[1:]
    if how == "resumed":
        hub.cuts[name] = [50, 0, 0]
        hub.sends[name] = wrong
        with pytest.raises(ModelError):
            pull(MODEL)
        del hub.sends[name]
    else:
        hub.sends[name] = wrong if how == "changed" else right + b" "
    with pytest.raises(ModelError, match=name) as refused:
        pull(MODEL)
    assert refused.value.code == "checksum"
    assert_not_there()
    assert not list(Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*/" + name))
    hub.sends.clear()
    assert (pull(MODEL).folder / name).read_bytes() == right


def test_only_a_damaged_file_is_fetched_again(hub: Hub) -> None:
    folder = pull(MODEL).folder
    blob = (folder / WEIGHTS).resolve()
    blob.write_bytes(bytes(blob.stat().st_size))
    hub.asked.clear()
    again = pull(MODEL)
    assert again.fetched == blob.stat().st_size
    assert (folder / WEIGHTS).read_bytes() == hub.models[MODEL][WEIGHTS]
    assert {path for _, path, _ in hub.asked if "/signed/" in path} == {f"/signed/{WEIGHTS}"}


def test_a_missing_shard_is_no_model(hub: Hub) -> None:
    folder = pull(MODEL).folder
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=f"{WEIGHTS} is missing.*phichat models pull {MODEL}"):
        find_folder(MODEL, local_files_only=True)


def test_what_another_program_left_half_is_no_model(hub: Hub) -> None:
    folder = pull(MODEL).folder
    refs = folder.parent.parent / "refs"
    (refs / "phichat").rename(refs / "main")
    assert find_folder(MODEL, local_files_only=True) == folder
    (folder / WEIGHTS).resolve().unlink()
    assert_not_there()


def test_a_full_disk_is_seen_before_anything_is_fetched(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling, "SPARE", 10**18)
    with pytest.raises(ModelError, match=r"9\.\d MB more.*free") as refused:
        pull(MODEL)
    assert refused.value.code == "disk_full"
    assert not hub.requests("/resolve/")


def test_two_pulls_of_one_model(hub: Hub) -> None:
    from filelock import FileLock

    lock = Path(constants.HF_HUB_CACHE) / ".locks" / "models--someone--tiny-vision"
    lock.mkdir(parents=True)
    with FileLock(lock / "phichat-pull.lock"), pytest.raises(ModelError, match="already"):
        pull(MODEL)


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (404, {"X-Error-Code": "RepoNotFound"}, "There is no model"),
        (404, {}, "There is no model"),
        (401, {}, "HF_TOKEN"),
        (403, {"X-Error-Code": "GatedRepo"}, "accept its conditions"),
        (403, {}, "HF_TOKEN"),
        (429, {}, "too often"),
        (500, {}, "status 500"),
    ],
)
def test_refusals(hub: Hub, status: int, headers: dict[str, str], words: str) -> None:
    hub.refuses[MODEL] = (status, headers)
    with pytest.raises(ModelError, match=words) as refused:
        pull(MODEL)
    assert "\n" not in str(refused.value)
    assert MODEL in str(refused.value) or status in (429, 500)


@pytest.mark.parametrize(("status", "words"), [(403, "HF_TOKEN"), (404, "no model|does not have")])
def test_a_refusal_in_the_middle(hub: Hub, status: int, words: str) -> None:
    hub.busy[WEIGHTS] = [status]
    with pytest.raises(ModelError, match=words):
        pull(MODEL)
    assert_not_there()


@pytest.mark.parametrize("answer", [b"<html>", b"[1]", b"{}", b'{"id": "a/b", "siblings": 3}'])
def test_an_address_that_is_no_hub(hub: Hub, answer: bytes) -> None:
    hub.says = answer
    with pytest.raises(ModelError, match="check HF_ENDPOINT"):
        pull(MODEL)


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("socks5://127.0.0.1:9", "proxy variables can't be used"),
        ("nonsense://x", "proxy variables can't be used"),
        ("http://me:secret@127.0.0.1:9", r"through the proxy 127\.0\.0\.1 \("),
    ],
)
def test_a_proxy_that_can_t_be_used(
    hub: Hub, proxy: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(ModelError, match=words) as refused:
        pull(MODEL)
    assert "secret" not in str(refused.value)
    assert not hub.asked


def test_an_unknown_revision(hub: Hub) -> None:
    with pytest.raises(ModelError, match="no revision nothing of"):
        pull(MODEL, revision="nothing")


def test_other_models_are_refused_before_their_weights_come(hub: Hub) -> None:
    hub.models[MODEL]["config.json"] = b'{"model_type": "llama"}'
    with pytest.raises(ModelError, match="not Phi-3-vision"):
        pull(MODEL)
    assert not hub.requests(WEIGHTS)


@pytest.mark.parametrize("missing", ["config.json", WEIGHTS, "tokenizer.json"])
def test_a_repository_that_is_no_model(hub: Hub, missing: str) -> None:
    del hub.models[MODEL][missing]
    with pytest.raises(ModelError, match=missing):
        pull(MODEL)
    assert_not_there()


def test_a_busy_server_is_asked_again(hub: Hub) -> None:
    hub.busy[WEIGHTS] = [503, 429]
    assert names(pull(MODEL).folder) == READ


def test_a_server_that_hangs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.1)
    hub.hangs[WEIGHTS] = 0
    with pytest.raises(ModelError, match="does not answer, 3 times"):
        pull(MODEL)
    assert_not_there()


def test_a_token_goes_to_the_hub_and_not_beyond(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.token = "hf_secret"
    with pytest.raises(ModelError, match="HF_TOKEN"):
        pull(MODEL)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(MODEL)
    assert all("Authorization" in headers for headers in hub.requests("/resolve/"))
    assert all("Authorization" not in headers for headers in hub.requests("/signed/"))


def test_names_and_digests_of_the_hub_never_become_other_paths(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = hub.models[MODEL].pop(WEIGHTS)
    for name in ("../../../evil.safetensors", "/evil.safetensors", "a/../b.safetensors"):
        hub.models[MODEL][name] = weights
    with pytest.raises(ModelError, match=WEIGHTS):
        pull(MODEL)
    assert not list(tmp_path.rglob("*evil*"))
    monkeypatch.setattr("tests.models.hub_server.git_sha1", lambda _: "../../../evil")
    with pytest.raises(ModelError, match="checksum"):
        pull(MODEL)


def test_a_folder_that_can_t_be_written(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "hf").write_text("a file where the cache should be")
    with pytest.raises(ModelError, match=r"can't be written .* HF_HOME"):
        pull(MODEL)
    assert os.listdir(tmp_path)


def test_no_id(hub: Hub) -> None:
    for name in ("demo", "/a/folder", "https://example.org", "a/../b"):
        with pytest.raises(ModelError, match="no id of the hub"):
            pull(name)
    assert not hub.asked


def test_no_torch_is_needed() -> None:
    modules = "catalogue, known, pull, verify"
    code = f"import sys; from assistant.models import {modules}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "False\n"
