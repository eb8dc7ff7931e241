from __future__ import annotations

from datetime import timedelta

import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.files.tables import as_text


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pl.Series("a", [7, None]), ["7", None]),
        (pl.Series("a", ["x", None], dtype=pl.Categorical), ["x", None]),
        (pl.Series("a", [None, None]), [None, None]),
    ],
)
def test_names_of_several_types_become_text(values: pl.Series, expected: list[str | None]) -> None:
    assert as_text(values, "x.parquet").to_list() == expected


@pytest.mark.parametrize(
    "values", [pl.Series("a", [b"\xff"]), pl.Series("a", [[1]]), pl.Series("a", [timedelta(1)])]
)
def test_bytes_lists_and_durations_are_no_names(values: pl.Series) -> None:
    with pytest.raises(DataError, match=r"wrong type of a; in x\.parquet; found .*; expected String"):
        as_text(values, "x.parquet")
