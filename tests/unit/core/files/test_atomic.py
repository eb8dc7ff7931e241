from __future__ import annotations

import os
from pathlib import Path

import pytest

from proband.core.files.atomic import whole_file


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_file_is_whole_or_as_it_was(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    with whole_file(path) as temporary:
        temporary.write_text("first")
    with pytest.raises(error), whole_file(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_what_a_killed_run_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.writing").write_text("left")
    with whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert os.listdir(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o640)])
def test_modes(tmp_path: Path, private: bool, mode: int) -> None:
    previous = os.umask(0o027)
    try:
        with whole_file(tmp_path / "a", private=private) as temporary:
            assert temporary.stat().st_mode & 0o777 == 0o600
            temporary.write_text("x")
    finally:
        os.umask(previous)
    assert (tmp_path / "a").stat().st_mode & 0o777 == mode
