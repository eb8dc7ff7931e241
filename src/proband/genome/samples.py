"""Who the genotype samples are: sample names to ``subject_id``."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from proband.core.errors import DataError
from proband.core.progress import say
from proband.core.schema import SAMPLES
from proband.genome.genotypes import Genotypes

_INTEGER = r"^\d{1,18}$"
_KEEP_COLUMNS = 2  # FID and IID


def identify(sample_ids: list[str], mapping: Path | None, where: object) -> pl.DataFrame:
    """Give every sample its ``subject_id``.

    With a mapping its subjects are taken. Else sample names that are all integers are the subjects. A sample
    without subject gets -(row + 1), which joins to no record, and one line says how many did.

    Args:
        sample_ids: Names, in the genotype file's order.
        mapping: Tab-separated file of ``sample_id, subject_id``, or None.
        where: The genotype file, for messages.

    Returns:
        One row per sample in order, of :data:`proband.core.schema.SAMPLES`.

    Raises:
        DataError: A sample name repeats, or two samples are one subject, or the mapping is no such table.
    """
    repeated = [name for name, count in Counter(sample_ids).items() if count > 1]
    if repeated:
        found = f"{len(repeated)} names more than once, first {repeated[0]!r}"
        raise DataError("duplicate sample IDs", where=where, found=found, remedy="keep one row per sample")
    samples = pl.DataFrame({"sample_id": sample_ids}, schema={"sample_id": pl.String})
    if mapping is not None:
        samples = samples.join(_read_mapping(mapping), on="sample_id", how="left", maintain_order="left")
    elif samples["sample_id"].str.contains(_INTEGER).all():
        samples = samples.with_columns(pl.col("sample_id").cast(pl.Int64).alias("subject_id"))
    else:
        samples = samples.with_columns(pl.lit(None, pl.Int64).alias("subject_id"))
    num_unknown = samples["subject_id"].null_count()
    if num_unknown:
        say(
            f"genome: {num_unknown} of {len(sample_ids)} samples have no subject_id (names not all integers,"
            " or not in --samples); they get negative numbers that join to no record"
        )
    negative = pl.Series(-1 - np.arange(len(sample_ids)))
    samples = samples.with_columns(pl.col("subject_id").fill_null(negative))
    return SAMPLES.check(samples, mapping or where)


def keep_samples(genotypes: Genotypes, path: Path) -> Genotypes:
    """The same data set with the listed samples only, in the files' order.

    Args:
        genotypes: All samples.
        path: Names one a line, or ``FID IID``, of which IID counts; lines that begin with ``#`` are skipped.

    Raises:
        DataError: The list is unreadable, empty, or names no sample of the data set.
    """
    names = _read_names(path)
    rows = np.flatnonzero([name in names for name in genotypes.sample_ids]).astype(np.uint32)
    num_absent = len(names) - len({genotypes.sample_ids[row] for row in rows})
    if not len(rows):
        raise DataError(
            "no listed sample is in the genotypes",
            where=path,
            found=f"{len(names)} names, first {next(iter(names))!r}",
            expected=f"names such as {genotypes.sample_ids[0]!r}",
        )
    if num_absent:
        say(f"genome: {num_absent} of {len(names)} samples of {path.name} are not in the genotypes")
    parts = [
        dataclasses.replace(part, subset=rows if part.subset is None else part.subset[rows])
        for part in genotypes.parts
    ]
    kept = [genotypes.sample_ids[row] for row in rows]
    return dataclasses.replace(
        genotypes, parts=tuple(parts), sample_ids=kept, is_male=genotypes.is_male[rows]
    )


def _read_names(path: Path) -> dict[str, None]:
    """The names of a sample list, in order and once each."""
    remedy = "give a text file of one sample name a line, or FID and IID"
    try:
        rows = [line.split() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("unreadable list of samples", where=path, found=error, remedy=remedy) from None
    rows = [
        row for row in rows if row and not row[0].startswith("#") and row not in (["IID"], ["FID", "IID"])
    ]
    wide = next((row for row in rows if len(row) > _KEEP_COLUMNS), None)
    if wide or not rows:
        found = f"{len(wide)} columns" if wide else "no names"
        raise DataError("not a list of samples", where=path, found=found, remedy=remedy)
    return dict.fromkeys(row[-1] for row in rows)


def _read_mapping(path: Path) -> pl.DataFrame:
    remedy = "give a tab-separated file with the columns sample_id and subject_id (an integer of 0 or more)"
    try:
        table = pl.read_csv(path, separator="\t", infer_schema=False, quote_char=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        found = str(error).splitlines()[0]
        raise DataError("unreadable table of samples", where=path, found=found, remedy=remedy) from None
    if not {"sample_id", "subject_id"} <= set(table.columns):
        raise DataError("missing column", where=path, found=" ".join(table.columns), remedy=remedy)
    bad = table.filter(
        ~pl.col("subject_id").str.contains(_INTEGER).fill_null(False) | pl.col("sample_id").is_null()
    )
    if bad.height:
        found = f"{bad['subject_id'][0]!r} for sample {bad['sample_id'][0]!r}"
        raise DataError("subject_id is no integer", where=path, found=found, remedy=remedy)
    if table["sample_id"].is_duplicated().any():
        repeated = table.filter(pl.col("sample_id").is_duplicated())["sample_id"][0]
        raise DataError(
            "duplicate sample IDs", where=path, found=repr(repeated), remedy="give each sample once"
        )
    return table.select("sample_id", pl.col("subject_id").cast(pl.Int64))
