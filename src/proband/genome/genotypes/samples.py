"""Who the genotype samples are: sample names to ``subject_id``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.running.progress import say
from proband.core.schema import SAMPLES
from proband.core.text.texttable import READ_ERRORS, read_people
from proband.core.text.textvalues import NO_VALUE, whole_numbers
from proband.genome.leftout import LeftOut


def identify(
    sample_ids: list[str], mapping: Path | None, where: object, left_out: LeftOut | None = None
) -> pl.DataFrame:
    """Give every sample its ``subject_id``.

    With a mapping its subjects are taken. Else a sample name that is an integer of 0 to 2**63 - 1 is the
    subject, each name judged by itself. A sample without subject gets -(row + 1), which joins to no record,
    and one line says how many did.

    Args:
        sample_ids: Names, in the genotype file's order; text, leading zeros and all.
        mapping: Table of ``sample_id, subject_id``, or None.
        where: The genotype file, for messages.
        left_out: Notes rows of the mapping that cannot be used.

    Returns:
        One row per sample in order, of :data:`proband.core.schema.SAMPLES`.

    Raises:
        DataError: A sample name repeats, or two samples are one subject, or the mapping is no such table or
            has none of the samples.
    """
    repeated = [name for name, count in Counter(sample_ids).items() if count > 1]
    if repeated:
        found = f"{len(repeated)} names more than once, first {repeated[0]!r}"
        remedy = (
            "give each sample a name of its own (IIDs that are unique within families only: FID_IID, by"
            " plink2 --update-ids), or keep one row per sample"
        )
        raise DataError("duplicate sample IDs", where=where, found=found, remedy=remedy)
    samples = pl.DataFrame({"sample_id": sample_ids}, schema={"sample_id": pl.String})
    if mapping is not None:
        known = _read_mapping(mapping, left_out or LeftOut())
        samples = samples.join(known, on="sample_id", how="left", maintain_order="left")
        _check_hits(samples, known, mapping)
    else:
        is_digits = pl.col("sample_id").str.contains(r"^\d+$")
        number = pl.col("sample_id").cast(pl.Int64, strict=False)
        samples = samples.with_columns(pl.when(is_digits).then(number).alias("subject_id"))
    _check_subjects(samples, mapping or where)
    is_unknown = samples["subject_id"].is_null()
    if is_unknown.any():
        why = "not in --samples" if mapping else "names that are no whole numbers below 2**63"
        say(
            f"genome: {is_unknown.sum()} of {len(sample_ids)} samples have no subject_id ({why}, first row"
            f" {(is_unknown.arg_max() or 0) + 1}); they get negative numbers that join to no record"
            f"{'' if mapping else '; name their subjects with --samples'}"
        )
    negative = pl.Series(-1 - np.arange(len(sample_ids)))
    samples = samples.with_columns(pl.col("subject_id").fill_null(negative))
    return SAMPLES.check(samples, mapping or where)


def _check_hits(samples: pl.DataFrame, known: pl.DataFrame, mapping: Path) -> None:
    """Refuse a mapping of other samples.

    Raises:
        DataError: No sample is in it.
    """
    if samples.height and samples["subject_id"].null_count() == samples.height:
        found = f"{known.height} names" + (f", first {known['sample_id'][0]!r}" if known.height else "")
        raise DataError(
            "no sample is in the table of samples",
            where=mapping,
            found=found,
            expected=f"names such as {samples['sample_id'][0]!r}",
            remedy="write sample_id as the genotypes or scores do; upper and lower case differ",
        )


def _check_subjects(samples: pl.DataFrame, where: object) -> None:
    known = samples.drop_nulls("subject_id")
    twice = known.filter(pl.col("subject_id").is_duplicated()).sort("subject_id", maintain_order=True)
    if twice.height:
        names = " and ".join(map(repr, twice["sample_id"].head(2)))
        raise DataError(
            "two samples of one subject",
            where=where,
            found=f"samples {names} with subject_id = {twice['subject_id'][0]}",
            expected="each subject once",
            remedy="leave one of them out with --keep, or mend --samples",
        )


def _read_mapping(path: Path, left_out: LeftOut) -> pl.DataFrame:
    """``sample_id, subject_id`` of every usable row, each sample once."""
    remedy = "give a table with the columns sample_id and subject_id (an integer of 0 or more)"
    try:
        header, lines, rows = read_people(path)
    except READ_ERRORS as error:
        raise DataError("unreadable table of samples", where=path, found=error, remedy=remedy) from None
    if not header:
        raise DataError("unreadable table of samples", where=path, found="an empty file", remedy=remedy)
    if not {"sample_id", "subject_id"} <= set(header):
        raise DataError("missing column", where=path, found=" ".join(header[:12]), remedy=remedy)
    at = [header.index("sample_id"), header.index("subject_id")]
    cells = [[row[place] if place < len(row) else "" for place in at] for row in rows]
    table = pl.DataFrame(cells, schema={"sample_id": pl.String, "text": pl.String}, orient="row")
    table = table.with_columns(
        subject_id=whole_numbers(table["text"]), line=pl.Series(lines, dtype=pl.Int64)
    ).with_columns(subject_id=pl.when(pl.col("subject_id") >= 0).then("subject_id"))
    _note_unusable(table, path, left_out, remedy)
    table = table.filter(pl.col("sample_id") != "").drop_nulls("subject_id")
    table = table.select("sample_id", "subject_id").unique(maintain_order=True)
    if table["sample_id"].is_duplicated().any():
        repeated = table.filter(pl.col("sample_id").is_duplicated())["sample_id"][0]
        found, remedy = f"two subjects of {repeated!r}", "give each sample once"
        raise DataError("duplicate sample IDs", where=path, found=found, remedy=remedy)
    return table


def _note_unusable(table: pl.DataFrame, path: Path, left_out: LeftOut, remedy: str) -> None:
    """Count the rows without sample or subject, and the repeated ones.

    Raises:
        DataError: No row is usable.
    """
    has_name, no_text = pl.col("sample_id") != "", pl.col("text").is_in(NO_VALUE)
    no_number = table.filter(has_name & ~no_text & pl.col("subject_id").is_null())
    usable = table.filter(has_name & pl.col("subject_id").is_not_null())
    if usable.is_empty() and no_number.height:
        found = f"{no_number['text'][0]!r} for sample {no_number['sample_id'][0]!r}"
        raise DataError("subject_id is no integer", where=path, found=found, remedy=remedy)
    repeated = usable.filter(~pl.struct("sample_id", "subject_id").is_first_distinct())
    for reason, rows in (
        ("no sample_id", table.filter(~has_name)),
        ("no subject_id", table.filter(has_name & no_text)),
        ("subject_id is no integer of 0 or more", no_number),
        ("the same row again", repeated),
    ):
        left_out.add(path, reason, rows.height, f"line {rows['line'][0]}" if rows.height else "")
