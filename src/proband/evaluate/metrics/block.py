"""What metrics are computed from: replicates of a risk set, shared by all models, and models' own part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.evaluate.metrics import calibration, sampled
from proband.evaluate.metrics.censoring import (
    CASE,
    Incidence,
    aalen_johansen,
    censoring_weights,
)
from proband.evaluate.metrics.concordance import CaseOrder, order_cases
from proband.evaluate.metrics.discrimination import Ranking, rank
from proband.evaluate.metrics.risk_set import RiskSet
from proband.evaluate.metrics.smooth import Smoother
from proband.evaluate.metrics.strong import StrongCalibration

CALIBRATION_GROUPS = 10


@dataclass(frozen=True)
class Block:
    """Some replicates of a risk set, the sample first; shared by all models.

    Attributes:
        risk_set: The rows.
        weights: How often each row was drawn.
        known: Row numbers of those whose status at the horizon is known.
        case: Which of the known are cases.
        censoring: Weights of the known, censoring weights included.
        incidence: Cumulative incidence, death competing.
    """

    risk_set: RiskSet
    weights: Float[np.ndarray, "replicates rows"]
    known: Int[np.ndarray, " known"]
    case: Bool[np.ndarray, " known"]
    censoring: Float[np.ndarray, "replicates known"]
    incidence: Float[np.ndarray, " replicates"]

    @cached_property
    def drawn(self) -> Float[np.ndarray, " replicates"]:
        """Rows drawn in each replicate."""
        return self.weights.sum(axis=1)

    @cached_property
    def total(self) -> Float[np.ndarray, " replicates"]:
        """Weight of the known."""
        return self.censoring.sum(axis=1)

    @cached_property
    def weights_of_known(self) -> Float[np.ndarray, "replicates known"]:
        """How often each of the known was drawn."""
        return np.take(self.weights, self.known, axis=1)

    @cached_property
    def censoring_by_row(self) -> Float[np.ndarray, "replicates known"]:
        """``censoring``, a row's replicates together in memory: areas of all models are read off it."""
        return np.asfortranarray(self.censoring)

    @cached_property
    def weights_of_known_by_row(self) -> Float[np.ndarray, "replicates known"]:
        """``weights_of_known``, likewise."""
        return np.asfortranarray(self.weights_of_known)

    @cached_property
    def cases(self) -> Float[np.ndarray, " replicates"]:
        """Weight of the cases."""
        return self.censoring @ self.case.astype(float)

    @classmethod
    def of(cls, risk_set: RiskSet, weights: Float[np.ndarray, "replicates rows"]) -> Block:
        """Estimate censoring and incidence in every replicate."""
        known = risk_set.known
        followed = risk_set.time_years, risk_set.event, risk_set.horizon_years
        censoring = censoring_weights(*followed, weights, risk_set.landmark) * weights
        incidence = aalen_johansen(*followed, weights, risk_set.landmark)
        case = risk_set.status[known] == CASE
        return cls(risk_set, weights, known, case, np.take(censoring, known, axis=1), incidence)


class Model:
    """What of one model's risks does not depend on the replicate, each worked out when first asked for."""

    def __init__(self, risk_set: RiskSet, name: str) -> None:
        self.name, self._risk_set = name, risk_set
        self.known, self.sample = risk_set.known, risk_set.censoring
        self.case = risk_set.status[self.known] == CASE
        self.risk = risk_set.risks[name]
        nothing = np.zeros(len(self.risk))
        self.standard_error = risk_set.standard_errors.get(name, nothing)
        self.unresolved = risk_set.unresolved.get(name, nothing)
        self.is_sampled = bool(self.standard_error.any())

    @cached_property
    def ranking(self) -> Ranking:
        """Of the known."""
        return rank(self.risk[self.known], self.case)

    @cached_property
    def case_order(self) -> CaseOrder:
        """Of the cases, by time."""
        return order_cases(self.risk[self.known], self.case, self._risk_set.time_years[self.known])

    @cached_property
    def ranking_within(self) -> Ranking:
        """Of the known, by stratum of age and sex."""
        on = self._risk_set
        nowhere = np.full(len(self.risk), -1)
        stratum = nowhere if on.age_sex is None else on.age_sex
        return rank(self.risk[self.known], self.case, stratum[self.known])

    @cached_property
    def groups(self) -> list[np.ndarray]:
        """Rows of its groups of rising risk."""
        return calibration.risk_groups(self.risk, CALIBRATION_GROUPS)

    @cached_property
    def group(self) -> np.ndarray:
        """Number of each row's group of risk, from 0."""
        return calibration.group_numbers(self.groups, len(self.risk))

    @cached_property
    def incidence(self) -> Incidence:
        """Within the groups of risk."""
        on = self._risk_set
        return Incidence(on.time_years, on.event, on.horizon_years, self.group, on.landmark)

    @cached_property
    def smoother(self) -> Smoother:
        """Observed risk by predicted risk."""
        return Smoother(self.risk, self.known)

    @cached_property
    def slope_fit(self) -> calibration.Refit:
        """Of the calibration slope."""
        return calibration.slope_fit(self.risk[self.known], self.case, self.sample)

    @cached_property
    def intercept_fit(self) -> calibration.Refit:
        """Of calibration in the large."""
        return calibration.intercept_fit(self.risk[self.known], self.case, self.sample)

    @cached_property
    def beside_truth(self) -> StrongCalibration:
        """Its log odds beside the true ones; the risk set has some."""
        on = self._risk_set
        error = on.standard_errors.get(on.truth, np.zeros(len(self.risk)))
        return StrongCalibration.of(self.risk, on.risks[on.truth], error)

    @cached_property
    def slope_fit_without_noise(self) -> calibration.Refit:
        """Of the slope of the risks behind sampled ones."""
        return sampled.slope_fit(self.risk, self.standard_error, self.known, self.case, self.sample)
