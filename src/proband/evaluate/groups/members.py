"""Which subgroups people belong to: sex, age, ancestry, what the record tells, columns given."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import polars as pl

from proband.core.errors import DataError, first_names
from proband.core.files.tables import is_row_number, read_parquet
from proband.core.running.progress import say
from proband.core.schema import ANCESTRY, scores_file
from proband.core.text.texttable import check_names, open_table
from proband.core.text.textvalues import MISSING, whole_numbers
from proband.evaluate.groups.distance import DISTANCE_COLUMN
from proband.evaluate.groups.record import DEPRIVATION, MOMENT, record_of

AGES = (40, 55, 70)
"""Edges of the age bands, in years."""
MOST_LEVELS = 20
UNCERTAIN = "uncertain"
_THIRDS = ("lowest third", "middle third", "highest third")


def members_of(
    rows: pl.DataFrame,
    meds: Path,
    genome: Path | None = None,
    own: Path | None = None,
    distance: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """The subgroup of every prediction in every dimension, as text; null where it is not known.

    Args:
        rows: Labels of the judged split with age_years and female.
        meds: MEDS folder.
        genome: Genome folder: adds ``genotyped`` and ``ancestry`` (the most similar population, ``uncertain``
            at low confidence).
        own: Table of subgroups of one's own, see :func:`read_own`.
        distance: As :func:`~proband.evaluate.groups.distance.genetic_distance` gives it: adds
            ``genetic_distance``, its thirds.

    Returns:
        subject_id, prediction_time, sex, age, thirds of what the record tells (see
        :func:`~proband.evaluate.groups.record.record_of`), and the above; one row per subject and prediction
        time. Race is no dimension: recorded race is neither ancestry nor a cause, and ancestry is told by
        the genome.
    """
    moments = rows.select(*MOMENT, "age_years", "female").unique(MOMENT, keep="first", maintain_order=True)
    sex = pl.col("female").replace_strict({1.0: "female", 0.0: "male"}, default=None)
    found = moments.select(*MOMENT, sex=sex, age=age_band("age_years"))
    record = record_of(moments.select(MOMENT), meds)
    found = found.join(record, on=MOMENT, how="left", maintain_order="left")
    found = found.with_columns(thirds(name) for name in record.columns if name not in MOMENT)
    if genome is not None:
        found = found.join(_genetic(genome), on="subject_id", how="left", maintain_order="left")
        found = found.with_columns(pl.col("genotyped").fill_null("no"))
    if distance is not None:
        column = distance.rename({DISTANCE_COLUMN: "genetic_distance"})
        found = found.join(column, on="subject_id", how="left", maintain_order="left")
        found = found.with_columns(thirds("genetic_distance"))
    if own is None:
        return found
    table = read_own(own, [name for name in found.columns if name != DEPRIVATION])
    if DEPRIVATION in table.columns:  # bands of one's own, of what the record tells too
        found = found.drop(DEPRIVATION, strict=False)
    if found.join(table, on="subject_id", how="semi").is_empty():
        raise DataError(
            "nobody who is judged is in the table of subgroups", where=own,
            found=f"its subjects {table['subject_id'].head(3).to_list()}, "
            f"judged {found['subject_id'].head(3).to_list()}",
            remedy="its column subject_id must hold the subjects of the events",
        )  # fmt: skip
    found = found.join(table, on="subject_id", how="left", maintain_order="left")
    _say_empty(table, found, own)
    return found


def _say_empty(table: pl.DataFrame, found: pl.DataFrame, path: Path) -> None:
    """Say which subgroups of one's own have nobody who is judged."""
    empty = []
    for name in table.columns[1:]:
        absent = set(table[name].drop_nulls()) - set(found[name].drop_nulls())
        empty += [f"{name} {level}" for level in sorted(absent)]
    if empty:
        say(f"evaluate: nobody who is judged is in these subgroups of {path}: {first_names(empty)}")


def _age_names() -> list[str]:
    between = [f"{low} to {high - 1}" for low, high in itertools.pairwise(AGES)]
    return [f"under {AGES[0]}", *between, f"{AGES[-1]} and over"]


def in_order(levels: Iterable[str]) -> list[str]:
    """Subgroups of one dimension as a reader expects them: bands and thirds from low to high, others by the
    first number in their name, then by name.

    >>> in_order(["70 and over", "40 to 54", "under 40"])
    ['under 40', '40 to 54', '70 and over']
    >>> in_order(["10 or more", "3 to 9", "none", "highest third", "lowest third"])
    ['lowest third', 'highest third', '3 to 9', '10 or more', 'none']
    """
    known = {name: place for place, name in enumerate([*_age_names(), *_THIRDS])}

    def place(level: str) -> tuple[int, float, str]:
        number = re.search(r"\d+", level)
        return known.get(level, len(known)), float(number[0]) if number else math.inf, level

    return sorted(levels, key=place)


def age_band(name: str) -> pl.Expr:
    """Ages in years as bands, text."""
    edges = [float(edge) for edge in AGES]
    return pl.col(name).cut(edges, labels=_age_names(), left_closed=True).cast(pl.String)


def thirds(name: str) -> pl.Expr:
    """A number as lowest, middle or highest third; ties stay together, so the thirds may be uneven."""
    value = pl.col(name)
    low, high = value.quantile(1 / 3), value.quantile(2 / 3)
    third = pl.when(value <= low).then(pl.lit(_THIRDS[0])).when(value <= high).then(pl.lit(_THIRDS[1]))
    return pl.when(value.is_not_null()).then(third.otherwise(pl.lit(_THIRDS[2]))).alias(name)


def _genetic(genome: Path) -> pl.DataFrame:
    """subject_id, genotyped, and ancestry where the folder has it."""
    # The subjects alone: all scores of a large cohort are gigabytes, which evaluate has read already.
    found = read_parquet(scores_file(genome), ["subject_id"]).with_columns(genotyped=pl.lit("yes"))
    if (path := genome / "ancestry.parquet").is_file():
        named = pl.when("low_confidence").then(pl.lit(UNCERTAIN)).otherwise("most_similar_population")
        found = found.join(
            ANCESTRY.read(path).select("subject_id", ancestry=named), on="subject_id", how="left"
        )
    return found


def read_own(path: Path, taken: list[str]) -> pl.DataFrame:
    """A table of subgroups: a column subject_id, and one or more columns of names, at most 20 in each.

    A name that stands for none (NA, nan, null and the like) is null; row numbers are left out.

    Args:
        path: Text (comma, tab or blanks, plain or gzip).
        taken: Names that its columns must not have.

    Raises:
        DataError: It is unusable, a subject stands twice, a name is taken, or there are too many names.
    """

    def wrong(what: str) -> Callable[[str], DataError]:
        return lambda found: DataError(
            what, where=path, found=found, expected="subject_id and names of subgroups"
        )

    _, table = open_table(
        path,
        "##",
        wrong("unreadable table of subgroups"),
        lambda: wrong("empty table of subgroups")("no line"),
    )
    check_names(table.columns, path)
    table = replace(table, no_value=MISSING)
    names = [name for name in table.columns if name != "subject_id" and not is_row_number(name)]
    if "subject_id" not in table.columns or not names:
        raise wrong("columns missing from a table of subgroups")(", ".join(table.columns))
    if reserved := [name for name in names if name in taken]:
        raise DataError(
            "name of a subgroup is taken", where=path, found=reserved[0], remedy="rename the column"
        )
    frame = table.read(["subject_id", *names], {})
    frame = frame.with_columns(whole_numbers(frame["subject_id"]).alias("subject_id"))
    if unknown := frame["subject_id"].null_count():
        say(f"evaluate: {unknown:,} rows of {path} have no whole number as subject_id and are passed over")
    frame = frame.filter(pl.col("subject_id").is_not_null())
    if frame["subject_id"].is_duplicated().any():
        twice = frame.filter(pl.col("subject_id").is_duplicated())["subject_id"][0]
        raise DataError(
            "subject with two subgroups", where=path, found=f"subject_id = {twice}", remedy="keep one row"
        )
    for name in names:
        if (number := frame[name].drop_nulls().n_unique()) > MOST_LEVELS:
            raise DataError(
                "too many subgroups", where=f"{path}, column {name}", found=number,
                expected=f"at most {MOST_LEVELS}", remedy="group the values into bands",
            )  # fmt: skip
    return frame.select("subject_id", *names)
