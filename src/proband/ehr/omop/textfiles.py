"""CSV files as tables of text, read by rules and never by a guess from the first rows.

The delimiter is what stands between the names of the header line. Quotes follow RFC 4180; in a file of tabs
whose header has no quotes they are plain text, as OHDSI Athena writes it. Files are UTF-8.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proband.core.errors import DataError

if TYPE_CHECKING:
    import ibis

_DELIMITERS = "\t,;|"
_LONGEST_HEADER = 1_000_000
_KEY, _MOST_NAMED = "person_id", 5
_GZIP = b"\x1f\x8b"
LONGEST_LINE_BYTES = 16_000_000
"""A row may hold a text of many pages, whether it is read or not."""
_BUFFER_BYTES = 2 * LONGEST_LINE_BYTES
"""Of each thread; DuckDB's own for lines of its own limit, 2 MB."""


@dataclass(frozen=True)
class Dialect:
    """How a file is written.

    Attributes:
        columns: Names of the header in lower case, without quotes and blanks around them.
        delimiter: Between values.
        quote: Around values; empty where quotes are plain text.
        is_gzip: Whether it is packed, by its first bytes, whatever its name is.
    """

    columns: tuple[str, ...]
    delimiter: str
    quote: str
    is_gzip: bool


def dialect_of(path: Path) -> Dialect:
    """Read the header line of a CSV file, plain or gzipped by its first bytes.

    Raises:
        DataError: The file is unreadable, not UTF-8 or has no header, or a name is there twice.
    """
    try:
        is_gzip = _begins_as_gzip(path)
        opened = gzip.open if is_gzip else open
        with opened(path, "rt", encoding="utf-8-sig") as file:
            line = file.readline(_LONGEST_HEADER).rstrip("\r\n")
    except UnicodeDecodeError:
        raise DataError("no text in UTF-8", where=path, remedy="export the table in UTF-8") from None
    except (OSError, EOFError, zlib.error) as error:
        remedy = "the file is truncated or locked: copy it again"
        raise DataError("unreadable file", where=path, found=error, remedy=remedy) from None
    if not line.strip():
        raise DataError("no header", where=path, expected="a first line of column names")
    delimiter = next((character for character in line if character in _DELIMITERS), ",")
    quote = '"' if delimiter != "\t" or '"' in line else ""
    try:
        fields = next(csv.reader([line], delimiter=delimiter)) if quote else line.split(delimiter)
    except csv.Error as error:
        raise DataError(
            "unreadable header", where=path, found=error, expected="a first line of column names"
        ) from None
    columns = tuple(field.strip().strip('"').strip().lower() or f"_{i}" for i, field in enumerate(fields))
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise DataError(f"column {repeated[0]} is there twice", where=path, remedy="keep one")
    return Dialect(columns, delimiter, quote, is_gzip)


def _begins_as_gzip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_GZIP)) == _GZIP


def read_text(connection: ibis.BaseBackend, name: str, paths: Sequence[Path]) -> ibis.Table:
    """The parts of a table as one table of text columns.

    Parts may differ in delimiter and in columns, which meet by name; what a part lacks is null in it.

    Raises:
        DataError: A part has no header, or none that the other parts share.
    """
    import ibis

    parts: dict[Dialect, list[str]] = {}
    for path in paths:
        parts.setdefault(dialect_of(path), []).append(str(path))
    _refuse_strange(parts)
    tables = [
        connection.read_csv(
            files,
            table_name=f"{name}_{number}",
            header=True,
            auto_detect=False,
            columns=dict.fromkeys(dialect.columns, "VARCHAR"),
            delim=dialect.delimiter,
            quote=dialect.quote,
            escape=dialect.quote,
            strict_mode=True,
            compression="gzip" if dialect.is_gzip else "none",
            max_line_size=LONGEST_LINE_BYTES,
            buffer_size=_BUFFER_BYTES,
        )
        for number, (dialect, files) in enumerate(parts.items())
    ]
    if len(tables) == 1:
        return tables[0]
    columns = dict.fromkeys(column for dialect in parts for column in dialect.columns)
    absent = ibis.null("string")
    same = [
        table.select(**{column: table[column] if column in table.columns else absent for column in columns})
        for table in tables
    ]
    return ibis.union(*same)


def _refuse_strange(parts: Mapping[Dialect, list[str]]) -> None:
    """Refuse a part without a column of any other, or without the key that others have: it has no header."""
    strange = [dialect for dialect in parts if _is_strange(dialect, parts)]
    if strange:
        worst = min(strange, key=lambda dialect: _KEY in dialect.columns)
        other, files = next((dialect, files) for dialect, files in parts.items() if dialect != worst)
        names = ", ".join(other.columns[:_MOST_NAMED])
        raise DataError(
            "a part with other columns than the rest of its table",
            where=parts[worst][0],
            found=", ".join(worst.columns[:_MOST_NAMED]),
            expected=f"a header line as of {Path(files[0]).name}: {names}",
            remedy="give every part the header, or move away what is no part",
        )


def _is_strange(dialect: Dialect, parts: Mapping[Dialect, list[str]]) -> bool:
    own = set(dialect.columns)
    others = {column for other in parts if other != dialect for column in other.columns}
    return bool(others) and (not own & others or (_KEY in others and _KEY not in own))
