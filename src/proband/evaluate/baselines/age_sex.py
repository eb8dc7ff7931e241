"""Age and sex: smoothed cause-specific rates of train person-time, integrated with death competing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.core.running.progress import say
from proband.core.statistics.incidence import MONTHS, OLDEST, rates_by_age_and_sex, years_of_age
from proband.evaluate.baselines.table import floats, risk_table

NAME, NAME_WITHOUT_SEX = "age_sex", "age"
LEAST_WITH_SEX = 0.5
"""Share of train rows whose sex is known, from which on rates are by sex: by few people they would be noise.
Rounded choice of ours."""


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
    gap_years: float = 0.0,
) -> AgeSexRates:
    """Poisson regression of events on age (restricted cubic spline), sex and their interaction.

    Person-time runs from the age at prediction (delayed entry), or from the end of the blanking gap after it,
    to the event or the end of follow-up; several predictions of a subject repeat time and event alike, which
    leaves rates as they are. A light ridge keeps rates finite where a sex has no event. Beyond the ages seen,
    the nearest rate is carried on. Where the sex of most is not known the rates are by age alone, for both
    sexes.

    Args:
        age_years: Age at each prediction.
        female: 1 female, 0 male; rows of unknown sex (NaN) are left out, if they are fewer than half.
        time_years: Follow-up from there.
        event: 1 the outcome, 2 death before it, 0 neither.
        gap_years: The task's blanking gap: nobody in the rows had the outcome within it.
    """
    enter, leave = age_years + gap_years, age_years + time_years
    if np.isfinite(female).mean() >= LEAST_WITH_SEX:
        rates = [rates_by_age_and_sex(enter, leave, female, event == cause) for cause in (1, 2)]
    else:
        one_sex = np.zeros_like(age_years)
        of_one = [rates_by_age_and_sex(enter, leave, one_sex, event == cause)[0] for cause in (1, 2)]
        rates = [np.stack([rate, rate]) for rate in of_one]
    return AgeSexRates(*rates)


def cumulative_incidence(
    rates: AgeSexRates,
    age_years: Float[np.ndarray, " rows"],
    female: Float[np.ndarray, " rows"],
    horizon_years: float,
    gap_years: float = 0.0,
) -> Float[np.ndarray, " rows"]:
    """F(h) = ∫₀ʰ λ₁(a+u) exp(−∫₀ᵘ λ₁+λ₂) du, exact for rates constant within each month.

    Within a blanking gap λ₁ is 0, since who has the outcome there is not at risk; death competes throughout.

    Args:
        rates: Fitted rates.
        age_years: Age at prediction; rounded to months.
        female: 1, 0, or NaN for unknown (the mean of both sexes' risks).
        horizon_years: The horizon, from the prediction time.
        gap_years: The task's blanking gap.

    Returns:
        Risks in [0, 1].
    """
    ends = _step_ends(horizon_years, gap_years)
    months = np.arange(OLDEST * MONTHS)
    table = np.zeros((2, len(months)))
    staying = np.ones_like(table)
    for start, end in itertools.pairwise(ends.tolist()):
        year, width = years_of_age(months, start), end - start
        outcome = rates.outcome[:, year] * (start >= gap_years)
        total = outcome + rates.death[:, year]
        gone = -np.expm1(-total * width)
        share = np.divide(outcome, total, out=np.zeros_like(total), where=total > 0)
        table += staying * gone * share
        staying *= 1 - gone
    month = np.clip((np.nan_to_num(age_years) * MONTHS).astype(int), 0, len(months) - 1)
    chance = np.where(np.isfinite(female), np.nan_to_num(female), 0.5)
    return np.clip((1 - chance) * table[0, month] + chance * table[1, month], 0.0, 1.0)


def _step_ends(horizon_years: float, gap_years: float) -> Float[np.ndarray, " ends"]:
    """Bounds of steps of about a month from 0 to the horizon; the end of the gap is one of them."""
    ends = np.linspace(0.0, horizon_years, max(1, round(horizon_years * MONTHS)) + 1)
    return np.union1d(ends, [gap_years]) if 0 < gap_years < horizon_years else ends


def rates_of(rows: pl.DataFrame, gap_years: float = 0.0) -> AgeSexRates:
    """Rates of one outcome from its train labels with age_years and female; first predictions count."""
    first = rows.sort("subject_id", "prediction_time").unique("subject_id", keep="first", maintain_order=True)
    age, female, time = (floats(first, name) for name in ("age_years", "female", "time_years"))
    return fit_rates(age, female, time, first["event"].to_numpy(), gap_years)


def name_of(train: pl.DataFrame) -> str:
    """``age_sex``, or ``age`` where the sex of most train subjects is not known: it is named for what it
    reads."""
    known = train.height - train["female"].null_count()
    return NAME if known >= LEAST_WITH_SEX * max(1, train.height) else NAME_WITHOUT_SEX


def age_sex(
    train: pl.DataFrame, wanted: pl.DataFrame, horizons_years: Sequence[float], gap_years: float = 0.0
) -> pl.DataFrame:
    """The baseline's RiskTable; by age alone, named ``age``, where the sex of most is not known.

    Args:
        train: Train labels with age_years and female, all outcomes; a subject's first prediction counts.
        wanted: Rows to predict, the same columns (what followed is not looked at).
        horizons_years: Horizons.
        gap_years: The task's blanking gap.

    Returns:
        A frame of :data:`proband.core.schema.RISK`.
    """
    name = name_of(train)
    if name == NAME_WITHOUT_SEX:
        say(
            "evaluate: sex is recorded of less than half of train, so the baseline of age and sex is of age "
            "alone, named age"
        )
    parts = []
    for outcome in wanted["outcome"].unique(maintain_order=True):
        rates = rates_of(train.filter(outcome=outcome), gap_years)
        ask = wanted.filter(outcome=outcome)
        age, female = floats(ask, "age_years"), floats(ask, "female")
        for horizon in horizons_years:
            risk = cumulative_incidence(rates, age, female, horizon, gap_years)
            parts.append(risk_table(ask, name, horizon, risk))
    return pl.concat(parts)
