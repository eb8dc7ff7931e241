"""Lists of samples to keep, applied to every file of a data set, and their one order.

Files of one data set may hold different samples (UK Biobank's X and XY hold fewer people), and in another
order. Kept are the listed samples that every file holds, in the first file's order.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt32

from proband.core.errors import DataError
from proband.core.running.progress import say
from proband.core.text.texttable import READ_ERRORS, open_text, read_lines, separator_of, split_line
from proband.genome.genotypes.dataset import Genotypes
from proband.genome.names import by_rank, is_family_name, is_sample_name

_KEEP_COLUMNS = 2  # FID and IID
_PLINK_HEADERS = ("#IID", "#FID")
LEAVE_OUT_FILES = "leave files of fewer samples out by a pattern such as 'c[0-9]*.bgen'"
"""What to do about a file of a data set that lacks samples."""


def keep_samples(sets: Sequence[Genotypes], path: Path) -> list[Genotypes]:
    """The same files with the listed samples that all of them hold, in the first file's order.

    Listed samples that no file holds, or some only, are left out; a line says how many of each.

    Args:
        sets: All samples, a data set per file.
        path: Names one a line, or ``FID IID``, of which IID counts, or columns of which one is called ``IID``
            (or ``sample_id`` or the like); other lines that begin with ``#`` are skipped.

    Raises:
        DataError: The list is unreadable, empty, of unclear columns, or names no sample that every file
            holds; or a listed name comes twice in a file whose samples are in another order.
    """
    listed = _read_names(path)
    held = [listed.keys() & set(item.sample_ids) for item in sets]
    common = set.intersection(*held)
    if not common:
        raise _nobody(sets, held, listed, path)
    _say_left_out(sets, held, len(listed), path)
    names = [name for name in sets[0].sample_ids if name in common]
    return [_with_samples(item, names, common) for item in sets]


def _nobody(
    sets: Sequence[Genotypes], held: list[set[str]], listed: dict[str, None], path: Path
) -> DataError:
    """The error of a list without a sample that every file holds."""
    if not any(held) or all(held):
        return DataError(
            f"no listed sample is in {'every genotype file' if all(held) else 'the genotypes'}",
            where=path,
            found=f"{len(listed)} names, first {next(iter(listed))!r}",
            expected=f"names such as {sets[0].sample_ids[0]!r}",
            remedy=LEAVE_OUT_FILES if all(held) else "",
        )
    without = sets[held.index(set())]
    return DataError(
        "no listed sample is in one of the genotype files",
        where=without.files[0],
        found=f"{len(without.sample_ids)} samples, first {without.sample_ids[0]!r}",
        expected=f"samples listed in {path.name}, as the other files hold",
        remedy=LEAVE_OUT_FILES,
    )


def _say_left_out(sets: Sequence[Genotypes], held: list[set[str]], num_listed: int, path: Path) -> None:
    num_known, num_common = len(set.union(*held)), len(set.intersection(*held))
    listed = f"of {num_listed} samples of {path.name}"
    if num_known < num_listed:
        say(f"genome: {num_listed - num_known} {listed} are not in the genotypes")
    if num_common < num_known:
        fewest, number = min(zip(sets, map(len, held), strict=True), key=lambda pair: pair[1])
        say(
            f"genome: {num_known - num_common} {listed} are not in every genotype file and are left out"
            f" ({fewest.files[0].name} holds {number} of them); to keep them, {LEAVE_OUT_FILES}"
        )


def _with_samples(genotypes: Genotypes, names: list[str], common: set[str]) -> Genotypes:
    """The same data set with the samples called ``names``, in their order.

    Raises:
        DataError: The file holds them in another order, and one twice.
    """
    rows = np.flatnonzero([name in common for name in genotypes.sample_ids]).astype(np.uint32)
    if [genotypes.sample_ids[row] for row in rows] != names:
        rows = _ordered(genotypes, rows, names)
    parts = [
        dataclasses.replace(part, subset=rows if part.subset is None else part.subset[rows])
        for part in genotypes.parts
    ]
    is_male = genotypes.is_male[rows]
    return dataclasses.replace(genotypes, parts=tuple(parts), sample_ids=list(names), is_male=is_male)


def _ordered(
    genotypes: Genotypes, rows: UInt32[np.ndarray, " samples"], names: list[str]
) -> UInt32[np.ndarray, " samples"]:
    """Rows of the samples in the order of ``names``."""
    found = Counter(genotypes.sample_ids[row] for row in rows)
    twice = next((name for name in names if found[name] > 1), None)
    twice = twice or next((name for name, number in Counter(names).items() if number > 1), None)
    if twice is not None:
        raise DataError(
            "duplicate sample IDs",
            where=genotypes.files[0],
            found=f"{twice!r} twice in a file of a data set whose files differ in the order of samples",
            remedy="keep one row per sample",
        )
    row_of = {genotypes.sample_ids[row]: row for row in rows}
    return np.array([row_of[name] for name in names], np.uint32)


def _read_names(path: Path) -> dict[str, None]:
    """The names of a sample list, in order and once each."""
    expected = "a text file of one sample name a line, or FID and IID, or columns of which one is called IID"
    try:
        rows = _plink_header(path) + [row for _, row in read_lines(path, comment="#")]
    except READ_ERRORS as error:
        raise DataError("unreadable list of samples", where=path, found=error, expected=expected) from None
    has_header = bool(rows) and any(is_sample_name(name) or is_family_name(name) for name in rows[0])
    place, wrong = _place_of_names(rows, has_header)
    names = [] if wrong else [row[place] for row in rows[has_header:] if row[place]]
    if not names:
        found = wrong or "no names"
        raise DataError("not a list of samples", where=path, found=found, expected=expected)
    return dict.fromkeys(names)


def _plink_header(path: Path) -> list[list[str]]:
    """The line of column names, if it begins with ``#`` as plink2 writes it; others are comments."""
    with open_text(path) as lines:
        for line in lines:
            if line.startswith(_PLINK_HEADERS):
                return [split_line(line, separator_of(line))]
            if line.strip() and not line.startswith("#"):
                break
    return []


def _place_of_names(rows: list[list[str]], has_header: bool) -> tuple[int, str]:
    """Which column of a list holds its samples, and what is wrong with the list, empty for nothing.

    Without header two columns are FID and IID, as plink has it.
    """
    widths = {len(row) for row in rows[has_header:]}
    if not widths:
        return 0, "no names"
    if not has_header:
        is_clear = len(widths) == 1 and max(widths) <= _KEEP_COLUMNS
        counted = " and ".join(map(str, sorted(widths)))
        return -1, "" if is_clear else f"rows of {counted} columns without column names"
    named = by_rank(rows[0])
    if not named:
        return 0, f"columns {' '.join(rows[0])}"
    place = rows[0].index(named[0])
    return place, "" if min(widths) > place else f"a row of {min(widths)} columns below {' '.join(rows[0])}"
