"""Predictions made again and again along a record: which of them can be followed to a horizon.

A prediction made later than the horizon before the end of the data brings its early cases and deaths and no
control. Where a subject is predicted once, the follow-up of those who entered early stands for it; where
everybody is predicted until the end, late predictions are of other people: older, and still without the
outcome. They are left out, and each landmark (a subject's first, second, ... prediction) has a censoring
distribution of its own.
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
import polars as pl
from jaxtyping import Bool, Int

from proband.core.units import MICROSECONDS_PER_YEAR
from proband.ehr.labels import DIED
from proband.evaluate.metrics.censoring import (
    HORIZON_TOLERANCE_YEARS,
    LEAST_UNCENSORED_SHARE,
    merged_strata,
    strata,
    uncensored_share,
)


def end_of_data(labels: pl.DataFrame) -> datetime | None:
    """The last day on which anybody is followed, deaths aside, which are known some days longer; None without
    labels."""
    alive = labels.filter(pl.col("event") != DIED)
    labels = labels if alive.is_empty() else alive
    followed = (pl.col("time_years") * MICROSECONDS_PER_YEAR).round().cast(pl.Int64)
    return labels.select((pl.col("prediction_time") + pl.duration(microseconds=followed)).max()).item()


def is_repeated(rows: pl.DataFrame) -> bool:
    """Whether a subject has several prediction times for one outcome."""
    return rows.select("subject_id", "outcome").is_duplicated().any()


def early_enough(rows: pl.DataFrame, horizon_years: float, end: datetime | None) -> Bool[np.ndarray, " rows"]:
    """Which rows can be followed to the horizon; all where every subject is predicted once.

    Their horizon ends within the data, and so does that of others of their landmark: one subject who is
    followed far longer than all others moves the end of the data, and nobody's follow-up. Where no landmark's
    follow-up reaches the horizon all stay, and the risk set has an obstacle.

    Args:
        rows: subject_id, prediction_time, outcome, time_years and event, of one outcome.
        horizon_years: The horizon.
        end: End of the data.
    """
    if end is None or not is_repeated(rows):
        return np.ones(rows.height, dtype=bool)
    ahead = (pl.lit(end) - pl.col("prediction_time")).dt.total_microseconds() / MICROSECONDS_PER_YEAR
    early = rows.select(ahead >= horizon_years - HORIZON_TOLERANCE_YEARS).to_series().to_numpy().copy()
    early[early] = _is_landmark_followed(rows.filter(early), horizon_years)
    return early


def _is_landmark_followed(rows: pl.DataFrame, horizon_years: float) -> Bool[np.ndarray, " rows"]:
    """Whether follow-up from a row's landmark reaches the horizon; all where that of none does."""
    number = landmarks(rows)
    found = np.ones(rows.height, dtype=bool)
    if number is None:
        return found
    time, event = rows["time_years"].to_numpy(), rows["event"].to_numpy()
    for part in strata(number):
        found[part] = uncensored_share(time[part], event[part], horizon_years) >= LEAST_UNCENSORED_SHARE
    return found if found.any() else ~found


def landmarks(rows: pl.DataFrame) -> Int[np.ndarray, " rows"] | None:
    """The number of each prediction among its subject's, from 0; None where every subject is predicted once.

    Landmarks that follow each other share a number where one has too few rows.

    Args:
        rows: subject_id, prediction_time and outcome, of one outcome.
    """
    if not is_repeated(rows):
        return None
    order = pl.col("prediction_time").rank("ordinal").over("subject_id").cast(pl.Int64) - 1
    return merged_strata(rows.select(order).to_series().to_numpy())
