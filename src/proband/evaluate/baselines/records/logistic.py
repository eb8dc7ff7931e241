"""Ridge logistic regression on the record summary, beginning at the age-sex risk.

The log odds are those of the age-sex baseline plus a constant and a linear function of the record summary,
age and sex (and scores), all brought to a train standard deviation of 1. The penalty is ½ λ Σ β², so that
1 / √λ is the size of effect expected beforehand, whatever the number of cases; unknown values count as the
train mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from proband.evaluate.baselines import tuning
from proband.evaluate.baselines.features import Features
from proband.evaluate.metrics.calibration import expit

NAME = "logistic"
NAME_WITH_SCORES = "logistic_pgs"
PENALTIES = (10.0, 100.0, 1000.0, 10_000.0)
"""λ: effects of 0.3, 0.1, 0.03 and 0.01 of log odds per standard deviation."""


def logistic(
    name: str,
    fit: pl.DataFrame,
    wanted: pl.DataFrame,
    horizons_years: Sequence[float],
    features: tuning.FeaturesOf,
    gap_years: float = 0.0,
) -> tuning.Tuned:
    """Linear terms on features, see :func:`proband.evaluate.baselines.tuning.tuned`."""
    return tuning.tuned(name, fit, wanted, horizons_years, features, Linear, PENALTIES, gap_years)


class Linear(tuning.Learner):
    """Features scaled once, fitted for every outcome and horizon.

    Args:
        features: Of all moments.
        train: Rows of train moments; means and standard deviations are theirs.
    """

    def __init__(self, features: Features, train: Int[np.ndarray, " rows"]) -> None:
        own = features.of_moment.astype(np.float64)
        mean, sd = _moments(own, train)
        holes = np.flatnonzero(np.isnan(own.data))
        own.data[holes] = mean[own.indices[holes]]
        weight = np.bincount(features.subject[train], minlength=len(features.of_subject))
        of_subject, *further = _filled(features.of_subject, weight)
        self.features = Features(own, of_subject, features.subject)
        mean, sd = (np.concatenate(both) for both in zip((mean, sd), further, strict=True))
        usable = sd > 0
        self._scale = np.divide(1.0, sd, out=np.zeros_like(sd), where=usable)
        self._mean = np.where(usable, mean, 0.0)

    def learned(
        self, train: tuning.Examples, judge: tuning.Examples, setting: float
    ) -> Float[np.ndarray, " terms"]:
        """Minimise weighted log loss and penalty on the train rows by L-BFGS."""
        return self.minimised(train, self.features.take(train.moment), setting)

    def minimised(
        self, train: tuning.Examples, features: Features, setting: float
    ) -> Float[np.ndarray, " terms"]:
        """The constant and the effects per standard deviation, from train rows and their features."""
        from scipy.optimize import minimize

        def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
            value, slope = self.log_loss(at, train, features)
            slope[1:] += setting * at[1:]
            return value + 0.5 * setting * at[1:] @ at[1:], slope

        start = np.zeros(features.shape[1] + 1)
        options = {"maxiter": tuning.MOST_STEPS}
        return minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x

    def log_loss(
        self, at: Float[np.ndarray, " terms"], train: tuning.Examples, features: Features
    ) -> tuple[float, Float[np.ndarray, " terms"]]:
        """Weighted log loss without penalty, and its gradient."""
        log_odds = train.offset + self.added(at, features)
        residual = train.weight * (expit(log_odds) - train.case)
        slope = (features.transposed_times(residual) - self._mean * residual.sum()) * self._scale
        return train.nats(log_odds), np.concatenate([[residual.sum()], slope])

    def added(self, model: Float[np.ndarray, " terms"], features: Features) -> Float[np.ndarray, " rows"]:
        """Constant and linear terms; ``model`` is the constant, then effects per standard deviation."""
        beta = model[1:] * self._scale
        return features.times(beta) + (model[0] - self._mean @ beta)


def _moments(
    features: Any, train: Int[np.ndarray, " rows"]
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
    """Train mean of each column's known values, and its standard deviation with unknown ones at the mean."""
    rows = features[train]
    known = rows.copy()
    known.data = np.nan_to_num(known.data)
    holes = rows.copy()
    holes.data = np.isnan(rows.data).astype(np.float64)
    num_known = len(train) - np.asarray(holes.sum(axis=0)).ravel()
    total = np.asarray(known.sum(axis=0)).ravel()
    squares = np.asarray(known.multiply(known).sum(axis=0)).ravel()
    return _mean_and_sd(total, squares, num_known, len(train))


def _filled(
    values: Float[np.ndarray, "subjects columns"], weight: Int[np.ndarray, " subjects"]
) -> tuple[
    Float[np.ndarray, "subjects columns"], Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]
]:
    """Columns of subjects, who count so many times each: with the mean where unknown; mean and deviation."""
    values = values.astype(np.float64)
    holes = np.isnan(values)
    values[holes] = 0.0
    mean, sd = _mean_and_sd(weight @ values, weight @ values**2, weight @ ~holes, int(weight.sum()))
    values[holes] = np.broadcast_to(mean, values.shape)[holes]
    return values, mean, sd


def _mean_and_sd(
    total: Float[np.ndarray, " columns"],
    squares: Float[np.ndarray, " columns"],
    num_known: Float[np.ndarray, " columns"] | Int[np.ndarray, " columns"],
    number: int,
) -> tuple[Float[np.ndarray, " columns"], Float[np.ndarray, " columns"]]:
    """From sums over known values; a column that varies no more than rounding has a deviation of 0."""
    mean, square = total / np.maximum(num_known, 1), squares / np.maximum(num_known, 1)
    variance = np.maximum(square - mean**2, 0.0) * num_known / max(number, 1)
    tiny = 1e-12 * np.maximum(square, 1e-300)
    return mean, np.sqrt(np.where(variance > tiny, variance, 0.0))
