"""One model on one risk set, in a block of bootstrap replicates: what every metric is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from proband.core.seeds import generator
from proband.evaluate.metrics import calibration
from proband.evaluate.metrics.block import Block, Model
from proband.evaluate.metrics.censoring import (
    aalen_johansen,
    censoring_weights,
)
from proband.evaluate.metrics.concordance import c_index
from proband.evaluate.metrics.discrimination import auroc_and_auprc, weighted_quantiles
from proband.evaluate.metrics.utility import acting

DRAWS_IF_PERFECT = 60
"""Samples of cases that show what ICI a perfect model has."""


class Judged:
    """A model in a block of replicates.

    Every method and property gives one value per replicate, the sample's first, unless it says otherwise.

    Args:
        block: The replicates.
        model: The model.
    """

    def __init__(self, block: Block, model: Model) -> None:
        self.block, self.model = block, model
        self.risk, self.standard_error, self.unresolved = model.risk, model.standard_error, model.unresolved
        self.known, self.case = block.known, block.case
        self.weights, self.censoring, self.incidence = block.weights, block.censoring, block.incidence

    def mean(self, values: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " replicates"]:
        """Mean over the rows drawn."""
        return self.weights @ values / self.block.drawn

    @cached_property
    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """AUROC and average precision."""
        return auroc_and_auprc(self.model.ranking, self.block.censoring_by_row)

    @cached_property
    def complete_case(self) -> tuple[np.ndarray, np.ndarray]:
        """The same without censoring weights."""
        return auroc_and_auprc(self.model.ranking, self.block.weights_of_known_by_row)

    def auroc_within_strata(self) -> np.ndarray:
        """AUROC over pairs of people of one sex and age band; NaN without such pairs."""
        return auroc_and_auprc(self.model.ranking_within, self.block.censoring_by_row)[0]

    def concordance(self) -> np.ndarray:
        """C-index up to the horizon."""
        cases, total = self.block.cases, self.block.total
        return c_index(
            self.model.case_order, self.areas[0], self.block.censoring_by_row, cases * (total - cases)
        )

    def acting(
        self, thresholds: Float[np.ndarray, " thresholds"]
    ) -> dict[str, Float[np.ndarray, "replicates thresholds"]]:
        """Net benefit, sensitivity and the like of acting at these risks."""
        return acting(self.risk[self.known], self.case, self.censoring, thresholds)

    @cached_property
    def brier(self) -> np.ndarray:
        """Weighted mean squared distance of risk and outcome. Graf et al. 1999."""
        return brier_score(self.risk[self.known], self.case, self.censoring)

    def scaled_brier(self) -> np.ndarray:
        """Index of prediction accuracy: 1 perfect, 0 as good as the incidence, below 0 worse."""
        share = self.block.cases / self.block.total
        return 1 - _ratio(self.brier, share * (1 - share))

    @cached_property
    def slope(self) -> np.ndarray:
        """Calibration slope."""
        return self.model.slope_fit.coefficients(self.censoring)[:, 1]

    def intercept(self) -> np.ndarray:
        """Calibration in the large."""
        return self.model.intercept_fit.coefficients(self.censoring)[:, 0]

    def observed_over_expected(self) -> np.ndarray:
        """Aalen-Johansen incidence over mean risk."""
        return _ratio(self.incidence, self.mean(self.risk))

    @cached_property
    def _smooth_fit(self) -> Float[np.ndarray, "replicates basis"]:
        """Coefficients of observed by predicted risk."""
        return self.model.smoother.coefficients(self.case, self.censoring)

    def calibration_curve(self) -> Float[np.ndarray, "replicates points"]:
        """Smoothed observed risk at the smoother's points."""
        return self.model.smoother.curve(self._smooth_fit)

    @cached_property
    def errors(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """|smoothed observed risk − risk| and how often it was drawn, by rising risk.

        Of the sample row by row, shape (1, rows); of the replicates by groups of rows, shape
        (replicates - 1, groups).
        """
        smoother, fit, weights = self.model.smoother, self._smooth_fit, self.weights
        sample = smoother.errors(fit[:1]), np.take(weights[:1], smoother.order, axis=1)
        return sample, smoother.errors_by_group(fit[1:], weights[1:])

    def mean_error(self) -> np.ndarray:
        """Integrated calibration index."""
        sums = [np.einsum("rn,rn->r", *part) for part in self.errors]
        return np.concatenate(sums) / self.block.drawn

    @cached_property
    def error_quantiles(self) -> Float[np.ndarray, "2 replicates"]:
        """E50 and E90: quantiles of the same differences."""
        parts = [weighted_quantiles(*part, (0.5, 0.9)) for part in self.errors]
        return np.concatenate(parts, axis=1)

    def mean_error_if_perfect(self) -> np.ndarray:
        """Mean ICI of a perfect model with these risks and this censoring, then its sampling distribution."""
        rng = generator(0, "calibration of a perfect model")
        drawn = self.model.smoother.errors_of_a_perfect_model(self.censoring[0], DRAWS_IF_PERFECT, rng)
        means = drawn.mean(axis=1)
        return np.concatenate([[means.mean()], means])

    @cached_property
    def by_risk(self) -> Mapping[str, np.ndarray]:
        """A sensitivity analysis of the sample alone: censoring that depends on the risk predicted.

        G is fitted within tenths of the model's risk. Should people at high risk leave sooner than others,
        one G for all counts too few of their cases.
        """
        on = self.block.risk_set
        followed = on.time_years, on.event, on.horizon_years
        ones = np.ones((1, len(self.risk)))
        weights = censoring_weights(*followed, ones, self.model.group)[:, self.known]
        observed = aalen_johansen(*followed, ones, self.model.group)
        return {
            "auroc": auroc_and_auprc(self.model.ranking, weights)[0],
            "slope": calibration.slope(self.risk[self.known], self.case, weights),
            "observed_expected": _ratio(observed, self.risk.mean(keepdims=True)),
        }

    def log_odds_rmse(self) -> np.ndarray:
        """Root mean squared difference of log odds and true log odds."""
        return self.model.beside_truth.rmse(self.weights)

    def log_odds_correlation(self) -> np.ndarray:
        """Correlation of log odds and true log odds."""
        return self.model.beside_truth.correlation(self.weights)

    def log_odds_noise(self) -> np.ndarray:
        """Monte-Carlo error of the true log odds."""
        return self.model.beside_truth.noise(self.weights)

    def noise_share(self) -> np.ndarray:
        """Share of the variance of risks that is Monte-Carlo error: Σ w se² / Σ w (r − mean)²."""
        if not self.model.is_sampled:
            return np.zeros(len(self.weights))
        mean = self.mean(self.risk)
        return np.clip(_ratio(self.mean(self.standard_error**2), self.mean(self.risk**2) - mean**2), 0, 1)

    def brier_without_noise(self) -> np.ndarray:
        """Brier score less the mean squared Monte-Carlo error: that of the risks without noise."""
        if not self.model.is_sampled:
            return self.brier
        return self.brier - self.censoring @ self.standard_error[self.known] ** 2 / self.block.total

    def slope_without_noise(self) -> np.ndarray:
        """Calibration slope of the risks behind sampled ones: :func:`sampled.slope_fit`."""
        if not self.model.is_sampled:
            return self.slope
        return self.model.slope_fit_without_noise.coefficients(self.censoring)[:, 1]


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotient, NaN where there is none."""
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0)


def brier_score(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "replicates rows"],
) -> Float[np.ndarray, " replicates"]:
    """Weighted mean squared distance of risk and outcome. Graf et al. 1999.

    >>> brier_score(np.array([0.5, 0.5]), np.array([False, True]), np.ones((1, 2))).tolist()
    [0.25]
    """
    return weights @ (case - risk) ** 2 / weights.sum(axis=1)
