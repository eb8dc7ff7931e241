"""Polygenic scores, age and sex (and principal components): Cox hazards of the outcome and of death.

The hazard of the outcome has age, age², sex and components without a penalty and all scores with a ridge;
that of death before it has age, age², sex and components. Missing scores count as the train
mean, unknown sex as half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.core.running.progress import track
from proband.core.schema import RISK
from proband.evaluate.baselines import tuning
from proband.evaluate.baselines.scores.cox import Cox, cumulative_incidence, fit_cox
from proband.evaluate.baselines.scores.pgs_logistic import Standardiser, fit_standardiser
from proband.evaluate.baselines.table import LEAST_TRAIN_CASES, known_rows, log_loss, risk_table

NAME = "pgs_cox"
PENALTIES = (10_000.0, 1000.0, 100.0, 10.0)
"""λ of the penalty ½ λ Σ β² on standardised scores: effects of 0.01, 0.03, 0.1 and 0.3 of log hazard."""
_HARDLY = 1e-3
"""λ of what is not meant to be penalised; it keeps a constant column finite."""


@dataclass(frozen=True)
class Features:
    """What the hazards read, scaled on the train split.

    Attributes:
        age: Mean and standard deviation of age.
        components: Scaling of principal components; None without.
        scores: Scaling of scores.
        values: Scores and components by subject.
    """

    age: tuple[float, float]
    components: Standardiser | None
    scores: Standardiser
    values: tuple[pl.DataFrame, pl.DataFrame | None]

    @classmethod
    def of(cls, train: pl.DataFrame, scores: pl.DataFrame, components: pl.DataFrame | None) -> Features:
        """Learn the scaling.

        Args:
            train: Train labels with age_years.
            scores: A frame of :data:`proband.core.schema.SCORES`.
            components: subject_id and principal components.
        """
        subjects, age = train["subject_id"], train["age_years"].to_numpy()
        return cls(
            (float(age.mean()), float(age.std()) or 1.0),
            None if components is None else fit_standardiser(subjects, components),
            fit_standardiser(subjects, scores),
            (scores, components),
        )

    def plain(self, rows: pl.DataFrame) -> Float[np.ndarray, "rows plain"]:
        """Age, age², sex and components."""
        age = (rows["age_years"].to_numpy() - self.age[0]) / self.age[1]
        sex = rows["female"].fill_null(0.5).to_numpy() - 0.5
        found = [np.column_stack([age, age**2 - 1, sex])]
        if self.components is not None and self.values[1] is not None:
            found.append(self.components.transform(rows, self.values[1]))
        return np.hstack(found)

    def scored(self, rows: pl.DataFrame) -> Float[np.ndarray, "rows scores"]:
        """Standardised scores."""
        return self.scores.transform(rows, self.values[0])


@dataclass(frozen=True)
class Hazards:
    """Fitted hazards of one outcome.

    Attributes:
        outcome: Of plain features, then scores.
        death: Of plain features.
    """

    outcome: Cox
    death: Cox

    def risk(self, plain: np.ndarray, scored: np.ndarray, horizon_years: float) -> Float[np.ndarray, " rows"]:
        """Risk by the horizon, death competing."""
        of_outcome = plain @ self.outcome.beta[: plain.shape[1]] + self.of_scores(scored)
        return cumulative_incidence(
            self.outcome, self.death, of_outcome, plain @ self.death.beta, horizon_years
        )

    def of_scores(self, scored: Float[np.ndarray, "rows scores"]) -> Float[np.ndarray, " rows"]:
        """What the scores add to the log hazard."""
        return scored @ self.outcome.beta[len(self.death.beta) :]


@dataclass(frozen=True)
class PgsCox:
    """Hazards of all outcomes with enough train cases, and the penalty chosen on the tuning split."""

    features: Features
    hazards: Mapping[str, Hazards]
    penalty: float

    def risks(self, wanted: pl.DataFrame, horizons_years: Sequence[float]) -> pl.DataFrame:
        """The baseline's RiskTable."""
        parts = [RISK.empty()]
        for outcome, hazards in self.hazards.items():
            ask = wanted.filter(outcome=outcome)
            plain, scored = self.features.plain(ask), self.features.scored(ask)
            for horizon in horizons_years:
                parts.append(risk_table(ask, NAME, horizon, hazards.risk(plain, scored, horizon)))
        return pl.concat(parts)


def fit_pgs_cox(
    rows: pl.DataFrame,
    horizons_years: Sequence[float],
    scores: pl.DataFrame,
    components: pl.DataFrame | None = None,
    penalties: Sequence[float] = PENALTIES,
) -> PgsCox:
    """Fit on train; the penalty of all outcomes is that of the least log loss on tuning, summed over them.

    Args:
        rows: Labels of the train and tuning splits with age_years and female.
        horizons_years: The tuning loss is that at the longest.
        scores: A frame of :data:`proband.core.schema.SCORES`; subjects not in it count as average.
        components: subject_id and principal components.
        penalties: Those to choose from, the strongest first; it is taken where tuning has too few cases.
    """
    train = rows.filter(split="train")
    features = Features.of(train, scores, components)
    tried: dict[str, dict[float, Hazards]] = {}
    losses = dict.fromkeys(penalties, 0.0)
    outcomes = rows["outcome"].unique().sort().to_list()
    for outcome in track(outcomes, f"Fitting {NAME}"):
        mine = train.filter(outcome=outcome)
        if mine.filter(event=1)["subject_id"].n_unique() < LEAST_TRAIN_CASES:
            continue
        tried[outcome] = _fit(mine, features, penalties)
        judge = rows.filter(outcome=outcome, split="tuning")
        for penalty, loss in _losses(tried[outcome], judge, features, max(horizons_years)).items():
            losses[penalty] += loss
    best = min(penalties, key=lambda penalty: losses[penalty])
    return PgsCox(features, {outcome: fits[best] for outcome, fits in tried.items()}, best)


def _fit(rows: pl.DataFrame, features: Features, penalties: Sequence[float]) -> dict[float, Hazards]:
    """Hazards of one outcome at every penalty."""
    plain, scored = features.plain(rows), features.scored(rows)
    time, event = rows["time_years"].to_numpy(), rows["event"].to_numpy()
    lightly = np.full(plain.shape[1], _HARDLY)
    death = fit_cox(plain, time, event == 2, lightly)
    both = np.hstack([plain, scored])
    return {
        penalty: Hazards(
            fit_cox(both, time, event == 1, np.concatenate([lightly, np.full(scored.shape[1], penalty)])),
            death,
        )
        for penalty in penalties
    }


def _losses(
    fits: Mapping[float, Hazards], rows: pl.DataFrame, features: Features, horizon: float
) -> dict[float, float]:
    """Weighted log loss of every penalty; 0 for all with too few cases to judge."""
    known, case, weights = known_rows(rows, horizon)
    if case.sum() < tuning.LEAST_TUNING_CASES or case.all():
        return dict.fromkeys(fits, 0.0)
    judge = rows.filter(known)
    plain, scored = features.plain(judge), features.scored(judge)
    found = {}
    for penalty, hazards in fits.items():
        found[penalty] = log_loss(hazards.risk(plain, scored, horizon), case, weights)
    return found
