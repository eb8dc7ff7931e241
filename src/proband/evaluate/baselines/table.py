"""Between tables and arrays: rows that a baseline is fitted on, and its risks as a RiskTable."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Bool, Float
from numpy import ndarray

from proband.core.schema import RISK
from proband.evaluate.metrics.censoring import CASE, CENSORED, censoring_weights, horizon_status
from proband.evaluate.selection.landmarks import early_enough, end_of_data, landmarks

LEAST_TRAIN_CASES = 10
"""A regression for an outcome and horizon with fewer train cases is not fitted."""
_LOWEST_CHANCE = 1e-12


def log_loss(
    risk: Float[ndarray, " rows"], case: Bool[ndarray, " rows"], weights: Float[ndarray, " rows"]
) -> float:
    """Weighted log loss of risks in nats, summed over rows; a chance below 1e-12 counts as that.

    >>> round(log_loss(np.array([0.5, 0.2]), np.array([True, False]), np.array([1.0, 2.0])), 4)
    1.1394
    """
    return -float(weights @ np.log(np.maximum(np.where(case, risk, 1 - risk), _LOWEST_CHANCE)))


def risk_table(
    rows: pl.DataFrame, model: str, horizon_years: float, risk: Float[ndarray, " rows"]
) -> pl.DataFrame:
    """Risks in closed form: no Monte-Carlo error, nothing unresolved.

    Args:
        rows: subject_id, prediction_time and outcome of each risk.
        model: Name of the baseline.
        horizon_years: The horizon.
        risk: Risks in [0, 1].

    Returns:
        A frame of :data:`proband.core.schema.RISK`.
    """
    return rows.select(
        "subject_id",
        "prediction_time",
        "outcome",
        pl.lit(float(horizon_years)).alias("horizon_years"),
        pl.lit(model).alias("model"),
        pl.Series("risk", risk, dtype=pl.Float64),
        pl.lit(0.0).alias("standard_error"),
        pl.lit(0.0).alias("unresolved"),
    ).select(*RISK.columns)


def floats(rows: pl.DataFrame, name: str) -> Float[ndarray, " rows"]:
    """A column as float64, NaN for null."""
    return rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()


def known_rows(
    rows: pl.DataFrame, horizon_years: float
) -> tuple[Bool[ndarray, " rows"], Bool[ndarray, " known"], Float[ndarray, " known"]]:
    """Which rows' status at the horizon is known, which of those are cases, and their censoring weights.

    Of predictions made again and again, those later than the horizon before the end of the data are no known
    rows, and each landmark has weights of its own, see :mod:`proband.evaluate.selection.landmarks`.

    Args:
        rows: Labels of one outcome.
        horizon_years: The horizon.
    """
    time, event = rows["time_years"].to_numpy(), rows["event"].to_numpy()
    early = early_enough(rows, horizon_years, end_of_data(rows))
    status = horizon_status(time, event, horizon_years)
    known = (status != CENSORED) & early
    usable = rows.filter(early)
    ones = np.ones((1, usable.height))
    weights = np.zeros(rows.height)
    weights[early] = censoring_weights(time[early], event[early], horizon_years, ones, landmarks(usable))[0]
    return known, status[known] == CASE, weights[known]
