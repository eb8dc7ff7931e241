"""Strong calibration: each person's risk beside the true one, where a law is known.

Mean, weak and moderate calibration compare groups of people with what happened to them; strong calibration
asks whether the risk of everybody is right, which no data of people can show (Van Calster et al. 2016, doi
10.1016/j.jclinepi.2015.12.005). On a synthetic biobank the oracle's risks stand in for the true ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from proband.evaluate.metrics.calibration import logit

_LEAST_VARIANCE = 1e-12
"""Of log odds, below which risks are all equal."""


def has_log_odds(truth: Float[np.ndarray, " rows"]) -> Bool[np.ndarray, " rows"]:
    """Which true risks lie above 0 and below 1.

    A true risk is 0 for whoever had the disease first recorded before the record begins: the odds of such a
    person have no logarithm, and any floor in its place would decide the result.
    """
    return (truth > 0) & (truth < 1)


@dataclass(frozen=True)
class StrongCalibration:
    """Log odds of a model beside the true ones, over the rows that have true ones.

    Every method takes how often each row was drawn and gives one value per replicate, NaN where there is
    none.

    Attributes:
        kept: Which rows have true log odds.
        log_odds: Of the model's risks, moved into [1e-6, 1 - 1e-6].
        true_log_odds: Of the true risks.
        variance: Of the true log odds, from the Monte-Carlo error of the true risks.
    """

    kept: Bool[np.ndarray, " rows"]
    log_odds: Float[np.ndarray, " kept"]
    true_log_odds: Float[np.ndarray, " kept"]
    variance: Float[np.ndarray, " kept"]

    @classmethod
    def of(
        cls,
        risk: Float[np.ndarray, " rows"],
        truth: Float[np.ndarray, " rows"],
        standard_error: Float[np.ndarray, " rows"],
    ) -> StrongCalibration:
        """Compare risks.

        Args:
            risk: Of the model.
            truth: True risks.
            standard_error: Monte-Carlo standard error of the true risks, s; that of their log odds is
                s / (r (1 - r)) to first order.
        """
        kept = has_log_odds(truth)
        true = truth[kept]
        variance = (standard_error[kept] / (true * (1 - true))) ** 2
        return cls(kept, logit(risk[kept]), logit(true), variance)

    def rmse(self, weights: Float[np.ndarray, "replicates rows"]) -> Float[np.ndarray, " replicates"]:
        """Root mean squared difference of the log odds."""
        return np.sqrt(self._mean((self.log_odds - self.true_log_odds) ** 2, weights))

    def noise(self, weights: Float[np.ndarray, "replicates rows"]) -> Float[np.ndarray, " replicates"]:
        """Root mean squared Monte-Carlo error of the true log odds, to first order.

        It is the RMSE of a model that is right where it is small. A standard error from few futures that
        bring nearly all of a risk is itself too low, and so is this, where it is large.
        """
        return np.sqrt(self._mean(self.variance, weights))

    def correlation(self, weights: Float[np.ndarray, "replicates rows"]) -> Float[np.ndarray, " replicates"]:
        """Pearson correlation of the log odds; NaN where either are all equal."""
        if not self.kept.any():
            return np.full(len(weights), np.nan)
        mine, true = (values - values.mean() for values in (self.log_odds, self.true_log_odds))
        mean_mine, mean_true = self._mean(mine, weights), self._mean(true, weights)
        covariance = self._mean(mine * true, weights) - mean_mine * mean_true
        variances = [
            self._mean(mine**2, weights) - mean_mine**2,
            self._mean(true**2, weights) - mean_true**2,
        ]
        is_varied = np.minimum(*variances) > _LEAST_VARIANCE
        spread = np.sqrt(np.where(is_varied, variances[0] * variances[1], np.nan))
        return np.clip(covariance / spread, -1, 1)

    def _mean(
        self, values: Float[np.ndarray, " kept"], weights: Float[np.ndarray, "replicates rows"]
    ) -> Float[np.ndarray, " replicates"]:
        of_all = np.zeros((len(self.kept), 2))
        of_all[self.kept] = np.column_stack([values, np.ones(len(values))])
        total, drawn = (weights @ of_all).T
        return np.divide(total, drawn, out=np.full(len(weights), np.nan), where=drawn > 0)
