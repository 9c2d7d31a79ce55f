"""Progress of a download: its line fits every terminal and adds up."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from assistant.cli.progress_line import line
from assistant.models import progress
from assistant.models.progress import Meter, Progress
from assistant.values.words import duration

TOTAL = 8_300_000_000


@given(
    st.integers(0, TOTAL),
    st.one_of(st.none(), st.floats(0, 1e11)),
    st.one_of(st.none(), st.floats(0, 1e9)),
    st.integers(1, 300),
)
def test_the_line_never_is_wider_than_the_terminal(
    done: int, speed: float | None, left: float | None, width: int
) -> None:
    shown = line(Progress("fetching", "a", done, TOTAL, speed, left), width)
    assert len(shown) <= width
    assert "\n" not in shown


def test_the_line() -> None:
    now = Progress("fetching", "a", 2_100_000_000, TOTAL, 35_200_000.0, 176.0)
    assert line(now, 79) == (
        "fetching  [#####----------------]  25%  2.1 GB of 8.3 GB  35.2 MB/s  3 min left"
    )
    assert line(now, 30) == " 25%  2.1 GB of 8.3 GB  35.2 M"
    empty = Progress("checking", "a", 0, 0)
    assert "100%" in line(empty, 79)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5940, "99 min"),
        (5990, "1 h 40 min"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_meter_tells_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    heard: list[Progress] = []
    meter = Meter(1000, heard.append)
    meter.begin("fetching", "a")
    for second in range(1, 6):
        clock[0] = float(second)
        meter.add(100)
    assert (heard[-1].bytes_per_s, heard[-1].seconds_left) == (100.0, 5.0)
    meter.add(100)  # too soon after the last
    assert heard[-1].done == 500
    meter.end()
    assert (heard[-1].done, heard[-1].file_done) == (600, True)
    meter.begin("checking", "b")  # another kind of work has another speed
    assert heard[-1].bytes_per_s is None
    clock[0] += 100
    meter.add(0)
    assert heard[-1].seconds_left is None
