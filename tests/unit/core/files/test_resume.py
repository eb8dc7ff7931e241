from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from proband.core.errors import CheckpointError, DataError
from proband.core.files.resume import RUN, clear_marks, is_marked, map_resumably, mark, resumable


def write(folder: Path, number: int) -> None:
    if number == 3 and not (folder / "allowed").exists():
        while not is_marked(folder, "step-00000"):  # the worker of the first may start later
            time.sleep(0.01)
        raise OSError("disk full")
    with open(folder / f"{number}.txt", "a") as file:
        file.write("done\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_run_does_only_what_is_left(tmp_path: Path, workers: int) -> None:
    def run() -> None:
        with resumable(tmp_path / "out", "synth", {"seed": 1}) as work:
            task = partial(write, work)
            map_resumably(task, [1, 2, 3, 4], work, "step", description="x", workers=workers)

    with pytest.raises(OSError, match="disk full"):
        run()
    work = tmp_path / "out.partial"
    assert is_marked(work, "step-00000")
    assert not is_marked(work, "step-00002")
    (work / "allowed").touch()
    run()
    assert [(work / f"{number}.txt").read_text() for number in (1, 2, 3)] == ["done\n"] * 3


def known(tmp_path: Path, seed: int = 1, **options: object) -> bool:
    """Whether a run finds the mark of the run before."""
    with resumable(tmp_path / "out", "synth", {"seed": seed}, **options) as work:  # type: ignore[arg-type]
        found = is_marked(work, "x")
        mark(work, "x")
    return found


def test_other_settings_other_inputs_and_overwrite_start_anew(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("a")
    assert not known(tmp_path, inputs=[source])
    assert known(tmp_path, inputs=[source])
    assert not known(tmp_path, 2, inputs=[source])
    source.write_text("bb")
    assert not known(tmp_path, 2, inputs=[source])
    assert known(tmp_path, 2, inputs=[source])
    assert not known(tmp_path, 2, inputs=[source], overwrite=True)


def test_a_damaged_note_of_the_run_starts_anew(tmp_path: Path) -> None:
    assert not known(tmp_path)
    (tmp_path / "out.partial" / RUN).write_text("{")
    assert not known(tmp_path)


def test_a_users_mistake_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="wrong"), resumable(tmp_path / "out", "synth", {}):
        raise DataError("wrong")
    assert list(tmp_path.iterdir()) == []


def test_marks_are_cleared(tmp_path: Path) -> None:
    assert not known(tmp_path)
    clear_marks(tmp_path / "out.partial")
    assert not list((tmp_path / "out.partial").iterdir())


def state(tmp_path: Path, config: dict[str, object], source: Path, stop: BaseException) -> str | None:
    """What a stopped run with a state left for this one, which writes a state and is stopped in turn."""
    options = {"inputs": [source], "state": "state", "free": ["minutes"]}
    found = None
    try:
        with resumable(tmp_path / "out", "train", config, **options) as work:  # type: ignore[arg-type]
            found = (work / "state").read_text() if (work / "state").exists() else None
            (work / "state").write_text(str(config))
            raise stop
    except BaseException as error:
        if error is not stop:
            raise
    return found


def test_a_state_is_kept_by_whatever_stops_the_run_and_refused_with_other_settings(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("a")
    first: dict[str, object] = {"seed": 1, "minutes": 2}
    assert state(tmp_path, first, source, KeyboardInterrupt()) is None
    assert state(tmp_path, first | {"minutes": 3}, source, DataError("wrong")) == str(first)  # a free setting
    for config, content, found in (
        ({"seed": 2, "minutes": 3}, "a", "seed 1, now 2"),
        (first, "b", "content"),
    ):
        source.write_text(content)
        with pytest.raises(CheckpointError, match=f"interrupted run .*{found}.*--overwrite"):
            state(tmp_path, config, source, KeyboardInterrupt())


def test_without_a_state_a_stopped_run_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), resumable(tmp_path / "out", "train", {}, state="state"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_inputs_are_told_apart_by_content_whatever_their_times(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("a")
    assert not known(tmp_path, inputs=[source])
    os.utime(source, (10**10, 10**10))  # a clock that was ahead
    assert known(tmp_path, inputs=[source])
    times = source.stat()
    source.write_text("b")
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not known(tmp_path, inputs=[source])
