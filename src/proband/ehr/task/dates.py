"""A table of subjects and dates, such as a MEDS label file: when each subject is asked about."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from proband.core.errors import DataError
from proband.core.schema import TIME, read_parquet
from proband.core.texttable import READ_ERRORS, read_people

COLUMNS = ("subject_id", "prediction_time")
_TIMES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")


def read_subject_dates(path: Path) -> pl.DataFrame:
    """subject_id and prediction_time (UTC) of a Parquet or text file, sorted, each pair once.

    Other columns, such as the labels of a MEDS label file, are not read.

    Raises:
        DataError: The file is missing or unreadable, a column is missing, or a value is none.
    """
    frame = read_parquet(path) if path.suffix == ".parquet" else _read_text(path)
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        found = f"columns {', '.join(frame.columns[:8])}"
        raise DataError(f"no column {missing[0]}", where=path, found=found, expected=" and ".join(COLUMNS))
    time = frame["prediction_time"]
    if time.dtype == pl.String:
        parsed = pl.coalesce(pl.col("prediction_time").str.to_datetime(form, strict=False) for form in _TIMES)
    else:
        parsed = pl.col("prediction_time").cast(TIME, strict=False)
    read = frame.select(pl.col("subject_id").cast(pl.Int64, strict=False), parsed.cast(TIME))
    for name, expected in zip(COLUMNS, ("whole numbers", "dates such as 2015-03-31"), strict=True):
        if read[name].null_count():
            bad = frame[name].filter(read[name].is_null())[0]
            raise DataError(f"unusable {name}", where=path, found=repr(bad), expected=expected)
    return read.unique().sort(COLUMNS)


def _read_text(path: Path) -> pl.DataFrame:
    try:
        header, _, rows = read_people(path)
    except FileNotFoundError:
        raise DataError("missing file", where=path, remedy="check the path of the table of dates") from None
    except READ_ERRORS as error:
        raise DataError("unreadable table", where=path, found=error) from None
    names = [name.lstrip("#") for name in header]
    uneven = next((row for row in rows if len(row) != len(names)), None)
    if uneven is not None:
        raise DataError("a row of another length than the header", where=path, found=" ".join(uneven[:4]))
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")
