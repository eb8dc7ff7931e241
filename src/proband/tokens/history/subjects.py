"""Lists of subjects of a tokens folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Int

from proband.core.errors import DataError, first_line
from proband.core.text.texttable import READ_ERRORS, read_lines
from proband.core.text.textvalues import whole_numbers
from proband.tokens.dataset import TokenStore

SUBJECT_ID = "subject_id"


def subject_rows(path: Path, store: TokenStore) -> Int[np.ndarray, " rows"]:
    """Rows of a store that a list of subjects names, in the store's order.

    Args:
        path: Text, a subject_id a line, or a table with a column subject_id, the header line first.
        store: The records.

    Raises:
        DataError: The file is unreadable or empty, a value is no whole number, or a subject is not in the
            store.
    """
    try:
        lines = [cells for _, cells in read_lines(path, comment="#")]
    except READ_ERRORS as error:
        found, expected = first_line(error), "a subject_id a line"
        raise DataError("unreadable list of subjects", where=path, found=found, expected=expected) from None
    column = lines[0].index(SUBJECT_ID) if lines and SUBJECT_ID in lines[0] else None
    several = next((cells for cells in lines if column is None and sum(map(bool, cells)) > 1), None)
    if several is not None:
        raise DataError(
            "several values on a line",
            where=path,
            found=", ".join(several[:3]),
            expected="a subject_id a line, or a table whose first line names the column subject_id",
        )
    values = [
        cells[column or 0] if len(cells) > (column or 0) else "" for cells in lines[column is not None :]
    ]
    if not values:
        raise DataError("no subject in the list", where=path, expected="a subject_id a line")
    numbers = whole_numbers(pl.Series(values, dtype=pl.String))
    if numbers.null_count():
        found = repr(values[numbers.is_null().arg_max() or 0])
        raise DataError(
            "a subject_id is no whole number", where=path, found=found, expected="one such as 1001"
        )
    return rows_of_ids(numbers, store, path)


def rows_of_ids(ids: pl.Series, store: TokenStore, where: object) -> Int[np.ndarray, " rows"]:
    """Rows of a store of some subject_ids, in the store's order.

    Raises:
        DataError: A subject is not in the store.
    """
    absent = ids.filter(~ids.is_in(store.subject_ids.tolist()))
    if len(absent):
        found = f"{len(absent):,} of {len(ids):,} are not, first {absent[0]}"
        remedy = "name subjects of the tokens folder (its subjects.parquet lists them)"
        raise DataError("subjects who are not in the tokens", where=where, found=found, remedy=remedy)
    return np.flatnonzero(np.isin(store.subject_ids, ids.to_numpy()))
