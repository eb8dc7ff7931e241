"""A table of subjects and dates, such as a MEDS label file: when each subject is asked about."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from proband.core.errors import DataError
from proband.core.files.tables import is_parquet, read_parquet
from proband.core.text.predictiontimes import COLUMNS, prediction_times_of
from proband.core.text.texttable import READ_ERRORS, check_names, read_people


class SubjectTable:
    """Rows of subjects at prediction times that a file gave, compared by content.

    Attributes:
        frame: subject_id and prediction_time, and of labels what became of each.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self.frame = frame

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SubjectTable) and self.frame.equals(other.frame)


def read_subject_dates(path: Path) -> pl.DataFrame:
    """subject_id and prediction_time (UTC) of a table, sorted, each pair once.

    Other columns, such as the labels of a MEDS label file, are not read.

    Args:
        path: Parquet or text, or a folder of Parquet files.

    Raises:
        DataError: The file is missing or unreadable, a column is missing, or a value is none.
    """
    frames = [prediction_times_of(read_people_table(file), file) for file in table_files(path)]
    return pl.concat(frames).unique().sort(COLUMNS)


def table_files(path: Path) -> list[Path]:
    """The file, or the Parquet files of a folder, sorted by name.

    Raises:
        DataError: The folder holds none.
    """
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise DataError("a folder without a table", where=path, expected="Parquet files")
    return files


def read_people_table(path: Path) -> pl.DataFrame:
    """A table of people, Parquet or text.

    Raises:
        DataError: It is missing or unreadable.
    """
    return read_parquet(path) if is_parquet(path) else _read_text(path)


def _read_text(path: Path) -> pl.DataFrame:
    try:
        header, _, rows = read_people(path)
    except FileNotFoundError:
        raise DataError("missing file", where=path, remedy="check the path of the table of dates") from None
    except READ_ERRORS as error:
        expected = "Parquet, or text in UTF-8"
        raise DataError("unreadable table", where=path, found=error, expected=expected) from None
    names = [name.lstrip("#") for name in header]
    check_names(names, path)
    uneven = next((row for row in rows if len(row) != len(names)), None)
    if uneven is not None:
        found, expected = f"{len(uneven)}: {' '.join(uneven[:4])}", f"{len(names)} values"
        raise DataError("a row of another length than the header", where=path, found=found, expected=expected)
    named = [number for number, name in enumerate(names) if name]
    cells = [[row[number] for number in named] for row in rows]
    return pl.DataFrame(cells, schema={names[number]: pl.String for number in named}, orient="row")
