"""Which triggers make a row of an ACES configuration, and its label, by counts of events in windows.

A predicate of codes counts rows, one of other predicates time stamps at which it holds, ``_ANY_EVENT`` time
stamps. Events without a time are not read.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import polars as pl

from proband.core.schema import TIME
from proband.ehr.aces.config import ANY_EVENT, Aces, Predicate, Span

ROWS = pl.Schema(
    {"subject_id": pl.Int64(), "prediction_time": pl.Datetime("us"), "boolean_value": pl.Boolean()}
)
"""Columns of a row, those of the MEDS label schema."""


def cohort(events: pl.DataFrame, aces: Aces) -> pl.DataFrame:
    """The rows of whole subjects.

    Args:
        events: Columns subject_id, time, code, numeric_value.
        aces: The configuration.

    Returns:
        A frame of :data:`ROWS`, sorted: each trigger for which every window has the numbers wanted, and any
        event where it is open to an end of the record, at its prediction time; true where the label predicate
        comes in the target window.
    """
    counts = count(events, aces)
    rows = counts.filter(pl.col(aces.trigger) > 0).select("subject_id", "time")
    sums = counts.select("subject_id", "time", pl.exclude("subject_id", "time").cum_sum().over("subject_id"))
    for span in aces.spans:
        if span.start is None or span.end is None:  # ACES gives no row for an open window without events
            closed = replace(span, start_inclusive=True, end_inclusive=True)
            rows = rows.filter(within(rows, sums, closed, ANY_EVENT) > 0)
        for name, (least, largest) in span.has.items():
            number = within(rows, sums, span, name)
            kept = number >= (least or 0)
            rows = rows.filter(kept if largest is None else kept & (number <= largest))
    label = within(rows, sums, aces.target, aces.label) > 0
    at = (pl.col("time") + pl.duration(microseconds=aces.index)).cast(TIME).alias("prediction_time")
    found = rows.select("subject_id", at).with_columns(label.alias("boolean_value"))
    return found.cast(ROWS)


def count(events: pl.DataFrame, aces: Aces) -> pl.DataFrame:
    """How often each predicate holds at each time stamp, sorted by subject_id and time."""
    plain = {name: one for name, one in aces.predicates.items() if one.code is not None}
    counts = (
        events.filter(pl.col("time").is_not_null())
        .group_by("subject_id", "time")
        .agg(_matches(one).sum().cast(pl.Int64).alias(name) for name, one in plain.items())
        .sort("subject_id", "time")
        .with_columns(pl.lit(1, pl.Int64).alias(ANY_EVENT))
    )
    for name, one in aces.predicates.items():
        combines, parts = one.combined
        if combines:
            holds = [pl.col(part) > 0 for part in parts]
            both = pl.all_horizontal(holds) if combines == "and" else pl.any_horizontal(holds)
            counts = counts.with_columns(both.cast(pl.Int64).alias(name))
    return counts


def _matches(predicate: Predicate) -> pl.Expr:
    code, value = pl.col("code"), pl.col("numeric_value")
    conditions = [
        code.is_in(list(predicate.codes)) if predicate.regex is None else code.str.contains(predicate.regex)
    ]
    if predicate.value_min is not None:
        least = predicate.value_min
        conditions.append(value >= least if predicate.value_min_inclusive else value > least)
    if predicate.value_max is not None:
        most = predicate.value_max
        conditions.append(value <= most if predicate.value_max_inclusive else value < most)
    return reduce(lambda a, b: a & b, conditions).fill_null(False)


def within(rows: pl.DataFrame, sums: pl.DataFrame, span: Span, name: str) -> pl.Series:
    """How often a predicate holds in a window of each row.

    Args:
        rows: subject_id and time of triggers, sorted.
        sums: Cumulative numbers of each predicate by subject, sorted.
        span: The window.
        name: The predicate.
    """
    if span.end is None:
        last = sums.group_by("subject_id").agg(pl.col(name).last())
        until = rows.join(last, on="subject_id", how="left", maintain_order="left")[name]
    else:
        until = _up_to(rows, sums, name, span.end, span.end_inclusive)
    if span.start is None:
        return until
    before = _up_to(rows, sums, name, span.start, not span.start_inclusive)
    return (until - before).clip(0)  # a window of no length without either end


def _up_to(rows: pl.DataFrame, sums: pl.DataFrame, name: str, offset: int, inclusive: bool) -> pl.Series:
    """Number up to a time after the trigger, that time itself counted or not."""
    asked = rows.with_columns((pl.col("time") + pl.duration(microseconds=offset)).cast(TIME).alias("bound"))
    found = asked.sort("bound").join_asof(
        sums.select("subject_id", pl.col("time").alias("bound"), name).sort("bound"),
        on="bound",
        by="subject_id",
        strategy="backward",
        allow_exact_matches=inclusive,
        check_sortedness=False,  # within a subject it cannot be checked
    )
    return found.sort("subject_id", "time")[name].fill_null(0)
