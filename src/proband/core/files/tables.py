"""Tables in Parquet files: columns, types and rules declared once, checked on reading and on writing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from proband.core.errors import DataError, first_line
from proband.core.files.parquetpages import check_pages

PolarsType: TypeAlias = Any
"""A polars type or its class; Any, since runtime type checks refuse unions of polars' classes."""


PARQUET = b"PAR1"
"""First bytes of a Parquet file."""
_ROW_NUMBERS = re.compile(r"__index_level_\d+__|Unnamed: \d+|")


@dataclass(frozen=True)
class Table:
    """A declared table.

    Attributes:
        name: What messages call it.
        columns: Column name to polars type.
        nullable: Columns that may hold nulls; all others may not.
        bounds: Column name to inclusive (low, high).
        unique: Columns that together identify a row; empty when rows may repeat.
        optional: Further columns that may be there, name to polars type.
        extra: Type of further columns of any name (score matrices), or None when none may come.
    """

    name: str
    columns: Mapping[str, PolarsType]
    nullable: frozenset[str] = frozenset()
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unique: tuple[str, ...] = ()
    optional: Mapping[str, PolarsType] = field(default_factory=dict)
    extra: PolarsType | None = None

    def check(self, frame: pl.DataFrame, where: object) -> pl.DataFrame:
        """Return ``frame`` with the declared columns first.

        Raises:
            DataError: A column is missing, of another type, null, out of bounds, or a key repeats.
        """
        self._check_columns(frame, where)
        for name in [name for name in (*self.columns, *self.optional) if name in frame.columns]:
            if name not in self.nullable and frame[name].null_count():
                found = f"{frame[name].null_count()} nulls in {name}"
                raise DataError(
                    f"{self.name}: empty values", where=where, found=found, expected="a value per row"
                )
        for name, (low, high) in self.bounds.items():
            if name not in frame.columns:
                continue
            outside = frame.filter(
                ~pl.col(name).is_between(low, high) | pl.col(name).cast(pl.Float64).is_nan()
            )
            if outside.height:
                found = f"{outside.height} rows outside, first {name} = {outside[name][0]}"
                raise DataError(
                    f"{self.name}: {name} out of range", where=where, found=found, expected=f"{low} to {high}"
                )
        if self.unique and frame.select(self.unique).is_duplicated().any():
            repeated = frame.filter(frame.select(self.unique).is_duplicated()).row(0, named=True)
            found = ", ".join(f"{key} = {repeated[key]}" for key in self.unique)
            raise DataError(f"{self.name}: duplicate rows", where=where, found=found, expected="each once")
        return frame.select(*self.columns, *(name for name in frame.columns if name not in self.columns))

    def _check_columns(self, frame: pl.DataFrame, where: object) -> None:
        for name, dtype in {**self.columns, **self.optional}.items():
            if name not in frame.columns and name in self.columns:
                found = f"columns {', '.join(frame.columns[:12])}"
                raise DataError(
                    f"{self.name}: missing column {name}", where=where, found=found, expected=str(dtype)
                )
            if name in frame.columns and frame.schema[name] != dtype:
                found = str(frame.schema[name])
                raise DataError(
                    f"{self.name}: wrong type of {name}",
                    where=where,
                    found=found,
                    expected=str(dtype),
                    remedy="write the column in that type",
                )
        for name in set(frame.columns) - self.columns.keys() - self.optional.keys():
            if self.extra is None or frame.schema[name] != self.extra:
                expected = "no further columns" if self.extra is None else f"columns of {self.extra}"
                raise DataError(
                    f"{self.name}: unexpected column {name}",
                    where=where,
                    expected=expected,
                    remedy="leave it out",
                )

    def empty(self) -> pl.DataFrame:
        """A frame of no rows."""
        return pl.DataFrame(schema=dict(self.columns))

    def write(self, frame: pl.DataFrame, path: Path) -> None:
        """Check ``frame`` and write it as Parquet."""
        self.check(frame, path).write_parquet(path, compression="zstd")

    def read(self, path: Path) -> pl.DataFrame:
        """Read a Parquet file and check it.

        Declared columns in another type of the same kind (:func:`same_kind`) are converted; row numbers
        (:func:`is_row_number`) are left out.

        Raises:
            DataError: The file is missing, unreadable or not this table, or a number does not fit its type.
        """
        frame = read_parquet(path)
        frame = frame.drop(name for name in frame.columns if is_row_number(name))
        found = frame.schema
        declared = {**self.columns, **self.optional}.items()
        others = {name: dtype for name, dtype in declared if name in found and found[name] != dtype}
        try:
            frame = frame.with_columns(
                converted(name, found[name], dtype)
                for name, dtype in others.items()
                if same_kind(found[name], dtype)
            )
        except pl.exceptions.PolarsError as error:
            raise DataError(
                f"{self.name}: a value does not fit its type", where=path, found=first_line(error),
                expected=", ".join(f"{name} of {dtype}" for name, dtype in others.items()),
            ) from None  # fmt: skip
        return self.check(frame, path)


def is_row_number(name: str) -> bool:
    """Whether a column is named as the row numbers that pandas keeps of a table (its index).

    >>> is_row_number("__index_level_0__"), is_row_number("Unnamed: 0"), is_row_number("index")
    (True, True, False)
    """
    return _ROW_NUMBERS.fullmatch(name) is not None


def same_kind(found: PolarsType, wanted: PolarsType) -> bool:
    """Whether a column can become one of the wanted type: a number, a time or a date, or text, likewise.

    Whole numbers of other widths, floats of other widths or whole numbers for floats, times of other units
    and zones and dates for times, categories for text. No float becomes a whole number.

    >>> same_kind(pl.Int32, pl.Int64), same_kind(pl.Float64, pl.Int64), same_kind(pl.Date, pl.Datetime("us"))
    (True, False, True)
    """
    if wanted.is_integer():
        return found.is_integer()
    if wanted.is_float():
        return found.is_numeric()
    if wanted == pl.Datetime:
        return found in (pl.Datetime, pl.Date)
    return wanted == pl.String and found in (pl.String, pl.Categorical, pl.Enum)


def converted(name: str, found: PolarsType, wanted: PolarsType) -> pl.Expr:
    """A column in another type of its kind; a time in a zone becomes UTC."""
    values = pl.col(name)
    if isinstance(found, pl.Datetime) and found.time_zone is not None:
        values = values.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return values.cast(wanted)


def is_parquet(path: Path) -> bool:
    """Whether a file is Parquet, by its name or its first bytes."""
    if path.suffix == ".parquet" or not path.is_file():
        return path.suffix == ".parquet"
    with open(path, "rb") as file:
        return file.read(len(PARQUET)) == PARQUET


def read_parquet(path: Path, columns: list[str] | None = None) -> pl.DataFrame:
    """Read one Parquet file, any failure as a DataError that names it."""
    import pyarrow as pa

    try:
        check_pages(path, columns)
        return pl.read_parquet(path, columns=columns)
    except FileNotFoundError:
        raise DataError("missing file", where=path, remedy="run the stage that writes it") from None
    except (
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
        pa.ArrowException,
        ValueError,
        OSError,
    ) as error:
        found = first_line(error)
        remedy = "the file is truncated or no Parquet: copy or make it again"
        raise DataError("unreadable Parquet file", where=path, found=found, remedy=remedy) from None


def as_text(values: pl.Series, where: object) -> pl.Series:
    """A column of names as text; of numbers their digits, null where missing.

    Raises:
        DataError: The column holds another kind (bytes, lists, records).
    """
    dtype = values.dtype
    is_name = isinstance(dtype, (pl.String, pl.Categorical, pl.Enum)) or dtype.is_numeric()
    if not (is_name or dtype in (pl.Date, pl.Datetime, pl.Boolean, pl.Null)):
        found, remedy = f"{dtype}", "store it as text"
        raise DataError(
            f"wrong type of {values.name}", where=where, found=found, expected="String", remedy=remedy
        )
    return values.cast(pl.String)


def write_tsv(frame: pl.DataFrame, path: Path) -> None:
    """Write a table for reading in a spreadsheet, which must not take a name for a formula.

    Text that begins with =, +, @, a tab or a carriage return, or with a minus before anything but a digit,
    gets an apostrophe in front.
    """
    is_formula = pl.col(pl.String).str.contains(r"^(?:[=+@\t\r]|-\D)")
    safe = pl.when(is_formula).then(pl.lit("'") + pl.col(pl.String)).otherwise(pl.col(pl.String))
    frame.with_columns(safe.name.keep()).write_csv(path, separator="\t", float_precision=4)


def join_parquet(parts: Sequence[Path], path: Path) -> int:
    """Write Parquet files of one schema as one, row group by row group; returns its rows."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(path, pq.read_schema(parts[0]), compression="zstd") as writer:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for group in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(group))
    return sum(pq.read_metadata(part).num_rows for part in parts)
