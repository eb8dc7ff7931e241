"""Age and sex: smoothed cause-specific rates of train person-time, integrated with death competing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.core.incidence import MONTHS, OLDEST, rates_by_age_and_sex, years_of_age
from proband.evaluate.baselines.table import risk_table

NAME = "age_sex"


@dataclass(frozen=True)
class AgeSexRates:
    """Rates per person-year.

    Attributes:
        outcome: Rate of the outcome by sex (0 male, 1 female) and year of age.
        death: Rate of death before the outcome.
    """

    outcome: Float[np.ndarray, "sexes ages"]
    death: Float[np.ndarray, "sexes ages"]


def fit_rates(
    age_years: Float[np.ndarray, " rows"],
    female: Float[np.ndarray, " rows"],
    time_years: Float[np.ndarray, " rows"],
    event: np.ndarray,
) -> AgeSexRates:
    """Poisson regression of events on age (restricted cubic spline), sex and their interaction.

    Person-time runs from the age at prediction (delayed entry) to the event or the end of follow-up; several
    predictions of a subject repeat time and event alike, which leaves rates as they are. A light ridge keeps
    rates finite where a sex has no event. Beyond the ages seen, the nearest rate is carried on.

    Args:
        age_years: Age at each prediction.
        female: 1 female, 0 male; rows of unknown sex (NaN) are left out.
        time_years: Follow-up from there.
        event: 1 the outcome, 2 death before it, 0 neither.
    """
    leave = age_years + time_years
    return AgeSexRates(*(rates_by_age_and_sex(age_years, leave, female, event == cause) for cause in (1, 2)))


def cumulative_incidence(
    rates: AgeSexRates,
    age_years: Float[np.ndarray, " rows"],
    female: Float[np.ndarray, " rows"],
    horizon_years: float,
) -> Float[np.ndarray, " rows"]:
    """F(h) = ∫₀ʰ λ₁(a+u) exp(−∫₀ᵘ λ₁+λ₂) du, exact for rates constant within each month.

    Args:
        rates: Fitted rates.
        age_years: Age at prediction; rounded to months.
        female: 1, 0, or NaN for unknown (the mean of both sexes' risks).
        horizon_years: The horizon.

    Returns:
        Risks in [0, 1].
    """
    steps = max(1, round(horizon_years * MONTHS))
    width = horizon_years / steps
    months = np.arange(OLDEST * MONTHS)
    table = np.zeros((2, len(months)))
    staying = np.ones_like(table)
    for step in range(steps):
        year = years_of_age(months, step * width)
        outcome, total = rates.outcome[:, year], rates.outcome[:, year] + rates.death[:, year]
        gone = -np.expm1(-total * width)
        share = np.divide(outcome, total, out=np.zeros_like(total), where=total > 0)
        table += staying * gone * share
        staying *= 1 - gone
    month = np.clip((np.nan_to_num(age_years) * MONTHS).astype(int), 0, len(months) - 1)
    chance = np.where(np.isfinite(female), np.nan_to_num(female), 0.5)
    return np.clip((1 - chance) * table[0, month] + chance * table[1, month], 0.0, 1.0)


def age_sex(train: pl.DataFrame, wanted: pl.DataFrame, horizons_years: Sequence[float]) -> pl.DataFrame:
    """The baseline's RiskTable.

    Args:
        train: Train labels with age_years and female, all outcomes; a subject's first prediction counts.
        wanted: Rows to predict, the same columns (what followed is not looked at).
        horizons_years: Horizons.

    Returns:
        A frame of :data:`proband.core.schema.RISK`.
    """
    parts = []
    for outcome in wanted["outcome"].unique(maintain_order=True):
        rows = train.filter(outcome=outcome).sort("subject_id", "prediction_time")
        rows = rows.unique("subject_id", keep="first", maintain_order=True)
        rates = fit_rates(
            _floats(rows, "age_years"),
            _floats(rows, "female"),
            _floats(rows, "time_years"),
            rows["event"].to_numpy(),
        )
        ask = wanted.filter(outcome=outcome)
        age, female = _floats(ask, "age_years"), _floats(ask, "female")
        for horizon in horizons_years:
            risk = cumulative_incidence(rates, age, female, horizon)
            parts.append(risk_table(ask, NAME, horizon, risk))
    return pl.concat(parts)


def _floats(rows: pl.DataFrame, name: str) -> Float[np.ndarray, " rows"]:
    """A column as float64, NaN for null."""
    return rows[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
