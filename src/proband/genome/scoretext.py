"""The text of a scoring file: its header, its columns, and chosen columns as a table."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from proband.core.errors import DataError
from proband.core.schema import PolarsType

_NO_VALUE = ["", "NA", "None", "."]
_GZIP = b"\x1f\x8b"
# Names of format 1 beside those of format 2.
_OLD_COLUMNS = {"reference_allele": "other_allele"}
_OLD_FIELDS = {
    "original_genome_build": "genome_build",
    "reported_trait": "trait_reported",
    "mapped_trait(s)_(efo_label)": "trait_mapped",
    "mapped_trait(s)_(efo_id)": "trait_efo",
    "number_of_variants": "variants_number",
}


@dataclass(frozen=True)
class ScoreText:
    """A file, where its table begins, and what its columns are called."""

    path: Path
    num_header: int
    separator: str
    columns: list[str]

    def read(self, names: list[str], types: dict[str, PolarsType], most: int | None = None) -> pl.DataFrame:
        """The columns called ``names``, null where empty; every column that has no type as text."""
        at = sorted(self.columns.index(name) for name in names)
        return pl.read_csv(
            self.path,  # plain or gzip, by its first bytes
            separator=self.separator,
            skip_lines=self.num_header + 1,
            has_header=False,
            columns=at,
            new_columns=[self.columns[n] for n in at],
            schema_overrides={self.columns[n]: types.get(self.columns[n], pl.String) for n in at},
            infer_schema=False,
            quote_char='"' if self.separator == "," else None,
            null_values=_NO_VALUE,
            n_rows=most,
        )


def unreadable(path: Path, error: Exception) -> DataError:
    """The error of a file that cannot be read to its end."""
    found = str(error).splitlines()[0] if str(error) else type(error).__name__
    remedy = "the file is truncated or no scoring file: download it again"
    return DataError("unreadable scoring file", where=path, found=found, remedy=remedy)


def empty(path: Path) -> DataError:
    """The error of a file that holds no row."""
    return DataError("scoring file without rows", where=path, remedy="download it again")


def open_score_text(path: Path) -> tuple[list[str], ScoreText]:
    """The lines before the column names, and the table below them.

    Raises:
        DataError: The file is unreadable or holds header lines only.
    """
    header: list[str] = []
    try:
        with open(path, "rb") as raw:
            is_packed = raw.read(len(_GZIP)) == _GZIP or path.name.endswith(".gz")
        with (gzip.open if is_packed else open)(path, "rt", encoding="utf-8-sig", newline="\n") as lines:
            for line in lines:
                if not line.startswith("#"):
                    separator = next((mark for mark in "\t, " if mark in line), "\t")
                    names = [name.strip().strip('"') for name in line.rstrip("\r\n").split(separator)]
                    columns = [_OLD_COLUMNS.get(name, name) for name in names]
                    return header, ScoreText(path, len(header), separator, columns)
                header.append(line.rstrip("\r\n"))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise unreadable(path, error) from None
    raise empty(path)


def header_field(line: str) -> tuple[str, str]:
    """A header field by its name of format 2; format 1 writes ``# PGS ID = PGS000001``."""
    name, _, text = line.lstrip("#").partition("=")
    name = name.strip()
    if " " in name or line.startswith("# "):
        name = name.lower().replace(" ", "_")
    return _OLD_FIELDS.get(name, name), text.strip()
