"""Age and sex: smoothed cause-specific rates of train person-time, integrated with death competing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.evaluate.baselines.table import risk_table
from proband.evaluate.calibration import KNOT_QUANTILES, spline_basis

NAME = "age_sex"
OLDEST = 120
"""Ages are in one-year bands from 0 to OLDEST."""

_MONTHS = 12
_RIDGE = 0.1
_NEWTON_STEPS = 100
_AGE_SCALE = 10.0
_LOWEST_RATE = 1e-12


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
    usable = np.isfinite(female) & np.isfinite(age_years)
    age, sex = np.clip(age_years[usable], 0, OLDEST), female[usable].astype(int)
    leave = np.minimum(age + time_years[usable], OLDEST - 1e-9)
    exposure = np.stack([_person_years(age[sex == code], leave[sex == code]) for code in (0, 1)])
    found = []
    for cause in (1, 2):
        count = np.zeros_like(exposure)
        happened = event[usable] == cause
        np.add.at(count, (sex[happened], leave[happened].astype(int)), 1)
        found.append(_smooth(count, exposure))
    return AgeSexRates(*found)


def _person_years(
    age: Float[np.ndarray, " rows"], leave: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " ages"]:
    """Person-years lived in each year of age: differences of Σ min(x, leave) − min(x, entry)."""
    edges = np.arange(OLDEST + 1.0)

    def lived_before(times: Float[np.ndarray, " rows"]) -> np.ndarray:
        ordered = np.sort(times)
        below = np.searchsorted(ordered, edges)
        sums = np.concatenate([[0.0], np.cumsum(ordered)])
        return sums[below] + edges * (len(ordered) - below)

    return np.maximum(np.diff(lived_before(leave) - lived_before(age)), 0.0)


def _smooth(
    count: Float[np.ndarray, "sexes ages"], exposure: Float[np.ndarray, "sexes ages"]
) -> Float[np.ndarray, "sexes ages"]:
    """Rates of a penalised Poisson regression; zero everywhere when there is no event."""
    lived = exposure.sum(axis=0)
    if count.sum() == 0 or lived.sum() == 0:
        return np.zeros_like(exposure)
    middle = (np.arange(OLDEST) + 0.5) / _AGE_SCALE
    share = np.cumsum(lived) / lived.sum()
    knots = np.unique(middle[np.searchsorted(share, KNOT_QUANTILES)])
    seen = np.flatnonzero(lived > 0)
    basis = spline_basis(middle[np.clip(np.arange(OLDEST), seen[0], seen[-1])], knots)
    centre = (lived @ basis[:, 1:]) / lived.sum()
    basis[:, 1:] -= centre
    design = np.concatenate([np.hstack([basis, side * basis]) for side in (-0.5, 0.5)])
    beta = _fit_poisson(design, count.ravel(), exposure.ravel())
    return np.maximum(np.exp(design @ beta), _LOWEST_RATE).reshape(exposure.shape)


def _fit_poisson(
    design: Float[np.ndarray, "cells features"],
    count: Float[np.ndarray, " cells"],
    exposure: Float[np.ndarray, " cells"],
) -> Float[np.ndarray, " features"]:
    """Newton's method with step halving; the overall level (first column) is not penalised."""
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[0] = 0.0
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(count.sum() / exposure.sum())

    def loss(at: np.ndarray) -> float:
        log_rate = np.minimum(design @ at, 50.0)
        return float(exposure @ np.exp(log_rate) - count @ log_rate + 0.5 * penalty @ at**2)

    now = loss(beta)
    for _ in range(_NEWTON_STEPS):
        expected = exposure * np.exp(np.minimum(design @ beta, 50.0))
        gradient = design.T @ (count - expected) - penalty * beta
        step = np.linalg.solve((design.T * expected) @ design + np.diag(penalty + 1e-9), gradient)
        while loss(beta + step) > now + 1e-12 and np.abs(step).max() > 1e-10:
            step = step / 2
        beta, now = beta + step, loss(beta + step)
        if np.abs(step).max() < 1e-8:
            break
    return beta


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
    steps = max(1, round(horizon_years * _MONTHS))
    width = horizon_years / steps
    months = np.arange(OLDEST * _MONTHS)
    table = np.zeros((2, len(months)))
    staying = np.ones_like(table)
    for step in range(steps):
        year = np.minimum(((months + 0.5) / _MONTHS + step * width).astype(int), OLDEST - 1)
        outcome, total = rates.outcome[:, year], rates.outcome[:, year] + rates.death[:, year]
        gone = -np.expm1(-total * width)
        share = np.divide(outcome, total, out=np.zeros_like(total), where=total > 0)
        table += staying * gone * share
        staying *= 1 - gone
    month = np.clip((np.nan_to_num(age_years) * _MONTHS).astype(int), 0, len(months) - 1)
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
