"""Age, sex and all polygenic scores: ridge logistic regression, weighted for censoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from proband.core.running.progress import track
from proband.core.schema import RISK
from proband.core.seeds import generator
from proband.evaluate.baselines.table import LEAST_TRAIN_CASES, known_rows, log_loss, risk_table

NAME = "pgs_logistic"
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Inverse penalties tried (scikit-learn's C) on standardised scores."""

FOLDS = 5
AGE_SEX_SCALE = 10.0
"""Age and sex are blown up by this before the fit, so that the ridge hardly touches them."""

_MOST_FOR_NEWTON = 500


@dataclass(frozen=True)
class Standardiser:
    """Scaling learned from train subjects.

    Attributes:
        columns: Scores kept: those that vary in train.
        mean: Their train means.
        sd: Their train standard deviations.
    """

    columns: tuple[str, ...]
    mean: Float[np.ndarray, " scores"]
    sd: Float[np.ndarray, " scores"]

    def transform(self, rows: pl.DataFrame, scores: pl.DataFrame) -> Float[np.ndarray, "rows scores"]:
        """Standardised scores of each row's subject; missing values at the mean, 0."""
        chosen = scores.select("subject_id", *self.columns)
        joined = rows.select("subject_id").join(chosen, on="subject_id", how="left", maintain_order="left")
        values = joined.select(self.columns).to_numpy().astype(np.float64)
        values = values.reshape(rows.height, len(self.columns))  # also of no columns, which have no rows
        return np.nan_to_num((values - self.mean) / self.sd, nan=0.0)


def fit_standardiser(train_subjects: pl.Series, scores: pl.DataFrame) -> Standardiser:
    """Means and standard deviations of the train subjects' scores; scores without variance are left out."""
    rows = scores.filter(pl.col("subject_id").is_in(train_subjects.unique().to_list())).drop("subject_id")
    rows = rows.fill_nan(None)
    means, sds = rows.mean(), rows.std()
    columns = tuple(name for name in rows.columns if (sds[name][0] or 0) > 0)
    return Standardiser(
        columns,
        np.array([means[name][0] for name in columns], dtype=np.float64),
        np.array([sds[name][0] for name in columns], dtype=np.float64),
    )


def pgs_logistic(
    train: pl.DataFrame,
    wanted: pl.DataFrame,
    horizons_years: Sequence[float],
    scores: pl.DataFrame,
    seed: int,
) -> pl.DataFrame:
    """The baseline's RiskTable; outcomes and horizons with fewer than 10 train cases are left out.

    The penalty is chosen by 5-fold cross-validation over train subjects at the outcome's longest usable
    horizon, and used at all its horizons.

    Args:
        train: Train labels with age_years and female.
        wanted: Rows to predict, the same columns (what followed is not looked at).
        horizons_years: Horizons.
        scores: A frame of :data:`proband.core.schema.SCORES`; subjects not in it count as average.
        seed: Seed of the folds.

    Returns:
        A frame of :data:`proband.core.schema.RISK`.
    """
    standardiser = fit_standardiser(train["subject_id"], scores)
    parts = [RISK.empty()]
    for outcome in track(wanted["outcome"].unique(maintain_order=True).to_list(), f"Fitting {NAME}"):
        rows, ask = train.filter(outcome=outcome), wanted.filter(outcome=outcome)
        age = _age_scaling(rows)
        features = np.hstack([_age_and_sex(rows, *age), standardiser.transform(rows, scores)])
        asked = np.hstack([_age_and_sex(ask, *age), standardiser.transform(ask, scores)])
        subject = rows["subject_id"].to_numpy()
        chosen = None
        for horizon in sorted(horizons_years, reverse=True):
            known, case, weights = known_rows(rows, horizon)
            if case.sum() < LEAST_TRAIN_CASES or case.all():
                continue
            fold = _folds(subject[known], seed, outcome)
            chosen = chosen or choose_penalty(features[known], case, weights, fold)
            risk = _fit(features[known], case, weights, chosen)(asked)
            parts.append(risk_table(ask, NAME, horizon, risk))
    return pl.concat(parts)


def _age_scaling(rows: pl.DataFrame) -> tuple[float, float]:
    ages = rows["age_years"].to_numpy()
    return (float(ages.mean()), float(ages.std()) or 1.0) if len(ages) else (0.0, 1.0)


def _age_and_sex(rows: pl.DataFrame, mean: float, sd: float) -> Float[np.ndarray, "rows features"]:
    """Age, its square and sex, centred; unknown sex in the middle."""
    age = (rows["age_years"].to_numpy() - mean) / sd
    sex = rows["female"].fill_null(0.5).to_numpy() - 0.5
    return AGE_SEX_SCALE * np.column_stack([age, age**2 - 1, sex])


def _folds(subject: Int[np.ndarray, " rows"], seed: int, outcome: str) -> Int[np.ndarray, " rows"]:
    """A fold for each row; a subject's rows share one."""
    subjects, index = np.unique(subject, return_inverse=True)
    order = generator(seed, "pgs_logistic folds", outcome).permutation(len(subjects))
    return (order % FOLDS)[index]


def choose_penalty(
    features: Float[np.ndarray, "rows features"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"],
    fold: Int[np.ndarray, " rows"],
) -> float:
    """The inverse penalty of least weighted log loss on held-out folds.

    They are tried from the strongest penalty on, up to the first that loses no less than the one before: with
    thousands of scores weak ones take nearly all of the time and overfit.
    """
    best, least = PENALTIES[0], np.inf
    for penalty in PENALTIES:
        loss = sum(_lost_on_fold(features, case, weights, fold == number, penalty) for number in range(FOLDS))
        if loss >= least:
            break
        best, least = penalty, loss
    return best


def _lost_on_fold(
    features: Float[np.ndarray, "rows features"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"],
    held: Bool[np.ndarray, " rows"],
    penalty: float,
) -> float:
    """Weighted log loss on rows held out, of a fit on the others; 0 where either cannot be."""
    if not held.any() or not case[~held].any() or case[~held].all():
        return 0.0
    risk = _fit(features[~held], case[~held], weights[~held], penalty)(features[held])
    return log_loss(risk, case[held], weights[held])


def _fit(features: np.ndarray, case: np.ndarray, weights: np.ndarray, penalty: float):
    from sklearn.linear_model import LogisticRegression

    solver = "newton-cholesky" if features.shape[1] <= _MOST_FOR_NEWTON else "lbfgs"
    model = LogisticRegression(C=penalty, solver=solver, max_iter=300, tol=1e-5).fit(features, case, weights)
    return lambda asked: model.predict_proba(asked)[:, 1]
