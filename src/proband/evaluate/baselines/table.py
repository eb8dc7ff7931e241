"""A baseline's risks as a RiskTable."""

from __future__ import annotations

import polars as pl
from jaxtyping import Float
from numpy import ndarray

from proband.core.schema import RISK


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
