"""Tables of text as other programs write them: header lines, separators, quotes, blanks and numbers.

What separates is decided by the line of column names: a tab where it has one, else a comma, else blanks, of
which a run counts as one. Quotes and blanks around a value are no part of it (RFC 4180 quotes, R's
``write.table``, columns padded with blanks); lines without any value are no rows. Every value is text unless
a type is given.
"""

from __future__ import annotations

import csv
import functools
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from proband.core.errors import DataError, first_line
from proband.core.files.tables import PolarsType
from proband.core.text.plaintext import check_text
from proband.core.text.textvalues import AROUND, NO_VALUE, clean, clean_text

_GZIP = b"\x1f\x8b"
_WORD = re.compile(r'"[^"]*"|\S+')
OF_LISTS, OF_TABLES = "\t,", "\t,;"
"""Marks that separate values, beside blanks: of lists that may lack column names, where a semicolon may be a
part of a name, and of tables that have them."""
QUOTING = {",", ";"}
"""Marks that a value in quotes may hold."""
READ_ERRORS = (OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error)
"""What reading a damaged file raises."""


def open_text(path: Path) -> io.TextIOWrapper:
    """A plain or gzip file as text, by its first bytes; a byte order mark is passed over.

    Raises:
        DataError: It is Parquet, a zip, UTF-16, or has line ends of carriage returns only.
        OSError, EOFError, zlib.error: It cannot be read.
    """
    check_text(path)
    with open(path, "rb") as raw:
        is_packed = raw.read(len(_GZIP)) == _GZIP or path.name.endswith(".gz")
    opened = gzip.open if is_packed else open
    return opened(path, "rt", encoding="utf-8-sig", newline="\n")


def separator_of(line: str, marks: str = OF_LISTS) -> str:
    """What separates the values of a table by its line of column names: the first of some marks that is in
    it, or (runs of) blanks."""
    return next((mark for mark in marks if mark in line.strip()), " ")


def split_line(line: str, separator: str) -> list[str]:
    """The values of one line, cleaned.

    >>> split_line('"1", "a, b",  x', ","), split_line("  1  2 ", " ")
    (['1', 'a, b', 'x'], ['1', '2'])
    """
    line = line.rstrip("\r\n")
    if separator in QUOTING:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [""])
    else:
        cells = _WORD.findall(line) if separator == " " else line.split(separator)
    return [clean_text(cell) for cell in cells]


def read_lines(path: Path, comment: str = "##", marks: str = OF_LISTS) -> Iterator[tuple[int, list[str]]]:
    """Number and values of every line that has any, the line of column names first.

    For lists and tables of people, which fit in memory; :class:`TextTable` is for those of variants.

    Args:
        path: The file.
        comment: Beginning of lines that are passed over.
        marks: That may separate values, beside blanks.
    """
    separator = None
    with open_text(path) as lines:
        for number, line in enumerate(lines, 1):
            if line.startswith(comment):
                continue
            cells = split_line(line, separator or separator_of(line, marks))
            if any(cells):
                separator = separator or separator_of(line, marks)
                yield number, cells


def check_names(columns: list[str], where: Path) -> None:
    """Refuse a table with two columns of one name; columns without a name may be several.

    Raises:
        DataError: A name comes more than once.
    """
    repeated = next((name for name in columns if name and columns.count(name) > 1), None)
    if repeated is not None:
        found = f"{repeated!r} among the columns {' '.join(columns[:12])}"
        raise DataError(
            "column names come more than once", where=where, found=found, remedy="rename or drop all but one"
        )


def read_people(path: Path) -> tuple[list[str], list[int], list[list[str]]]:
    """Column names, line numbers and values of a table of people; lines that begin with ``##`` are none.

    A name of the row that the header lacks, as R writes it, is passed over; rows may be uneven.

    Raises:
        OSError, EOFError, UnicodeDecodeError, zlib.error, csv.Error: It cannot be read (``READ_ERRORS``).
    """
    lines = list(read_lines(path, marks=OF_TABLES))
    header, rows = (lines[0][1], lines[1:]) if lines else ([], [])
    has_names = bool(rows) and all(len(row) == len(header) + 1 and row[0] for _, row in rows)
    has_names = has_names and any(row[-1] for _, row in rows)  # else the lines end in a separator
    return header, [number for number, _ in rows], [row[has_names:] for _, row in rows]


@dataclass(frozen=True)
class TextTable:
    """A file, where its table begins, and what its columns are called.

    Attributes:
        path: The file, plain or gzip.
        num_header: Lines before the rows, the column names' included.
        separator: Tab, comma, semicolon, or a blank for runs of them.
        columns: Names of the columns.
        num_row_names: 1 where each row begins with a name that the header lacks, as R writes them; else 0.
        wrong: Makes the error of a file that is damaged from what was found.
        no_value: What is null, beside an empty value.
        num_last_empty: 1 where each row ends in a separator that the header lacks; else 0.
    """

    path: Path
    num_header: int
    separator: str
    columns: list[str]
    num_row_names: int
    wrong: Callable[[str], DataError]
    no_value: tuple[str, ...] = NO_VALUE
    num_last_empty: int = 0

    def read(self, names: list[str], types: dict[str, PolarsType], most: int | None = None) -> pl.DataFrame:
        """The columns called ``names``, null where empty; every column that has no type as text.

        Raises:
            DataError: The file is damaged, or a row has too many values (of blank-separated ones another
                number).
            polars.exceptions.ComputeError: A value is not of the type given, if any is.
        """
        frame = self._all_lines(names, types, most)
        if frame.select(pl.all_horizontal(pl.all().is_null()).any()).item():
            frame = frame.filter(self._is_row.head(frame.height))
        return frame

    @property
    def num_blank(self) -> int:
        """Lines without any value that :meth:`read` has left out."""
        return int((~self._is_row).sum()) if "_is_row" in self.__dict__ else 0

    @functools.cached_property
    def _is_row(self) -> pl.Series:
        """Which lines hold any value in any column."""
        lines = self._all_lines(list(dict.fromkeys(filter(None, self.columns))), {}, None)
        return lines.select(~pl.all_horizontal(pl.all().is_null())).to_series()

    def _all_lines(self, names: list[str], types: dict[str, PolarsType], most: int | None) -> pl.DataFrame:
        at = sorted(self.columns.index(name) for name in names)
        num_columns = len(self.columns) + self.num_row_names + self.num_last_empty
        wanted, last = [number + self.num_row_names for number in at], [num_columns - 1] * self.num_last_empty
        schema: dict[str, PolarsType] = {f"column {number}": pl.String for number in range(num_columns)}
        for number, place in zip(wanted, at, strict=True):
            schema[f"column {number}"] = types.get(self.columns[place], pl.String)
        is_rewritten = self._rewritten is not None
        try:
            frame = pl.read_csv(
                self._rewritten if self._rewritten is not None else self.path,  # gzip by its first bytes
                separator="\t" if is_rewritten else self.separator,
                skip_lines=0 if is_rewritten else self.num_header,
                has_header=False,
                columns=[*wanted, *last],
                schema=schema,
                quote_char=None,
                null_values=list(self.no_value) or None,
                n_rows=most,
            )
        except pl.exceptions.NoDataError:
            frame = pl.DataFrame(schema={f"column {number}": pl.String for number in (*wanted, *last)})
        except (OSError, pl.exceptions.PolarsError) as error:
            if types and isinstance(error, pl.exceptions.ComputeError):
                raise
            raise self.wrong(first_line(error)) from None
        if last:
            self._check_empty(frame.to_series(-1))
            frame = frame[:, :-1]
        frame.columns = [self.columns[number] for number in at]
        text = [column for column in frame if column.dtype == pl.String]
        return frame.with_columns(clean(column, self.no_value) for column in text)

    def _check_empty(self, last: pl.Series) -> None:
        """Refuse a value behind the last column."""
        is_value = clean(last, self.no_value).is_not_null()
        if is_value.any():
            found = f"{len(self.columns) + 1} values in row {int(is_value.arg_max() or 0) + 1}"
            raise self.wrong(f"{found} under {len(self.columns)} column names")

    @functools.cached_property
    def _rewritten(self) -> bytes | None:
        """The rows with one tab between values, of a table separated by blanks or with quoted values."""
        if self.separator == "\t":
            return None
        try:
            with open_text(self.path) as file:
                lines = [line.rstrip("\r\n") for number, line in enumerate(file) if number >= self.num_header]
            if self.separator in QUOTING:
                if not any('"' in line for line in lines):
                    return None
                rows = [split_line(line, self.separator) for line in lines]
            else:
                rows = self._split_at_blanks([line for line in lines if line.strip(AROUND)])
        except READ_ERRORS as error:
            raise self.wrong(first_line(error)) from None
        return "\n".join("\t".join(cell.replace("\t", " ") for cell in row) for row in rows).encode()

    def _split_at_blanks(self, lines: list[str]) -> list[list[str]]:
        """The values of every row; a run of blanks is one separator.

        Unless every row has as many values as the header where each blank is one: then some are empty.
        """
        width = len(self.columns) + self.num_row_names
        rows = [line.split(" ") for line in lines] if not any('"' in line for line in lines) else []
        if not rows or any(len(row) != width for row in rows):
            rows = [split_line(line, " ") for line in lines]
        uneven = next((number for number, row in enumerate(rows) if len(row) != width), None)
        if uneven is not None:
            found = f"{len(rows[uneven])} values in row {uneven + 1}, separated by blanks"
            raise self.wrong(f"{found}, under {len(self.columns)} column names")
        return rows


def open_table(
    path: Path, comment: str, wrong: Callable[[str], DataError], empty: Callable[[], DataError]
) -> tuple[list[str], TextTable]:
    """The lines before the column names, and the table below them.

    Args:
        path: The file, plain or gzip.
        comment: What a line before the column names begins with.
        wrong: Makes the error of an unreadable file from what was found.
        empty: Makes the error of a file of comments only.
    """
    header: list[str] = []
    try:
        with open_text(path) as lines:
            for line in lines:
                if not line.startswith(comment) and line.strip(AROUND):
                    separator = separator_of(line, OF_TABLES)
                    columns = split_line(line, separator)
                    below = next((row for row in lines if row.strip(AROUND)), "")
                    extra = num_row_names(below, separator, columns)
                    last = num_last_empty(below, separator, columns)
                    table = TextTable(path, len(header) + 1, separator, columns, extra, wrong)
                    return header, replace(table, num_last_empty=last)
                header.append(line.rstrip("\r\n"))
    except READ_ERRORS as error:
        raise wrong(first_line(error)) from None
    raise empty()


def num_row_names(line: str, separator: str, columns: list[str]) -> int:
    """1 where a row begins with a name that the header lacks, as R writes them; else 0."""
    cells = split_line(line, separator)
    return int(len(cells) == len(columns) + 1 and bool(cells[0]) and bool(cells[-1]))


def num_last_empty(line: str, separator: str, columns: list[str]) -> int:
    """1 where a row ends in a separator that the header lacks; else 0."""
    cells = split_line(line, separator)
    return int(len(cells) == len(columns) + 1 and not cells[-1])
