"""Tables that come with genotypes: given components, populations, and who trains."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64

from proband.core.errors import DataError, near_matches
from proband.core.files.tables import as_text, is_parquet, read_parquet
from proband.core.text.texttable import READ_ERRORS, check_names, read_people
from proband.core.text.textvalues import whole_numbers
from proband.genome.names import by_rank, is_subject_name

_OXFORD, _HAIL = "ID_2", "S"
"""Columns of samples of an Oxford .sample file and of Hail, which are no such names elsewhere."""
_POPULATION_COLUMNS = (
    *("SUPERPOP", "SUPER_POP", "SUPERPOPULATION", "SUPERPOPULATION CODE", "ANCESTRY_PRED", "MOSTSIMILARPOP"),
    *("POPULATION", "POPULATION CODE", "POP"),
)
"""Beside the common ones, IGSR's, All of Us's (``ancestry_pred``) and pgsc_calc's (``MostSimilarPop``)."""
_UK_BIOBANK_PC = re.compile(r"(?:PARTICIPANT\.)?(?:P22009_A|22009-0\.|F\.22009\.0\.|N_22009_0_)(\d+)")
_PC_LISTS = "PCA_FEATURES"
"""Column of lists of components in All of Us's ``ancestry_preds.tsv``."""
_NO_POPULATION = ("", "NA", "NAN", "NONE", ".")
_SPLITS_IN_MEDS = Path("metadata") / "subject_splits.parquet"
_TRAIN = "train"


def read_table(path: Path) -> pl.DataFrame:
    """A table of strings from Parquet, or from text separated by tabs, commas or blanks, with a header.

    Names lose a leading ``#`` and are in capitals; the second line of an Oxford .sample file, which gives
    types, is no row, and last columns without name and values are none. Lists of numbers in
    Parquet are joined by commas.

    Raises:
        DataError: The file is unreadable, empty, or a line has more or fewer columns than the header.
    """
    if is_parquet(path):
        frame = read_parquet(path)
        check_names([name.upper() for name in frame.columns], path)
        joined = [_joined_lists(column) for column in frame]
        return pl.DataFrame([as_text(column, path).alias(column.name.upper()) for column in joined])
    try:
        names, lines, rows = read_people(path)
    except READ_ERRORS as error:
        remedy = "give a text table with a header, or Parquet"
        raise DataError("unreadable table", where=path, found=error, remedy=remedy) from None
    if not names:
        raise DataError("empty table", where=path, expected="a header and one row per sample")
    header, rows = _without_empty_last(names, rows)
    header = [name.lstrip("#").upper() for name in header]
    check_names(header, path)
    header = [name or f"COLUMN {number}" for number, name in enumerate(header, 1)]
    if header[0] == "ID_1" and rows and rows[0][0] == "0":
        lines, rows = lines[1:], rows[1:]
    short = next((line for line, row in zip(lines, rows, strict=True) if len(row) != len(header)), None)
    if short:
        raise DataError("uneven table", where=path, found=f"row {short}", expected=f"{len(header)} columns")
    columns = zip(*rows, strict=True) if rows else [()] * len(header)
    return pl.DataFrame(
        [pl.Series(name, list(cells), dtype=pl.String) for name, cells in zip(header, columns, strict=True)]
    )


def _joined_lists(column: pl.Series) -> pl.Series:
    """Lists of numbers as text, null where a number is missing; another column as it is."""
    if not (isinstance(column.dtype, pl.List) and column.dtype.inner.is_numeric()):
        return column
    return column.cast(pl.List(pl.String)).list.join(",", ignore_nulls=False)


def _without_empty_last(header: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """The same without last columns that have neither name nor value, as of tabs at the end of lines."""
    width = max((number for number, name in enumerate(header, 1) if name), default=0)
    if any(any(row[width:]) for row in rows):
        return header, rows
    return header[:width], [row[:width] for row in rows]


def read_pcs(path: Path, samples: pl.DataFrame, num_pcs: int) -> Float64[np.ndarray, "samples pcs"]:
    """Given components of every sample, in the samples' order.

    Args:
        path: Table of ``subject_id`` or a sample name (:mod:`proband.genome.names`) and PC1, PC2, ...; or of
            UK Biobank's field 22009; or of lists in ``pca_features``, as All of Us gives them.
        samples: ``subject_id, sample_id``.
        num_pcs: Components wanted.

    Raises:
        DataError: A column or a sample is missing, a sample comes twice, or a value is no finite number.
    """
    table = _with_components(read_table(path))
    by_subject = "SUBJECT_ID" in table.columns
    key = "SUBJECT_ID" if by_subject else _sample_column(table, path)
    wanted = [f"PC{number + 1}" for number in range(num_pcs)]
    absent = [name for name in wanted if name not in table.columns]
    if absent:
        found = f"{num_pcs - len(absent)} of {num_pcs}, first missing {absent[0]}"
        raise DataError(
            "missing components", where=path, found=found, remedy="lower --num-pcs, or give a table with more"
        )
    names = samples["subject_id"].cast(pl.String) if by_subject else samples["sample_id"]
    if by_subject:
        number = whole_numbers(table[key]).cast(pl.String)
        table = table.with_columns(pl.coalesce(number, key).alias(key))
    joined = _joined(table, key, names, wanted, path)
    values = joined.select(pl.col(wanted).cast(pl.Float64, strict=False)).fill_null(float("nan")).to_numpy()
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        found = f"{len(wrong)} samples with one, first {names[int(wrong[0])]!r}"
        raise DataError("component is no number", where=path, found=found, expected="finite numbers")
    return np.ascontiguousarray(values)


def _with_components(table: pl.DataFrame) -> pl.DataFrame:
    """The table with its components in columns PC1, PC2, ..."""
    places = {name: _UK_BIOBANK_PC.fullmatch(name) for name in table.columns}
    table = table.rename({name: f"PC{place.group(1)}" for name, place in places.items() if place})
    if "PC1" in table.columns or _PC_LISTS not in table.columns:
        return table
    lists = table[_PC_LISTS].str.strip_chars("[]() ").str.split(",")
    number = int(lists.list.len().fill_null(0).max() or 0)  # type: ignore[arg-type]
    values = [lists.list.get(place, null_on_oob=True).str.strip_chars() for place in range(number)]
    return table.with_columns(column.alias(f"PC{place}") for place, column in enumerate(values, 1))


def _sample_column(table: pl.DataFrame, path: Path) -> str:
    """The column of samples, plink's ``IID`` first; ``ID_2`` is the one of an Oxford .sample file."""
    named = [name for name in by_rank(table.columns) if not is_subject_name(name)]
    special = [name for name in (_OXFORD, _HAIL) if name in table.columns]
    if not named and not special:
        expected = "a column of sample names: IID, sample_id, eid, research_id, ID_2 or the like"
        raise DataError("missing column", where=path, found=" ".join(table.columns[:12]), expected=expected)
    return _OXFORD if _OXFORD in special else [*named, *special][0]


def _joined(table: pl.DataFrame, key: str, names: pl.Series, columns: list[str], path: Path) -> pl.DataFrame:
    """The table's rows of ``names``, in their order."""
    if table[key].is_duplicated().any():
        repeated = table.filter(pl.col(key).is_duplicated())[key][0]
        raise DataError("sample twice", where=path, found=repr(repeated), expected="each sample once")
    absent = names.filter(~names.is_in(table[key].implode()))
    if len(absent):
        found = f"{len(absent)} of {len(names)} samples missing, first {absent[0]!r}"
        remedy = "add them, or leave them out of the genotypes with --keep"
        raise DataError("samples without a row", where=path, found=found, remedy=remedy)
    wanted = pl.DataFrame({key: names})
    return wanted.join(table.select(key, *columns), on=key, how="left", maintain_order="left")


def read_populations(path: Path, sample_ids: list[str], column: str | None) -> list[str | None]:
    """Population label of each sample; None where the table has none or no such sample.

    Args:
        path: A .psam, an Oxford .sample file or another table with a column of sample names.
        sample_ids: Samples wanted.
        column: Column of labels; None for the first known name.

    Raises:
        DataError: There is no such column, a sample comes twice, or no sample has a label.
    """
    table = read_table(path)
    key = _sample_column(table, path)
    wanted = [column.upper()] if column else list(_POPULATION_COLUMNS)
    label = next((name for name in wanted if name in table.columns), None)
    if label is None:
        remedy = near_matches(wanted[0], table.columns) or "name it with --population-column"
        found = " ".join(table.columns[:12])
        raise DataError(
            "missing column of populations",
            where=path,
            found=found,
            expected=", ".join(wanted),
            remedy=remedy,
        )
    known = table.filter(pl.col(key).is_in(sample_ids))
    known = known.filter(~pl.col(label).str.to_uppercase().is_in(_NO_POPULATION).fill_null(True))
    if known.is_empty() or known[key].is_duplicated().any():
        repeated = known.filter(pl.col(key).is_duplicated())
        found = f"{repeated[key][0]!r} twice" if repeated.height else f"none of {len(sample_ids)} samples"
        raise DataError("unusable populations", where=path, found=found, expected="one label per sample")
    label_of = dict(known.select(key, label).iter_rows())
    return [label_of.get(name) for name in sample_ids]


def train_samples(splits: Path | None, samples: pl.DataFrame) -> Bool[np.ndarray, " samples"]:
    """Which samples may be fitted: the subjects of the split train; all of them without splits.

    Args:
        splits: A MEDS folder or its subject_splits.parquet.
        samples: ``subject_id, sample_id``.

    Raises:
        DataError: The table is missing or not of splits, or no sample is a train subject.
    """
    if splits is None:
        return np.ones(samples.height, bool)
    path = splits / _SPLITS_IN_MEDS if splits.is_dir() else splits
    table = read_parquet(path)
    if not {"subject_id", "split"} <= set(table.columns):
        expected = "subject_id, split"
        raise DataError("missing column", where=path, found=" ".join(table.columns), expected=expected)
    train = table.filter(pl.col("split") == _TRAIN)["subject_id"]
    chosen = samples["subject_id"].is_in(train.implode()).to_numpy()
    if not chosen.any():
        found = f"none of {samples.height} samples among {len(train)} train subjects"
        remedy = "name the samples' subjects with --samples, or give the splits of these subjects"
        raise DataError("no train subject is genotyped", where=path, found=found, remedy=remedy)
    return chosen
