"""Tables of kinship by pairs of people, as the usual programs write them.

Ours (subject_id_1, subject_id_2, kinship), KING's ``.kin`` and ``.kin0`` and UK Biobank's (ID1, ID2,
Kinship), plink2's ``--make-king-table`` (#IID1, IID2, KINSHIP), All of Us's (i.s, j.s, kin).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from proband.core.errors import DataError, first_line
from proband.core.files.tables import as_text, is_parquet, read_parquet
from proband.core.running.progress import say
from proband.core.text.texttable import check_names, open_table

_IDS = (
    ("SUBJECT_ID_1", "SUBJECT_ID_2"),
    ("IID1", "IID2"),
    ("ID1", "ID2"),
    ("SAMPLE_ID_1", "SAMPLE_ID_2"),
    ("I.S", "J.S"),
)
_KINSHIP = ("KINSHIP", "KIN")
_MOST_KINSHIP = 0.55
"""That of twins, 0.5, and some error of its estimate."""
_NO_KINSHIP = ("", "NA", "NAN", "-NAN", "NONE", ".")
_EXPECTED = (
    "subject_id_1, subject_id_2, kinship; or ID1, ID2, Kinship (KING); or #IID1, IID2, KINSHIP (plink2)"
)
_REMEDY = "give a table with the columns IID1, IID2 and KINSHIP, as plink2 --make-king-table writes it"


@dataclass(frozen=True)
class KinshipTable:
    """The pairs of a table.

    Attributes:
        pairs: ``first`` and ``second`` (names, as text) and ``kinship`` (float64, finite).
        num_rows: Rows of the table, blank lines apart: as many as pairs and rows left out.
        left_out: Reason -> how many rows, and the number of the first, from 1.
    """

    pairs: pl.DataFrame
    num_rows: int
    left_out: dict[str, tuple[int, int]]


def read_kinship_table(path: Path) -> KinshipTable:
    """Read a table of pairs.

    Args:
        path: Parquet, or text with a header line, separated by tabs, commas or blanks; may be gzipped.

    Returns:
        Every pair with two names and a kinship. Rows without are left out and counted.

    Raises:
        DataError: The file is missing or unreadable, lacks a column, a kinship is no number, or no row has
            two names and a kinship.
    """
    frame = _read_parquet(path) if is_parquet(path) else _read_text(path)
    rows = frame.with_row_index("row", 1)
    has_names = pl.all_horizontal(pl.col("first", "second").fill_null("").str.strip_chars() != "")
    has_kinship = ~pl.col("kinship").fill_null("").str.strip_chars().str.to_uppercase().is_in(_NO_KINSHIP)
    left_out = {}
    for reason, missing in (("two ids", ~has_names), ("a kinship", has_names & ~has_kinship)):
        without = rows.filter(missing)
        if without.height:
            left_out[f"without {reason}"] = (without.height, without["row"][0])
    usable = rows.filter(has_names & has_kinship)
    if rows.height and usable.is_empty():
        reason, (number, first) = next(iter(left_out.items()))
        found = f"{number} rows {reason}, first row {first}: {frame.row(first - 1)}"
        raise DataError("no usable row in the kinship table", where=path, found=found, remedy=_REMEDY)
    pairs = usable.select("first", "second", pl.col("kinship").cast(pl.Float64, strict=False))
    wrong = usable.filter(~pairs["kinship"].is_finite().fill_null(False))
    if wrong.height:
        found = f"{wrong.height} rows, first {wrong['kinship'][0]!r} in row {wrong['row'][0]}"
        raise DataError("kinship is no number", where=path, found=found, expected="such as 0.25")
    _say_impossible(pairs, path)
    return KinshipTable(pairs, rows.height, left_out)


def _say_impossible(pairs: pl.DataFrame, path: Path) -> None:
    """Say that a table holds more than the kinship of twins, as one of relatedness, its double, does."""
    beyond = pairs.filter(pl.col("kinship") > _MOST_KINSHIP)
    if beyond.height:
        first, second, kinship = beyond.row(0)
        say(
            f"{path}: {beyond.height:,} of {pairs.height:,} pairs have a kinship above {_MOST_KINSHIP}, "
            f"where that of twins is 0.5, the first {kinship:g} of {first} and {second}; "
            "if these are relatedness (GCTA's GRM, PI_HAT), which is twice the kinship, halve them"
        )


def _read_parquet(path: Path) -> pl.DataFrame:
    frame = read_parquet(path)
    chosen = _columns(frame.columns, path)
    named = [frame[name].alias(column) for column, name in chosen.items()]
    return pl.DataFrame([as_text(values, path) for values in named])


def _read_text(path: Path) -> pl.DataFrame:
    def wrong(found: object) -> DataError:
        text = first_line(found)
        return DataError("unreadable kinship table", where=path, found=text, expected=_EXPECTED)

    if not path.exists():
        raise DataError("missing file", where=path, expected=_EXPECTED, remedy="check the path")
    _, text = open_table(path, "##", wrong, lambda: wrong("no line of column names"))
    check_names(text.columns, path)
    chosen = _columns(text.columns, path)
    # Not even a name NA stands for none: it is somebody's.
    frame = dataclasses.replace(text, no_value=("",)).read(list(chosen.values()), {})
    return frame.select(pl.col(name).alias(column) for column, name in chosen.items())


def _columns(names: Sequence[str], path: Path) -> dict[str, str]:
    """The table's names of ``first``, ``second`` and ``kinship``.

    Raises:
        DataError: One is missing.
    """
    spelt = {name.lstrip("#").upper(): name for name in reversed(names)}
    ids = next((pair for pair in _IDS if set(pair) <= set(spelt)), None)
    value = next((name for name in _KINSHIP if name in spelt), None)
    if ids is None or value is None:
        found = f"columns {', '.join(names[:12])}"
        raise DataError("no kinship table", where=path, found=found, expected=_EXPECTED, remedy=_REMEDY)
    return {"first": spelt[ids[0]], "second": spelt[ids[1]], "kinship": spelt[value]}
