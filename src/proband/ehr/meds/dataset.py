"""MEDS: the event tables that every later stage reads.

One row per measurement: (subject_id, time, code, numeric_value, unit), a null time for what is static. The
format is the Medical Event Data Standard (https://medical-event-data-standard.github.io, version 0.4).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import DataError, first_line
from proband.core.files.manifest import check_stage
from proband.core.files.tables import PolarsType, converted, read_parquet
from proband.core.schema import TIME
from proband.ehr.config import LATEST_YEAR as LATEST_YEAR

BIRTH = "MEDS_BIRTH"
DEATH = "MEDS_DEATH"
ENTRY = "OBSERVATION_PERIOD//START"
EXIT = "OBSERVATION_PERIOD//END"
DISCHARGE = "DISCHARGE//"
"""Before the code of a visit: its end."""

EARLIEST = datetime(1800, 1, 1)
"""What is dated earlier is a mistake, and left out."""

MEDS_VERSION = "0.4.1"
DATA = "data"
CODES = Path("metadata") / "codes.parquet"
DATASET = Path("metadata") / "dataset.json"
SUBJECT_SPLITS = Path("metadata") / "subject_splits.parquet"
PATIENT_SPLITS = Path("metadata") / "patient_splits.parquet"
"""The same in older versions of MEDS."""
PATIENT_ID = "patient_id"
"""The subject there."""

EVENTS = pl.Schema(
    {
        "subject_id": pl.Int64(),
        "time": TIME,
        "code": pl.String(),
        "numeric_value": pl.Float32(),
        "unit": pl.String(),
    }
)
"""Columns of a shard; ``time``, ``numeric_value`` and ``unit`` may be null."""

_OPTIONAL = ("numeric_value", "unit")

NUM_BARE = "num_bare_birth_death"
"""Count of rows of which :func:`bare` made ``MEDS_BIRTH`` or ``MEDS_DEATH``."""


@dataclass(frozen=True)
class Shard:
    """One Parquet file of events.

    Attributes:
        path: The file.
        split: Name of its folder below ``data/``; None where it lies in ``data/`` itself.
    """

    path: Path
    split: str | None


def list_shards(folder: Path) -> list[Shard]:
    """The shards of a MEDS folder, by split, then by number.

    Raises:
        DataError: There is no ``data/`` folder or no Parquet file in it.
    """
    check_stage(folder, ("ehr", "trajectories"))
    data = folder / DATA
    files = [path for path in data.rglob("*.parquet") if not path.name.startswith(".")]
    if not files:
        expected = "data/**/*.parquet"
        raise DataError("no MEDS shards", where=folder, expected=expected, remedy="run proband ehr first")
    shards = []
    for path in sorted(files, key=lambda path: _natural(str(path.relative_to(data)))):
        parts = path.relative_to(data).parts
        shards.append(Shard(path, parts[0] if len(parts) > 1 else None))
    return shards


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]


def read_shard(path: Path) -> pl.DataFrame:
    """Read one shard, checked.

    Returns:
        Columns as :data:`EVENTS`, every subject's rows together and in order of time, nulls first.

    Raises:
        DataError: The file is unreadable, a column is missing or of another type, a subject_id or code is
            null, or the rows are not sorted.
    """
    frame = conform(read_parquet(path), path)
    check_sorted(frame, path)
    return frame


def bare(code: pl.Expr) -> pl.Expr:
    """``MEDS_BIRTH`` for a code that begins with ``MEDS_BIRTH//``, likewise ``MEDS_DEATH``; else the code.

    MEDS lets both stand alone or before further parts, as in ``MEDS_DEATH//in_hospital``.

    >>> codes = pl.DataFrame({"code": ["MEDS_DEATH//ICU//2", "MEDS_BIRTH", "MEDS_DEATHS//1"]})
    >>> codes.select(bare(pl.col("code")))["code"].to_list()
    ['MEDS_DEATH', 'MEDS_BIRTH', 'MEDS_DEATHS//1']
    """
    found = code
    for one in (BIRTH, DEATH):
        found = pl.when(code.str.starts_with(f"{one}//")).then(pl.lit(one)).otherwise(found)
    return found.alias("code")


def conform(frame: pl.DataFrame, where: object, counts: Counter[str] | None = None) -> pl.DataFrame:
    """The columns of :data:`EVENTS` in their types; absent optional ones null, further ones left out.

    Narrower integers, other floats and decimals, other time units, categorical strings and bytes of UTF-8 are
    converted, and a time in a time zone becomes UTC; text or numbers where another kind is due are refused.
    The subject may be patient_id (:func:`with_subject_id`). Codes of birth and death become bare ones
    (:func:`bare`).

    Args:
        frame: Events as a source holds them.
        where: What messages call the source.
        counts: Gets :data:`NUM_BARE`.

    Raises:
        DataError: A required column is missing, one has a wrong type, or a subject_id or code is null.
    """
    frame = with_subject_id(frame)
    for name in EVENTS:
        if name not in frame.columns:
            if name not in _OPTIONAL:
                found = f"columns {', '.join(frame.columns[:12])}"
                raise DataError(
                    f"missing column {name}", where=where, found=found, expected=str(EVENTS[name])
                )
            frame = frame.with_columns(pl.lit(None, EVENTS[name]).alias(name))
        elif not _convertible(name, frame.schema[name]):
            found = f"{frame.schema[name]}"
            raise DataError(f"wrong type of {name}", where=where, found=found, expected=str(EVENTS[name]))
    try:
        frame = frame.select(converted(name, frame.schema[name], dtype) for name, dtype in EVENTS.items())
    except pl.exceptions.PolarsError as error:
        expected = ", ".join(f"{name} of {dtype}" for name, dtype in EVENTS.items())
        raise DataError(
            "a value does not fit its type", where=where, found=first_line(error), expected=expected
        ) from None
    for name in ("subject_id", "code"):
        if frame[name].null_count():
            found = f"{frame[name].null_count()} nulls in {name}"
            raise DataError(f"null {name}", where=where, found=found, expected=f"a {name} in every row")
    is_prefixed = bare(pl.col("code")) != pl.col("code")
    if num := frame.select(is_prefixed.sum()).item():
        frame = frame.with_columns(bare(pl.col("code")))
        if counts is not None:
            counts[NUM_BARE] += num
    return frame


def with_subject_id(frame: pl.DataFrame) -> pl.DataFrame:
    """patient_id, the column of MEDS 0.3.0, as subject_id where there is none.

    >>> with_subject_id(pl.DataFrame({"patient_id": [1], "code": ["A"]})).columns
    ['subject_id', 'code']
    """
    if "subject_id" in frame.columns:
        return frame
    return frame.rename({PATIENT_ID: "subject_id"}, strict=False)


def _convertible(name: str, dtype: PolarsType) -> bool:
    if name == "subject_id":
        return dtype.is_integer()
    if name == "time":
        return isinstance(dtype, pl.Datetime) or dtype == pl.Null
    if name == "numeric_value":
        return dtype.is_numeric() or dtype == pl.Null
    is_text = isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)) or dtype == pl.Binary
    return is_text or (name == "unit" and dtype == pl.Null)


def check_sorted(frame: pl.DataFrame, where: object) -> None:
    """Refuse rows that are not grouped by subject and in order of time, nulls first.

    Raises:
        DataError: Names the first subject out of order.
    """
    same = pl.col("subject_id") == pl.col("subject_id").shift(1)
    before = pl.col("time").shift(1)
    backwards = same & before.is_not_null() & (pl.col("time").is_null() | (pl.col("time") < before))
    returning = ~same.fill_null(False) & ~pl.col("subject_id").is_first_distinct()
    wrong = frame.filter(backwards | returning)
    if wrong.height:
        raise DataError(
            "events are not sorted",
            where=where,
            found=f"{wrong.height} rows out of order, the first of subject {wrong['subject_id'][0]}",
            expected="each subject's rows together and in order of time, null times first",
            remedy="pass --sort",
        )


def whole_subjects(
    path: Path, rows: int, sort: bool = False, counts: Counter[str] | None = None
) -> Iterator[pl.DataFrame]:
    """Read one shard in pieces of whole subjects, so that memory is bounded by ``rows`` or one subject.

    Args:
        path: The file.
        rows: Rows to read at a time.
        sort: Sort the rows first (in memory) instead of refusing unsorted ones.
        counts: As of :func:`conform`, complete after the last piece.

    Yields:
        Checked frames as :func:`read_shard` returns; a subject that comes again in a later piece is the
        caller's to find.

    Raises:
        DataError: As :func:`read_shard`.
    """
    read = _sorted_batches if sort else _batches
    for piece in in_pieces(read(path, rows, counts), rows):
        check_sorted(piece, path)
        yield piece


def in_pieces(batches: Iterable[pl.DataFrame], rows: int) -> Iterator[pl.DataFrame]:
    """Divide events into pieces of whole subjects: as many as fit into ``rows``, or one that has more.

    How the events came in batches changes nothing.

    Args:
        batches: Events, columns as :data:`EVENTS`, every subject's rows together.
        rows: Most rows of a piece of several subjects.
    """
    held = pl.DataFrame(schema=EVENTS)
    for batch in batches:
        held = pl.concat([held, batch])
        while cut := _whole_rows(held, rows):
            piece, held = held[:cut], held[cut:]
            yield piece
    if held.height:
        yield held


def _whole_rows(events: pl.DataFrame, rows: int) -> int:
    """How many rows at the beginning make the next piece; 0 while further rows may belong to it."""
    if events.height <= rows:
        return 0
    subjects = events["subject_id"].to_numpy()
    starts = np.flatnonzero(subjects[1:] != subjects[:-1]) + 1
    fitting = int(np.searchsorted(starts, rows, side="right"))
    return int(starts[max(fitting - 1, 0)]) if len(starts) else 0


def _sorted_batches(path: Path, rows: int, counts: Counter[str] | None) -> Iterator[pl.DataFrame]:
    frame = conform(read_parquet(path), path, counts)
    return frame.sort("subject_id", "time", nulls_last=False, maintain_order=True).iter_slices(rows)


def _batches(path: Path, rows: int, counts: Counter[str] | None) -> Iterator[pl.DataFrame]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            # Checked before any row is read, and with every column's name in the message.
            conform(pl.DataFrame(file.schema_arrow.empty_table()), path)
            columns = [name for name in file.schema_arrow.names if name in (*EVENTS, PATIENT_ID)]
            for batch in file.iter_batches(batch_size=rows, columns=columns):
                if batch.num_rows:
                    yield conform(pl.DataFrame(batch), path, counts)
    except (pa.ArrowException, OSError) as error:
        found = str(error).split("\n")[0]
        remedy = "the file is truncated or no Parquet: copy or make it again"
        raise DataError("unreadable Parquet file", where=path, found=found, remedy=remedy) from None


def read_codes(meds: Path) -> list[str]:
    """All codes of a MEDS folder, from its ``metadata/codes.parquet`` or else from its shards.

    Codes of birth and death are bare ones, as in the events that are read (:func:`bare`).
    """
    is_listed = (meds / CODES).is_file()
    found: set[str] = set()
    for path in [meds / CODES] if is_listed else [shard.path for shard in list_shards(meds)]:
        codes = read_parquet(path, ["code"]).select(pl.col("code").cast(pl.String).unique())
        found.update(codes.select(bare(pl.col("code")))["code"].drop_nulls())
    return sorted(found)
