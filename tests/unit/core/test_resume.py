from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from proband.core.resume import clear_marks, is_marked, map_resumably, mark, work_folder


def write(folder: Path, number: int) -> None:
    if number == 3 and not (folder / "allowed").exists():
        raise OSError("disk full")
    with open(folder / f"{number}.txt", "a") as file:
        file.write("done\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_run_does_only_what_is_left(tmp_path: Path, workers: int) -> None:
    work = work_folder(tmp_path / "out", "synth", {"seed": 1})
    with pytest.raises(OSError, match="disk full"):
        map_resumably(partial(write, work), [1, 2, 3, 4], work, "step", description="x", workers=workers)
    assert is_marked(work, "step-00000")
    assert not is_marked(work, "step-00002")
    (work / "allowed").touch()
    again = work_folder(tmp_path / "out", "synth", {"seed": 1})
    map_resumably(partial(write, again), [1, 2, 3, 4], again, "step", description="x", workers=workers)
    assert [(work / f"{number}.txt").read_text() for number in (1, 2, 3)] == ["done\n"] * 3


def test_other_settings_other_inputs_and_overwrite_start_anew(tmp_path: Path) -> None:
    source = tmp_path / "in.txt"
    source.write_text("a")

    def opened(seed: int = 1, overwrite: bool = False) -> bool:
        work = work_folder(tmp_path / "out", "synth", {"seed": seed}, inputs=[source], overwrite=overwrite)
        known = is_marked(work, "x")
        mark(work, "x")
        return known

    assert not opened()
    assert opened()
    assert not opened(seed=2)
    source.write_text("b")
    assert not opened(seed=2)
    assert opened(seed=2)
    assert not opened(seed=2, overwrite=True)


def test_a_damaged_note_of_the_run_starts_anew(tmp_path: Path) -> None:
    work = work_folder(tmp_path / "out", "synth", {})
    mark(work, "x")
    (work / ".run.json").write_text("{")
    assert not is_marked(work_folder(tmp_path / "out", "synth", {}), "x")


def test_marks_are_cleared(tmp_path: Path) -> None:
    work = work_folder(tmp_path / "out", "synth", {})
    mark(work, "x")
    clear_marks(work)
    assert not list(work.iterdir())
