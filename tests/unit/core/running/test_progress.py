from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from proband.core.running import progress
from proband.core.running.engine import map_shards
from proband.core.running.progress import heartbeat, progress_line, track


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)


def test_lines_come_once_an_interval_until_the_work_ends(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    asked = []

    def wait(seconds: float) -> bool:
        asked.append(seconds)
        clock.now += seconds
        return clock.now - 1000 > 100  # ends after 100 s, within the fourth interval

    progress._beat(lambda: progress_line("Scoring", 1, 4, clock() - 1000), wait)
    assert asked == [30.0] * 4
    assert capsys.readouterr().err.splitlines() == [
        "Scoring: 1 of 4 (25%), 0:30 elapsed, about 1:30 left",
        "Scoring: 1 of 4 (25%), 1:00 elapsed, about 3:00 left",
        "Scoring: 1 of 4 (25%), 1:30 elapsed, about 4:30 left",
    ]


def lines_of(
    items: Iterator[int] | list[int], monkeypatch: pytest.MonkeyPatch, total: int | None = None
) -> list[str]:
    """What a watcher would read while each item is worked on, 10 s an item."""
    clock, lines = Clock(), []
    found: list = []
    monkeypatch.setattr(progress, "heartbeat", lambda line: found.append(line) or heartbeat(line))
    for _ in track(items, "Working", total, clock=clock):
        clock.now += 10
        lines.append(found[0]())
    return lines


@pytest.mark.usefixtures("no_terminal")
def test_the_line_counts_finished_items_only(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = [
        "Working: 0 of 2 (0%), 0:10 elapsed",
        "Working: 1 of 2 (50%), 0:20 elapsed, about 0:20 left",
    ]
    assert lines_of([7, 8], monkeypatch) == expected
    assert lines_of(iter([7, 8]), monkeypatch, total=2) == expected
    endless = (item for item in [7, 8])
    assert lines_of(endless, monkeypatch)[-1] == "Working: 1 done, 0:20 elapsed"


@pytest.mark.usefixtures("no_terminal")
def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(track([1, 2, 3], "Working")) == [1, 2, 3]
    assert map_shards(abs, [-1, 2], workers=1) == [1, 2]
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("no_terminal")
def test_one_long_item_is_not_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.02)
    said = []
    for _ in track([1], "Working"):
        deadline = time.monotonic() + 10
        while not said and time.monotonic() < deadline:
            time.sleep(0.01)
            said += capsys.readouterr().err.splitlines()
    assert said[0].startswith("Working: 0 of 1 (0%), 0:00 elapsed")


@pytest.mark.usefixtures("no_terminal")
def test_no_line_after_the_end_or_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "INTERVAL_SECONDS", 0.01)

    def work() -> None:
        for _ in track([1, 2], "Working"):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    list(track([1, 2], "Working"))
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


_POOL = """
import time
from proband.core.running import engine, progress
progress.INTERVAL_SECONDS = 0.05
def work(shard):
    from proband.core.running import progress
    progress.INTERVAL_SECONDS = 0.05
    for _ in progress.track([1], "inner"):
        time.sleep(0.5)
    return shard
if __name__ == "__main__":
    print(engine.map_shards(work, [1, 2], workers=2, description="outer"))
"""


def test_the_parent_speaks_for_its_worker_processes(tmp_path) -> None:
    (tmp_path / "pool.py").write_text(_POOL)
    done = subprocess.run([sys.executable, tmp_path / "pool.py"], capture_output=True, text=True, check=False)
    assert done.stdout == "[1, 2]\n", done.stderr
    assert "outer: 0 of 2 (0%)" in done.stderr
    assert "inner" not in done.stderr


def test_a_terminal_has_a_bar_and_every_item_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(track(iter("abc"), "Scoring", 3)) == ["a", "b", "c"]
    said = capsys.readouterr()
    assert "Scoring" in said.err
    assert "100%" in said.err
    assert said.out == ""
