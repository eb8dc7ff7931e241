"""Which column of a table of scores holds the samples, and which hold scores.

Row numbers that pandas and R write, families, phenotypes and counts are neither; what is left out is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl

from proband.core.errors import DataError, first_names
from proband.core.files.tables import is_row_number
from proband.core.running.progress import say
from proband.core.text.textvalues import whole_numbers
from proband.genome.names import by_rank, is_family_name, is_sample_name, is_subject_name

ROW_NAME = "row name"
"""What a column without a name is called here."""
SUM, _AVG = "_SUM", "_AVG"
_ROW_NAMES = re.compile(rf"{ROW_NAME}( \d+)?")
SAMPLE_SET, REFERENCE = "sampleset", "reference"
"""pgsc_calc's column of sample sets, and its name of the panel's."""
_NO_SCORES = {
    SAMPLE_SET, "PHENO", "PHENO1", "ALLELE_CT", "NMISS_ALLELE_CT", "DENOM", "NAMED_ALLELE_DOSAGE_SUM", "CNT",
    "CNT2", "In_Regression", "Has_Phenotype",
}  # fmt: skip
_PLINK2 = {"ALLELE_CT", "NMISS_ALLELE_CT", "NAMED_ALLELE_DOSAGE_SUM"}
"""Columns of plink2's .sscore alone."""
_REMEDY = "name the column of samples IID, or that of subjects subject_id"

Read = Callable[[str], pl.Series]
"""Gives a column of the table as text."""


def choose(path: Path, columns: list[str], read: Read) -> tuple[str, list[str]]:
    """The column of samples, and those of scores.

    Args:
        path: The file.
        columns: Names of its columns.
        read: Gives one of them.

    Raises:
        DataError: It cannot be told which column holds the samples, there are no scores, or averages of
            plink2 alone.
    """
    identifier = _identifier(path, columns, read)
    names = [name for name in columns if name != identifier and _may_be_score(name)]
    names = _sums(path, names) if has_sums(path, columns) else names
    if not names:
        found, expected = "no column of scores", "one row per sample: its name, then numbers"
        raise DataError("not a table of scores", where=path, found=found, expected=expected)
    others = [name for name in columns if name != identifier and name not in names]
    if others or not is_sample_name(identifier):
        left_out = f"; no scores, left out: {first_names(others)}" if others else ""
        say(f"genome: the samples of {path.name} are those of its column {identifier}{left_out}")
    return identifier, names


def has_sums(path: Path, columns: list[str]) -> bool:
    """Whether scores end in ``_SUM``: of a .sscore, by its columns or its name, or of pgsc_calc's table."""
    return bool((_PLINK2 | {SAMPLE_SET}) & set(columns)) or ".sscore" in path.name


def _is_row_name(name: str) -> bool:
    return is_row_number(name) or _ROW_NAMES.fullmatch(name) is not None


def _may_be_score(name: str) -> bool:
    is_person = is_sample_name(name) or is_family_name(name) or _is_row_name(name)
    return not is_person and name not in _NO_SCORES


def _identifier(path: Path, columns: list[str], read: Read) -> str:
    """The column of samples: that of subjects, else the one that is named so, else the first of names."""
    named = by_rank(columns)
    if subject := next(filter(is_subject_name, named), None):
        return subject
    if not named:
        return _unnamed_identifier(path, columns, read)
    first = read(named[0]) if len(named) > 1 else None
    for other in named[1:]:
        if first is not None and not first.equals(read(other), check_names=False):
            raise DataError(
                "several columns of samples that disagree",
                where=path,
                found=f"{named[0]} and {other}",
                expected="one column of samples",
                remedy="leave one of them out, or name the right one subject_id",
            )
    return named[0]


def _unnamed_identifier(path: Path, columns: list[str], read: Read) -> str:
    """The row names or the first column, whichever alone holds names; row numbers are none."""
    candidates = [name for name in columns if _is_row_name(name) and _are_names(read(name))]
    candidates = [name for name in candidates if not _is_count(read(name))]
    possible = [name for name in columns if _may_be_score(name)]
    if len(possible) > 1 and _are_names(read(possible[0])):
        candidates.append(possible[0])
    if len(candidates) != 1:
        found = f"columns {', '.join(columns[:6])}"
        raise DataError(
            "no column of samples" if not candidates else "several columns that may hold samples",
            where=path,
            found=found,
            expected="a column IID, sample_id, eid or the like; row numbers and fractions name nobody",
            remedy=_REMEDY,
        )
    return candidates[0]


def _are_names(values: pl.Series) -> bool:
    """Whether values may be names of samples: there are some, and no fraction is among them."""
    numbers = values.cast(pl.Float64, strict=False)
    is_fraction = (numbers != numbers.floor()) | ~numbers.is_finite()
    return values.count() > 0 and not is_fraction.fill_null(False).any()


def _is_count(values: pl.Series) -> bool:
    """Whether values count the rows, from 0 or from 1."""
    numbers = whole_numbers(values)
    return numbers[0] in (0, 1) and bool((numbers.diff().slice(1) == 1).fill_null(False).all())


def _sums(path: Path, columns: list[str]) -> list[str]:
    """Of the columns of such a table its sums, if it has sums or averages at all."""
    names = [name for name in columns if name.endswith(SUM)]
    average = next((name for name in columns if name.endswith(_AVG)), None)
    if average and not names:
        raise DataError(
            "averages in place of sums",
            where=path,
            found=average,
            expected=f"columns that end in {SUM}",
            remedy="plink2 divides all scores of a file by one number of alleles, so averages cannot be "
            "compared: run it with cols=+scoresums",
        )
    return names or columns
