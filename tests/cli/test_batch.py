"""``phichat batch``: order, failures, what is not asked again, and ends at any moment."""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import signal
import subprocess
import sys
import tracemalloc
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image

from assistant.cli.batch import Batch, _pages, _pictures
from assistant.cli.batch_file import SUFFIXES, BatchFile
from assistant.engine.engine import Engine
from assistant.values.errors import ModelError, PhichatError
from assistant.values.sampling import Sampling
from tests import wait
from tests.conftest import ROOT, Phichat
from tests.engine.conftest import MakeEngine
from tests.pictures.pdf_files import page, pdf
from tests.pictures.test_films import animation

SCHEMA = json.dumps(
    {"type": "object", "properties": {"n": {"type": "integer"}, "words": {"type": "array"}}}
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures, two of them with the same pixels, one that is none, one hidden."""
    made = tmp_path / "pictures"
    (made / "within").mkdir(parents=True)
    for name, shade in (("b.png", 10), ("a.png", 20), ("within/c.png", 30), ("d.jpg", 40)):
        Image.new("RGB", (20, 12), (shade, 0, 0)).save(made / name)
    Image.new("RGB", (20, 12), (10, 0, 0)).save(made / "same.bmp")
    (made / "bad.png").write_text("no picture")
    (made / ".hidden.png").write_bytes((made / "a.png").read_bytes())
    (made / "notes.txt").write_text("none")
    return made


def run(
    engine: Engine,
    folder: Path,
    output: Path,
    question: str = "What?",
    *,
    overwrite: bool = False,
    **chosen: Any,
) -> int:
    batch = Batch(engine, question, Sampling(**chosen))
    with closing(BatchFile(output, batch.key, overwrite=overwrite)) as file:
        return batch.write(list(_pictures([str(folder)])), file)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_lines_are_in_order_and_nothing_is_asked_twice(
    make: MakeEngine,
    folder: Path,
    tmp_path: Path,
) -> None:
    engine, core = make(["One.", "Two.", "Three.", "Four."])
    out = tmp_path / "out.jsonl"
    assert run(engine, folder, out) == 1
    found = lines(out)
    names = [Path(one["picture"]).relative_to(folder).as_posix() for one in found]
    assert names == ["a.png", "b.png", "bad.png", "d.jpg", "same.bmp", "within/c.png"]
    assert [one.get("text") for one in found] == ["One.", "Two.", None, "Three.", "Two.", "Four."]
    assert found[2]["error"]["code"] == "picture"
    assert found[0]["finish_reason"] == "stop"
    assert len(core.prompts) == 4, "the same pixels are asked about once"
    assert not (tmp_path / "out.jsonl.part").exists()
    before = out.read_bytes()
    assert run(engine, folder, out) == 1
    assert (len(core.prompts), out.read_bytes()) == (4, before)
    # other bytes with the same pixels, a new picture, another question
    Image.open(folder / "a.png").save(folder / "a.png", compress_level=0)
    Image.new("RGB", (20, 12), (50, 0, 0)).save(folder / "aa.png")
    run(engine, folder, out)
    assert len(core.prompts) == 5
    assert len(lines(out)) == 7
    run(engine, folder, out, "And now?", overwrite=True)
    assert len(core.prompts) == 10
    run(engine, folder, out, "And now?", overwrite=True, temperature=0.5, seed=1)
    assert len(core.prompts) == 15
    assert engine.store.latest_session() is None, "no chat is stored"


def test_pages_of_a_document_are_pictures_one_by_one(make: MakeEngine, tmp_path: Path) -> None:
    report = tmp_path / "report.pdf"
    report.write_bytes(pdf(page("red"), page("green"), page("red")))
    (tmp_path / "broken.pdf").write_bytes(report.read_bytes()[:200])
    engine, core = make(["Red.", "Green."])
    names = [one for name in _pictures([str(tmp_path)]) for one in _pages(engine, name)]
    assert names == [f"{tmp_path}/broken.pdf", *(f"{report}#{number}" for number in (1, 2, 3))]
    out = tmp_path / "out.jsonl"
    batch = Batch(engine, "What?", Sampling())
    with closing(BatchFile(out, batch.key)) as file:
        assert batch.write(names, file) == 1
    assert [one.get("text") for one in lines(out)] == [None, "Red.", "Green.", "Red."]
    assert "broken.pdf is damaged" in lines(out)[0]["error"]["message"]
    assert len(core.prompts) == 2, "pages with the same pixels are asked about once"
    assert list(_pages(engine, f"{report}#2-@0,0,50%,50%")) == [
        f"{report}#2@0,0,50%,50%",
        f"{report}#3@0,0,50%,50%",
    ]


def test_what_a_folder_may_hold_is_a_line_and_never_waited_for(
    make: MakeEngine, tmp_path: Path
) -> None:
    """Links to nothing and to the folder, a pipe, an empty file, scans of several pages."""
    folder = tmp_path / "many"
    (folder / ".hidden").mkdir(parents=True)
    scan, other = (Image.new("RGB", (20, 12), colour) for colour in ("red", "blue"))
    for name in (".dot.png", ".hidden/x.png", "one.tif"):
        scan.save(folder / name)
    scan.save(folder / "two.tif", save_all=True, append_images=[other])
    (folder / "empty.jpg").touch()
    (folder / "gone.png").symlink_to(folder / "nowhere")
    (folder / "link.png").symlink_to(folder / "one.tif")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.png")
    engine, core = make(["Red.", "Blue."])
    out = tmp_path / "out.jsonl"
    names = [one for name in _pictures([str(folder)]) for one in _pages(engine, name)]
    batch = Batch(engine, "What?", Sampling())
    with closing(BatchFile(out, batch.key)) as file:
        assert batch.write(names, file) == 3
    said = [one.get("text") or one["error"]["message"].partition(";")[0] for one in lines(out)]
    assert said == [
        "empty.jpg is empty",
        f"There is no file {folder}/gone.png",
        "Red.",
        "Red.",
        f"{folder}/pipe.png is a pipe or a device",
        "Red.",
        "Blue.",
    ]
    assert len(core.prompts) == 2


def test_an_animated_picture_is_its_first_frame_in_a_batch(
    make: MakeEngine, tmp_path: Path
) -> None:
    dance = tmp_path / "dance.gif"
    dance.write_bytes(animation("GIF"))
    engine, core = make(["Dark."])
    assert list(_pages(engine, str(dance))) == [str(dance)]
    out = tmp_path / "out.jsonl"
    batch = Batch(engine, "What?", Sampling())
    with closing(BatchFile(out, batch.key)) as file:
        assert batch.write([str(dance)], file) == 0
    assert len(core.prompts) == 1


def test_columns_of_a_schema_and_what_a_csv_holds(
    make: MakeEngine,
    folder: Path,
    tmp_path: Path,
) -> None:
    engine, core = make(['{"n": 7, "words": ["a,b", "c"]}', '{"n": '])
    out = tmp_path / "out.csv"
    run(engine, folder, out, schema=SCHEMA)
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert list(rows[0])[:4] == ["picture", "n", "words", "text"]
    assert (rows[0]["n"], rows[0]["words"]) == ("7", '["a,b", "c"]')
    assert (rows[1]["n"], rows[1]["text"], rows[1]["key"]) == ("", '{"n": ', "")
    assert "not JSON" in rows[1]["error"]
    assert "not a picture" in rows[2]["error"]
    asked = len(core.prompts)
    whole = [one for one in rows if one["key"]]
    run(engine, folder, out, schema=SCHEMA)
    again = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert [one for one in again if one in whole] == whole
    assert asked < len(core.prompts) < 2 * asked, "what was no JSON is asked again, no other"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_answers_to_another_question_are_not_lost(
    make: MakeEngine, folder: Path, tmp_path: Path, suffix: str
) -> None:
    """Neither those of a whole file nor those of a batch that was stopped."""
    engine, core = make(["One.", "Two.", "Three.", "Four."])
    out, part = tmp_path / f"out{suffix}", tmp_path / f"out{suffix}.part"
    run(engine, folder, out)
    before, asked = out.read_bytes(), len(core.prompts)
    others: list[dict[str, Any]] = [{"question": "And now?"}, {"max_new_tokens": 3}]
    for other in others:
        with pytest.raises(PhichatError, match="holds 5 answers to another question"):
            run(engine, folder, out, **other)
        assert (out.read_bytes(), part.exists(), len(core.prompts)) == (before, False, asked)
    out.unlink()
    part.write_bytes(b'{"picture": "a.png", "text": "Old.", "sha256": "0", "key": "other-0"}\n')
    kept = part.read_bytes()
    with pytest.raises(PhichatError, match="1 answer to another question"):
        run(engine, folder, out)
    assert part.read_bytes() == kept
    run(engine, folder, out, overwrite=True)
    assert (b"Old." in out.read_bytes(), part.exists()) == (False, False)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_answers_about_pictures_that_are_not_named_now_stay(
    make: MakeEngine, folder: Path, tmp_path: Path, suffix: str
) -> None:
    engine, core = make(["One.", "Two.", "Three.", "Four."])
    out = tmp_path / f"out{suffix}"
    run(engine, folder, out)
    before = out.read_bytes()
    run(engine, folder / "within", out)
    assert sorted(out.read_bytes().splitlines()) == sorted(
        one for one in before.splitlines() if b"not a picture" not in one
    )
    run(engine, folder, out)
    assert (out.read_bytes(), len(core.prompts)) == (before, 4)


def test_an_answer_that_is_cut_within_its_json_is_no_success(
    make: MakeEngine,
    folder: Path,
    tmp_path: Path,
) -> None:
    engine, _ = make(['{"n": 7, "words": ["a"]}'])
    assert run(engine, folder, tmp_path / "words.jsonl", max_new_tokens=3) == 1
    assert run(engine, folder, tmp_path / "cut.jsonl", max_new_tokens=3, schema=SCHEMA) == 6
    assert run(engine, folder, tmp_path / "cut.jsonl", max_new_tokens=3, schema=SCHEMA) == 6


@pytest.mark.slow
def test_a_file_that_ends_anywhere_leads_to_the_same_bytes(
    make: MakeEngine,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, _ = make(["Ä “word”."])
    out, part = tmp_path / "out.jsonl", tmp_path / "out.jsonl.part"
    kept = b""

    def note(path: Path, missing_ok: bool = False) -> None:
        nonlocal kept
        kept = part.read_bytes()
        os.unlink(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", note)
        run(engine, folder, out)
    whole = out.read_bytes()
    for end in range(0, len(kept) + 1, 11):
        out.unlink()
        part.write_bytes(kept[:end])
        run(engine, folder, out)
        assert out.read_bytes() == whole, end


def test_a_model_that_fails_again_and_again_ends_the_batch(
    make: MakeEngine,
    folder: Path,
    tmp_path: Path,
) -> None:
    fails = ("", ModelError("The server is gone.", code="unreachable"))
    engine, core = make(["One.", fails, fails, fails, "Two.", "Three.", "Four."])
    out = tmp_path / "out.jsonl"
    with pytest.raises(PhichatError, match="3 times in a row: the same command goes on"):
        run(engine, folder, out)
    assert not out.exists()
    assert len(core.prompts) == 4
    assert run(engine, folder, out) == 1
    assert [one.get("text") for one in lines(out)][:2] == ["One.", "Two."]


def test_what_is_no_file_of_a_batch_is_left_alone(
    make: MakeEngine,
    folder: Path,
    tmp_path: Path,
) -> None:
    engine, core = make(["One."])
    for name, text in (("a.jsonl", "my notes\n"), ("b.csv", "a,b\n1,2\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(PhichatError, match="choose another name"):
            run(engine, folder, tmp_path / name)
        assert (tmp_path / name).read_text() == text
    out = tmp_path / "c.jsonl"
    with closing(BatchFile(out, "key")), pytest.raises(PhichatError, match="Another batch"):
        run(engine, folder, out)
    assert core.prompts == []


def has_got_far(process: subprocess.Popen[bytes], part: Path, size: int) -> bool:
    is_long = part.exists() and part.stat().st_size >= size
    return is_long or process.poll() is not None


def kill_at_random_moments(phichat: Phichat, model: Path, folder: Path, kills: int) -> None:
    """Kill -9 a batch after a random number of lines, again and again; then let it end."""
    options = ["--model", str(model), "--max-new-tokens", "9"]
    random, whole = Random(kills), folder.parent / "whole.jsonl"
    done = phichat("batch", "What?", folder, "-o", whole, *options)
    assert done.returncode == 0, done.stderr
    environment = {**os.environ, "PHICHAT_NUM_CROPS": "1"}
    out = part = folder.parent / "none"
    for number in range(kills):
        if number % 10 == 0:
            out = folder.parent / f"out{number}.jsonl"
            part = out.with_name(f"{out.name}.part")
        command = [sys.executable, "-m", "assistant.cli", "batch", "What?", folder, "-o", out]
        process = subprocess.Popen(
            [*command, *options],
            env=environment,
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        before = part.stat().st_size if part.exists() else 0
        wait.wait_until(partial(has_got_far, process, part, before + random.randint(0, 400)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if number % 10 == 9 or number == kills - 1:
            done = phichat("batch", "What?", folder, "-o", out, *options)
            assert done.returncode == 0, done.stderr
            assert out.read_bytes() == whole.read_bytes()


@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHICHAT_KEEP_ALIVE", "30")  # the model is loaded once
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(24):
        Image.new("RGB", (16, 16), (number * 10, 0, 0)).save(folder / f"{number:02}.png")
    return folder


@pytest.mark.slow
def test_killed_batches_end_as_one_that_was_not(
    phichat: Phichat, random_folder: Path, many: Path
) -> None:
    kill_at_random_moments(phichat, random_folder, many, 4)


@pytest.mark.long
def test_fifty_killed_batches_end_as_one_that_was_not(
    phichat: Phichat, random_folder: Path, many: Path
) -> None:
    kill_at_random_moments(phichat, random_folder, many, 50)


@pytest.mark.long
def test_ten_thousand_pictures_take_no_more_memory_than_a_thousand(
    make: MakeEngine,
    tmp_path: Path,
) -> None:
    engine, core = make(["A word."])
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(10_000):
        colour = (number % 256, number // 256, 0)
        Image.new("RGB", (8, 8), colour).save(folder / f"{number:05}.bmp")
    tracemalloc.start()
    sizes = []
    for count in (1_000, 10_000):
        names = list(_pictures([str(folder)]))[:count]
        batch = Batch(engine, "What?", Sampling())
        with closing(BatchFile(tmp_path / f"{count}.jsonl", batch.key)) as file:
            assert batch.write(names, file) == 0
        for kept in (core.prompts, core.samplings, core.pixels):
            kept.clear()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[1] - sizes[0] < 16_000_000, "bytes: names and places, no answers"


def test_a_file_of_another_kind_is_refused(phichat: Phichat, folder: Path, tmp_path: Path) -> None:
    done = phichat("batch", "What?", folder, "-o", tmp_path / "out.txt")
    assert (done.returncode, (tmp_path / "out.txt").exists()) == (2, False)
    assert "written to .jsonl or .csv, and out.txt ends in neither" in done.stderr


def test_a_full_disk_is_said_of_the_file(tmp_path: Path) -> None:
    """It was said of standard output, which is not full."""
    output = tmp_path / "answers.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(BatchFile(output, "q")) as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            with pytest.raises(PhichatError, match=r"answers\.jsonl can't be written \(File too"):
                file.add({"picture": "a.png", "text": "x" * 200, "key": "q-1"})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with closing(BatchFile(output, "q")) as file:
        assert file.find("a.png") is None
