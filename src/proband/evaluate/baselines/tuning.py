"""Tuning of the regressions that begin at the age-sex risk: one budget and one rule for all.

Per outcome and horizon, the log odds of the outcome by then are those of the age-sex baseline plus what is
learned, so with nothing learned it is the age-sex baseline. Rows of known status count with their censoring
weights. Every baseline has the same budget: four settings at each outcome's longest horizon, each of at most
:data:`MOST_STEPS` steps (trees, or iterations). The log loss of the tuning split decides, and one setting is
chosen for all outcomes, since alone most have too few tuning cases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from proband.core.running.progress import track
from proband.core.schema import RISK
from proband.evaluate.baselines import age_sex
from proband.evaluate.baselines.features import Features
from proband.evaluate.baselines.table import LEAST_TRAIN_CASES, floats, known_rows, risk_table

MOST_STEPS = 500
LEAST_TUNING_CASES = 10
"""With fewer tuning cases nothing can be judged, and nothing is learned."""

_LOWEST_RISK = 1e-6
_MOMENT = ["subject_id", "prediction_time"]


@dataclass(frozen=True)
class Examples:
    """Rows of known status at a horizon.

    Attributes:
        moment: Row of the features.
        case: Whether the outcome came by the horizon.
        weight: Inverse probability of being uncensored.
        offset: Log odds of the age-sex risk.
        num_case_subjects: Subjects among the cases.
    """

    moment: Int[np.ndarray, " rows"]
    case: Bool[np.ndarray, " rows"]
    weight: Float[np.ndarray, " rows"]
    offset: Float[np.ndarray, " rows"]
    num_case_subjects: int

    def nats(self, log_odds: Float[np.ndarray, " rows"]) -> float:
        """Weighted log loss of given log odds, summed over rows."""
        return float(self.weight @ np.logaddexp(0.0, np.where(self.case, -log_odds, log_odds)))


@dataclass(frozen=True, eq=False)
class Question:
    """What is to be fitted for one outcome and horizon.

    Attributes:
        outcome: Name of the outcome.
        horizon_years: The horizon.
        rates: Of the outcome's age-sex baseline.
        train: Rows that trees are grown on.
        tuning: Rows that judge them.
    """

    outcome: str
    horizon_years: float
    rates: age_sex.AgeSexRates
    train: Examples
    tuning: Examples


@dataclass(frozen=True)
class Fit:
    """What was learned for one outcome and horizon.

    Attributes:
        gain: Nats by which it lowers the tuning split's log loss, above 0; 0 where nothing is learned.
        model: The learner's own; None where nothing lowers that loss.
    """

    gain: float = 0.0
    model: Any = None


NOTHING = Fit()


class Learner(ABC):
    """Learns what to add to the age-sex log odds.

    Attributes:
        features: Of all moments.
    """

    features: Features

    @abstractmethod
    def fit(self, question: Question, setting: Any) -> Fit:
        """Learn on the train rows; :data:`NOTHING` where the tuning loss does not fall."""

    @abstractmethod
    def added(self, model: Any, features: Features) -> Float[np.ndarray, " rows"]:
        """Log odds that a model adds."""


@dataclass(frozen=True)
class Tuned:
    """What tuning gives.

    Attributes:
        risks: The baseline's RiskTable, a frame of :data:`proband.core.schema.RISK`.
        setting: The one chosen.
    """

    risks: pl.DataFrame
    setting: Any


FeaturesOf = Callable[[pl.DataFrame], Features]
"""What is known at moments (subject_id, prediction_time, age_years, female)."""


def tuned(
    name: str,
    fit: pl.DataFrame,
    wanted: pl.DataFrame,
    horizons_years: Sequence[float],
    features: FeaturesOf,
    learner_of: Callable[[Features, np.ndarray], Learner],
    settings: Sequence[Any],
    gap_years: float = 0.0,
) -> Tuned:
    """Fit and predict; outcomes and horizons with fewer than 10 train cases are left out.

    Args:
        name: Of the model.
        fit: Labels of the train and tuning splits with age_years, female and ``is_extra`` (whether the row is
            at a further date, see :mod:`~proband.evaluate.baselines.dates`).
        wanted: Rows to predict, without ``is_extra`` (what followed is not looked at).
        horizons_years: Horizons.
        features: What is known at a moment.
        learner_of: Makes a learner from the features of all moments and the rows of train moments.
        settings: Those to choose from.
        gap_years: The task's blanking gap.
    """
    moments, fit, wanted = numbered(fit, wanted)
    train = fit.filter(split="train")["moment"].unique().sort().to_numpy().astype(np.int64)
    learner = learner_of(features(moments), train)
    questions = questions_of(fit, horizons_years, gap_years)
    tried = {
        question: {setting: learner.fit(question, setting) for setting in settings}
        for question in track(_longest(questions), f"Fitting {name}")
    }
    best = max(settings, key=lambda setting: sum(fits[setting].gain for fits in tried.values()))
    parts = [RISK.empty()]
    for question in track(questions, f"Fitting {name}, shorter horizons"):
        found = tried[question][best] if question in tried else learner.fit(question, best)
        ask = wanted.filter(outcome=question.outcome)
        log_odds = age_sex_log_odds(ask, question.rates, question.horizon_years, gap_years)
        if found.model is not None:
            log_odds = log_odds + learner.added(found.model, learner.features.take(ask["moment"].to_numpy()))
        parts.append(risk_table(ask, name, question.horizon_years, 1 / (1 + np.exp(-log_odds))))
    return Tuned(pl.concat(parts), best)


def numbered(fit: pl.DataFrame, wanted: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """All moments in order, with age_years and female, and both frames with the row of each ``moment``."""
    moments = pl.concat([rows.select(*_MOMENT, "age_years", "female") for rows in (fit, wanted)])
    moments = moments.unique(_MOMENT).sort(_MOMENT).with_row_index("moment")
    fit, wanted = (
        rows.join(moments.select(*_MOMENT, "moment"), on=_MOMENT, how="left", maintain_order="left")
        for rows in (fit, wanted)
    )
    return moments, fit, wanted


def questions_of(fit: pl.DataFrame, horizons_years: Sequence[float], gap_years: float) -> list[Question]:
    """All with train cases enough, by outcome, the longest horizon first."""
    found = []
    for outcome in fit["outcome"].unique().sort():
        mine = fit.filter(outcome=outcome)
        rates = age_sex.rates_of(mine.filter(~pl.col("is_extra"), split="train"), gap_years)
        for horizon in sorted(horizons_years, reverse=True):
            train, tuning = (
                examples_of(mine.filter(split=split), rates, horizon, gap_years)
                for split in ("train", "tuning")
            )
            if train.num_case_subjects >= LEAST_TRAIN_CASES and not train.case.all():
                found.append(Question(outcome, horizon, rates, train, tuning))
    return found


def _longest(questions: Sequence[Question]) -> list[Question]:
    """Each outcome's first, which is that of its longest horizon."""
    first: dict[str, Question] = {}
    for question in questions:
        first.setdefault(question.outcome, question)
    return list(first.values())


def age_sex_log_odds(
    rows: pl.DataFrame, rates: age_sex.AgeSexRates, horizon: float, gap_years: float
) -> Float[np.ndarray, " rows"]:
    """Log odds of the age-sex baseline, moved into those of 1e-6 to 1 - 1e-6."""
    age, female = floats(rows, "age_years"), floats(rows, "female")
    risk = age_sex.cumulative_incidence(rates, age, female, horizon, gap_years)
    risk = np.clip(risk, _LOWEST_RISK, 1 - _LOWEST_RISK)
    return np.log(risk) - np.log1p(-risk)


def examples_of(rows: pl.DataFrame, rates: age_sex.AgeSexRates, horizon: float, gap_years: float) -> Examples:
    """Rows of known status; the task's own and further dates have censoring weights of their own."""
    kept, cases, weights = [], [], []
    for _, part in rows.group_by("is_extra", maintain_order=True):
        known, case, weight = known_rows(part, horizon)
        kept.append(part.filter(known))
        cases.append(case)
        weights.append(weight)
    used = pl.concat([rows.clear(), *kept])
    case = np.concatenate([np.zeros(0, dtype=bool), *cases])
    order = np.argsort(used["moment"].to_numpy(), kind="stable")
    return Examples(
        used["moment"].to_numpy().astype(np.int64)[order],
        case[order],
        np.concatenate([np.zeros(0), *weights])[order],
        age_sex_log_odds(used, rates, horizon, gap_years)[order],
        used.filter(case)["subject_id"].n_unique(),
    )
