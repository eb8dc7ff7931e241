"""Tables of subject_id and prediction_time that a user gives."""

from __future__ import annotations

import polars as pl

from proband.core.errors import DataError
from proband.core.files.tables import as_text
from proband.core.schema import TIME
from proband.core.text.isotimes import utc_of
from proband.core.text.textvalues import whole_numbers

COLUMNS = ("subject_id", "prediction_time")


def prediction_times_of(frame: pl.DataFrame, where: object) -> pl.DataFrame:
    """The two columns as int64 and as time stamps in microseconds.

    Args:
        frame: subject_id as whole numbers or text of such; prediction_time as dates, time stamps, or text of
            either (:mod:`proband.core.text.isotimes`). A time with an offset or a zone becomes UTC.
        where: The table, for messages.

    Raises:
        DataError: A column is missing or of another kind, or a value is none.

    >>> table = pl.DataFrame({"subject_id": ["7"], "prediction_time": ["2015-03-31T23:00:00-05:00"]})
    >>> prediction_times_of(table, "dates.csv").row(0)
    (7, datetime.datetime(2015, 4, 1, 4, 0))
    """
    missing = [name for name in COLUMNS if name not in frame.columns]
    if missing:
        found = f"columns {', '.join(frame.columns[:8])}"
        raise DataError(f"no column {missing[0]}", where=where, found=found, expected=" and ".join(COLUMNS))
    subjects, times = (frame[name] for name in COLUMNS)
    read = pl.DataFrame([whole_numbers(as_text(subjects, where)), _times(times, where)])
    for name, expected in zip(COLUMNS, ("whole numbers", "dates such as 2015-03-31"), strict=True):
        if read[name].null_count():
            bad = frame[name].filter(read[name].is_null())[0]
            raise DataError(f"unusable {name}", where=where, found=repr(bad), expected=expected)
    return read


def _times(values: pl.Series, where: object) -> pl.Series:
    if values.dtype in (pl.Date, pl.Datetime):
        return values.cast(TIME, strict=False)
    return utc_of(as_text(values, where))
