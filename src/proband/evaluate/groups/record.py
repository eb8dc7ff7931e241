"""Numbers of the record that people are grouped by: its length, visits, deprivation."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from proband.core.files.tables import read_parquet
from proband.core.running.progress import say
from proband.core.units import MICROSECONDS_PER_YEAR
from proband.ehr.cohort import read_shards
from proband.ehr.meds.dataset import CODES

MOMENT = ["subject_id", "prediction_time"]
RECORD_YEARS = "record_years"
DEPRIVATION = "deprivation"
"""Name of the dimension, and the word in the name or description of a code that records it."""


def record_of(moments: pl.DataFrame, meds: Path) -> pl.DataFrame:
    """Length of the record, visits and deprivation at each moment.

    Args:
        moments: subject_id and prediction_time.
        meds: MEDS folder.

    Returns:
        subject_id, prediction_time, record_years, visits (days with events in the year before) and, where it
        is recorded, deprivation: the newest number by then of the code for it, null where there is none.
    """
    described = _described(meds)
    lengths, indices = [], []
    for events, spans in read_shards(meds):
        lengths.append(_length_and_visits(moments, events, spans))
        indices.append(_newest_numbers(moments, events, described))
    found, index = pl.concat(lengths).unique(MOMENT), _most_frequent(pl.concat(indices))
    return found if index is None else found.join(index, on=MOMENT, how="left", maintain_order="left")


def _described(meds: Path) -> list[str]:
    """Codes whose description in the table of codes has the word deprivation; none without descriptions."""
    if not (path := meds / CODES).is_file():
        return []
    codes = read_parquet(path)
    if "description" not in codes.columns:
        return []
    return codes.filter(_has_word("description"))["code"].cast(pl.String).to_list()


def _has_word(name: str) -> pl.Expr:
    """Whether a text has the word deprivation; null is no text."""
    return pl.col(name).cast(pl.String).str.contains(f"(?i){DEPRIVATION}").fill_null(False)


def _length_and_visits(moments: pl.DataFrame, events: pl.DataFrame, spans: pl.DataFrame) -> pl.DataFrame:
    """Years of record and days with events in the year before, at each moment of a shard."""
    time, asked = pl.col("time"), pl.col("prediction_time")
    a_year = pl.duration(microseconds=MICROSECONDS_PER_YEAR, time_unit="us")
    mine = moments.join(spans.select("subject_id", "entry_time"), on="subject_id")
    days = events.lazy().filter(time.is_not_null()).select("subject_id", "time")
    visits = (
        days.join(mine.lazy(), on="subject_id")
        .filter((time <= asked) & (time > asked - a_year))
        .group_by(MOMENT)
        .agg(time.dt.date().n_unique().alias("visits"))
        .collect()
    )
    years = (asked - pl.col("entry_time")).dt.total_microseconds() / MICROSECONDS_PER_YEAR
    joined = mine.join(visits, on=MOMENT, how="left")
    return joined.select(*MOMENT, years.alias(RECORD_YEARS), pl.col("visits").fill_null(0))


def _newest_numbers(moments: pl.DataFrame, events: pl.DataFrame, described: list[str]) -> pl.DataFrame:
    """The newest number of each code of deprivation by each moment of a shard.

    Returns:
        subject_id, prediction_time, code, deprivation.
    """
    numbers = events.filter(pl.col("numeric_value").is_finite())
    recorded = numbers.filter(pl.col("code").is_in(described) | _has_word("code"))
    value = pl.col("numeric_value").cast(pl.Float64).alias(DEPRIVATION)
    known = recorded.select("subject_id", pl.col("code").cast(pl.String), "time", value)
    by_then = moments.join(known, on="subject_id").filter(
        pl.col("time").is_null() | (pl.col("time") <= pl.col("prediction_time"))
    )
    last = pl.col(DEPRIVATION).sort_by("time", nulls_last=False).last()
    return by_then.group_by(*MOMENT, "code").agg(last)


def _most_frequent(numbers: pl.DataFrame) -> pl.DataFrame | None:
    """Numbers of the code that most moments have, the first by name among equals; None where none has any."""
    counts = numbers.group_by("code").len().sort(["len", "code"], descending=[True, False])
    if counts.is_empty():
        return None
    code = counts["code"][0]
    if counts.height > 1:
        others = ", ".join(counts["code"][1:])
        say(f"evaluate: subgroups of deprivation are by {code}, which most people have, not by {others}")
    return numbers.filter(code=code).drop("code")
