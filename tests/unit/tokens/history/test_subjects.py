"""Lists of subjects."""

from __future__ import annotations

from pathlib import Path

import pytest

from proband.core.errors import DataError
from proband.tokens.history.subjects import subject_rows
from small_world import HandStore, Record

STORE = HandStore([Record([2], [5]), Record([3], [1]), Record([], [])])
"""Subjects 100, 101 and 102."""


@pytest.mark.parametrize(
    "text", ["102\n100\n", "subject_id,name\n102,a\n100,b\n", "# who\n100\n\n102\n", "100,\n102,\n"]
)
def test_a_list_or_a_table_of_subjects(tmp_path: Path, text: str) -> None:
    (tmp_path / "who.txt").write_text(text)
    assert subject_rows(tmp_path / "who.txt", STORE).tolist() == [0, 2]


def test_several_on_a_line_are_refused_and_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "who.txt").write_text("100,102\n")
    with pytest.raises(
        DataError, match=r"several values on a line.*found 100, 102; expected a subject_id a line"
    ):
        subject_rows(tmp_path / "who.txt", STORE)
