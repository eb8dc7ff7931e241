"""The answer of simulated futures to a task: in which the label comes, of those that hold what it asks."""

from __future__ import annotations

import polars as pl
from task import Question, Window

from proband.ehr.aces.cohort import count

AFTER = "after"
"""Microseconds after the prediction time."""


def answers(paths: pl.DataFrame, events: pl.DataFrame, question: Question) -> pl.DataFrame:
    """What each future says.

    A future that was cut before the answer counts with one half, or with 1 once the label has come.

    Args:
        paths: Of schema.TRAJECTORIES; ``end`` budget is a future that was cut.
        events: What was drawn: subject_id, time, code, numeric_value, after the prediction time.
        question: The task.

    Returns:
        ``paths`` with ``value`` (0, 0.5 or 1; null where a window does not hold what it asks) and
        ``is_open`` (whether something was not seen to its end).
    """
    died = pl.col("end") == "death"
    ended = (pl.col("end_time") - pl.col("prediction_time")).dt.total_microseconds()
    known = paths.with_columns(
        seen=pl.when(pl.col("end") == "budget").then(ended), died=pl.when(died).then(ended)
    )
    counts = count(events, question.aces).join(known.select("subject_id", "prediction_time"), on="subject_id")
    counts = counts.with_columns(
        (pl.col("time") - pl.col("prediction_time")).dt.total_microseconds().alias(AFTER)
    )
    label = question.aces.label
    target = _in_window(known, counts, question.target)
    fails, is_open = pl.lit(False), ~pl.col("is_over")
    target = target.with_columns(hit=pl.col(label) > 0, target_over=pl.col("is_over"))
    found = target.select("subject_id", "hit", "target_over", fails=fails, is_open=is_open)
    for window in question.criteria:
        held = _held(_in_window(known, counts, window), window)
        found = found.join(held, on="subject_id", how="left", maintain_order="left").select(
            "subject_id",
            "hit",
            "target_over",
            fails=pl.col("fails") | pl.col("fails_here"),
            is_open=pl.col("is_open") | pl.col("open_here"),
        )
    found = known.join(found, on="subject_id", how="left", maintain_order="left")
    if question.alive_at is not None:
        found = found.with_columns(
            fails=pl.col("fails") | (pl.col("died") <= question.alive_at).fill_null(False),
            is_open=pl.col("is_open") | (pl.col("seen") <= question.alive_at).fill_null(False),
        )
    value = pl.when("hit").then(1.0).when("target_over").then(0.0).otherwise(0.5)
    return found.select(
        *paths.columns,
        value=pl.when(~pl.col("fails")).then(value),
        is_open=pl.col("is_open") & ~pl.col("fails"),
    )


def _in_window(known: pl.DataFrame, counts: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Of each future the number of each predicate in a window, and whether it was seen to its end."""
    after = pl.col(AFTER)
    begun = counts.filter(after >= window.start if window.start_inclusive else after > window.start)
    ends = known.select("subject_id", "seen", "died")
    if window.closing:
        closing = begun.filter((pl.col(window.closing) > 0) & (after > window.start))
        ends = ends.join(closing.group_by("subject_id").agg(until=after.min()), on="subject_id", how="left")
    else:
        ends = ends.with_columns(until=pl.lit(window.end, pl.Int64))
    within = after <= pl.col("until") if window.end_inclusive else after < pl.col("until")
    inside = begun.join(ends.select("subject_id", "until"), on="subject_id").filter(
        within | pl.col("until").is_null()
    )
    names = [name for name in counts.columns if name not in ("subject_id", "time", "prediction_time", AFTER)]
    sums = inside.group_by("subject_id").agg(pl.col(name).sum() for name in names)
    # More may follow at the time of the last event before a cut.
    is_over = pl.col("until").is_not_null() & (pl.col("seen") > pl.col("until")).fill_null(True)
    return (
        ends.join(sums, on="subject_id", how="left")
        .with_columns(pl.col(name).fill_null(0) for name in names)
        .with_columns(is_over=is_over)
    )


def _held(frame: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Whether a window holds what it asks; one whose closing event never comes does not."""
    fails = pl.col("until").is_null() & pl.col("died").is_not_null()
    for name, (least, most) in window.has.items():
        fails = fails | (pl.col("is_over") & (pl.col(name) < (least or 0)))
        if most is not None:
            fails = fails | (pl.col(name) > most)
    return frame.select("subject_id", fails_here=fails, open_here=~pl.col("is_over"))
