"""One model on one risk set, in a block of bootstrap replicates: what every metric is computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float

from proband.core.seeds import generator
from proband.evaluate.metrics import calibration
from proband.evaluate.metrics.censoring import CASE, CENSORED, aalen_johansen, censoring_weights
from proband.evaluate.metrics.concordance import c_index
from proband.evaluate.metrics.discrimination import (
    auroc_and_auprc,
    auroc_within,
    rank,
    weighted_quantile,
)
from proband.evaluate.metrics.risk_set import RiskSet

CALIBRATION_GROUPS = 10
DRAWS_IF_PERFECT = 60
"""Samples of cases that show what ICI a perfect model has."""


@dataclass(frozen=True)
class Block:
    """Some replicates of a risk set, the sample first; shared by all models.

    Attributes:
        risk_set: The rows.
        weights: How often each row was drawn.
        known: Rows whose status at the horizon is known.
        case: Which of the known are cases.
        censoring: Weights of the known, censoring weights included.
        incidence: Cumulative incidence, death competing.
    """

    risk_set: RiskSet
    weights: Float[np.ndarray, "replicates rows"]
    known: Bool[np.ndarray, " rows"]
    case: Bool[np.ndarray, " known"]
    censoring: Float[np.ndarray, "replicates known"]
    incidence: Float[np.ndarray, " replicates"]

    @classmethod
    def of(cls, risk_set: RiskSet, weights: Float[np.ndarray, "replicates rows"]) -> Block:
        """Estimate censoring and incidence in every replicate."""
        status = risk_set.status
        known = status != CENSORED
        followed = risk_set.time_years, risk_set.event, risk_set.horizon_years
        censoring = censoring_weights(*followed, weights, risk_set.landmark) * weights
        incidence = aalen_johansen(*followed, weights, risk_set.landmark)
        return cls(risk_set, weights, known, status[known] == CASE, censoring[:, known], incidence)


class Model:
    """What of one model's risks does not depend on the replicate."""

    def __init__(self, risk_set: RiskSet, name: str) -> None:
        status = risk_set.status
        known = status != CENSORED
        self.name = name
        self.risk = risk_set.risks[name]
        nothing = np.zeros(len(self.risk))
        self.standard_error = risk_set.standard_errors.get(name, nothing)
        self.unresolved = risk_set.unresolved.get(name, nothing)
        self.ranking = rank(self.risk[known], status[known] == CASE)
        self.groups = calibration.risk_groups(self.risk, CALIBRATION_GROUPS)
        self.smoother = calibration.Smoother(self.risk, known)
        of_stratum = risk_set.age_sex if risk_set.age_sex is not None else np.full(len(self.risk), -1)
        self.strata = [
            (rows, rank(self.risk[known][rows], status[known][rows] == CASE))
            for number in np.unique(of_stratum[of_stratum >= 0])
            if len(rows := np.flatnonzero(of_stratum[known] == number))
        ]


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
        return self.weights @ values / self.weights.sum(axis=1)

    @cached_property
    def areas(self) -> tuple[np.ndarray, np.ndarray]:
        """AUROC and average precision."""
        return auroc_and_auprc(self.model.ranking, self.censoring)

    @cached_property
    def complete_case(self) -> tuple[np.ndarray, np.ndarray]:
        """The same without censoring weights."""
        return auroc_and_auprc(self.model.ranking, self.weights[:, self.known])

    def auroc_within_strata(self) -> np.ndarray:
        """AUROC over pairs of people of one sex and age band; NaN without such pairs."""
        return auroc_within(self.model.strata, self.censoring)

    def concordance(self) -> np.ndarray:
        """C-index up to the horizon, in the sample."""
        on, known = self.block.risk_set, self.known
        died = on.event[known] == 2
        sample = self.censoring[0]
        return np.array([c_index(self.risk[known], self.case, on.time_years[known], died, sample)])

    @cached_property
    def brier(self) -> np.ndarray:
        """Weighted mean squared distance of risk and outcome."""
        return brier_score(self.risk[self.known], self.case, self.censoring)

    def scaled_brier(self) -> np.ndarray:
        """Index of prediction accuracy: 1 perfect, 0 as good as the incidence, below 0 worse."""
        share = self.censoring @ self.case.astype(float) / self.censoring.sum(axis=1)
        return 1 - _ratio(self.brier, share * (1 - share))

    def slope(self) -> np.ndarray:
        """Calibration slope."""
        return calibration.slope(self.risk[self.known], self.case, self.censoring)

    def intercept(self) -> np.ndarray:
        """Calibration in the large."""
        return calibration.intercept(self.risk[self.known], self.case, self.censoring)

    def observed_over_expected(self) -> np.ndarray:
        """Aalen-Johansen incidence over mean risk."""
        return _ratio(self.incidence, self.mean(self.risk))

    @cached_property
    def errors(self) -> Float[np.ndarray, "replicates rows"]:
        """|smoothed observed risk − risk| of every row."""
        return self.model.smoother.errors(self.case, self.censoring)

    def mean_error(self) -> np.ndarray:
        """Integrated calibration index."""
        return np.einsum("rn,rn->r", self.errors, self.weights) / self.weights.sum(axis=1)

    def error_quantile(self, share: float) -> np.ndarray:
        """E50, E90: a quantile of the same differences."""
        return weighted_quantile(self.errors, self.weights, share)

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
        stratum = np.zeros(len(self.risk), dtype=np.int64)
        for number, rows in enumerate(self.model.groups):
            stratum[rows] = number
        on = self.block.risk_set
        followed = on.time_years, on.event, on.horizon_years
        ones = np.ones((1, len(self.risk)))
        weights = censoring_weights(*followed, ones, stratum)[:, self.known]
        observed = aalen_johansen(*followed, ones, stratum)
        return {
            "auroc": auroc_and_auprc(self.model.ranking, weights)[0],
            "slope": calibration.slope(self.risk[self.known], self.case, weights),
            "observed_expected": _ratio(observed, self.risk.mean(keepdims=True)),
        }

    def noise_share(self) -> np.ndarray:
        """Share of the variance of risks that is Monte-Carlo error: Σ w se² / Σ w (r − mean)²."""
        mean = self.mean(self.risk)
        return np.clip(_ratio(self.mean(self.standard_error**2), self.mean(self.risk**2) - mean**2), 0, 1)

    def brier_without_noise(self) -> np.ndarray:
        """Brier score less the mean squared Monte-Carlo error: that of the risks without noise."""
        squared = self.censoring @ self.standard_error[self.known] ** 2 / self.censoring.sum(axis=1)
        return self.brier - squared

    def slope_without_noise(self) -> np.ndarray:
        """Calibration slope of risks drawn to their mean by the reliability ratio, 1 − :meth:`noise_share`.

        Regression calibration: Carroll et al. 2006, Measurement Error in Nonlinear Models, chapter 4. The
        ratio is the sample's.
        """
        reliable = 1 - self.noise_share()[0]
        risk, mean = self.risk[self.known], self.mean(self.risk)[0]
        return calibration.slope(mean + reliable * (risk - mean), self.case, self.censoring)


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
