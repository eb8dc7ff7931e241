"""All metrics of all models at one outcome and horizon, in the sample and in every bootstrap replicate."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.evaluate.compare import resampled_weights, stack
from proband.evaluate.metrics import calibration
from proband.evaluate.metrics.censoring import (
    CASE,
    CENSORED,
    CONTROL,
    aalen_johansen,
    censoring_weights,
    horizon_status,
    uncensored_share,
)
from proband.evaluate.metrics.discrimination import auroc_and_auprc, rank

METRICS = (
    "auroc",
    "auprc",
    "brier",
    "brier_scaled",
    "calibration_slope",
    "calibration_intercept",
    "observed_expected",
    "ici",
    "cumulative_incidence",
    "auroc_complete_case",
    "auprc_complete_case",
    "unresolved",
)
"""Names in metrics.parquet; censoring is handled in all but the complete-case ones."""

COMPARED = ("auroc", "auprc", "brier")
"""Metrics of which models' differences are tested."""

LEAST_CASES = 5
LEAST_CONTROLS = 5
LEAST_UNCENSORED_SHARE = 0.05
CALIBRATION_GROUPS = 10


@dataclass(frozen=True)
class RiskSet:
    """The rows that all models predict, for one outcome and horizon.

    Attributes:
        outcome: Name of the outcome.
        horizon_years: The horizon.
        subject_id: Subject of each row.
        time_years: Years from prediction to the event or the end of follow-up.
        event: 1 the outcome, 2 death before it, 0 neither.
        risks: Predicted risk of each row by model, in the order in which models are shown.
        unresolved: Mean share of unresolved paths by model.
    """

    outcome: str
    horizon_years: float
    subject_id: Int[np.ndarray, " rows"]
    time_years: Float[np.ndarray, " rows"]
    event: Int[np.ndarray, " rows"]
    risks: dict[str, np.ndarray]
    unresolved: dict[str, float] = field(default_factory=dict)

    @property
    def status(self) -> Int[np.ndarray, " rows"]:
        """CASE, CONTROL or CENSORED at the horizon."""
        return horizon_status(self.time_years, self.event, self.horizon_years)

    def num_subjects(self, rows: np.ndarray | slice = slice(None)) -> int:
        """Distinct subjects among ``rows``."""
        return len(np.unique(self.subject_id[rows]))

    def num_cases(self, rows: np.ndarray | slice = slice(None)) -> int:
        """Distinct subjects among ``rows`` who are cases."""
        return len(np.unique(self.subject_id[rows][self.status[rows] == CASE]))

    def obstacle(self) -> str:
        """Why no metric can be given; empty when they can."""
        num_controls = self.num_subjects(self.status == CONTROL)
        found = (("cases", self.num_cases(), LEAST_CASES), ("controls", num_controls, LEAST_CONTROLS))
        for name, count, least in found:
            if count < least:
                return f"{count} {name} by the horizon, at least {least} needed"
        if uncensored_share(self.time_years, self.event, self.horizon_years) < LEAST_UNCENSORED_SHARE:
            return f"follow-up of less than {LEAST_UNCENSORED_SHARE:.0%} reaches the horizon"
        return ""


@dataclass
class Replicates:
    """What the bootstrap gave; in every array the sample's own value comes first.

    Attributes:
        values: (model, metric) -> one value per replicate.
        groups: model -> row numbers of its groups of rising risk.
        observed: (model, group number) -> cumulative incidence per replicate.
    """

    values: dict[tuple[str, str], np.ndarray]
    groups: dict[str, list[np.ndarray]]
    observed: dict[tuple[str, int], np.ndarray]


def bootstrap(risk_set: RiskSet, replicates: int, rng: np.random.Generator) -> Replicates:
    """Every metric and calibration group of every model, on the same resamples of subjects.

    Args:
        risk_set: Rows and risks; has no obstacle.
        replicates: Bootstrap replicates.
        rng: Source of the resamples.
    """
    known = risk_set.status != CENSORED
    case = risk_set.status[known] == CASE
    rankings = {model: rank(risk[known], case) for model, risk in risk_set.risks.items()}
    groups = {
        model: calibration.risk_groups(risk, CALIBRATION_GROUPS) for model, risk in risk_set.risks.items()
    }
    values: dict[tuple[str, str], list[np.ndarray]] = defaultdict(list)
    observed: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
    time, event, horizon = risk_set.time_years, risk_set.event, risk_set.horizon_years
    for weights in resampled_weights(risk_set.subject_id, replicates, rng):
        censoring = (censoring_weights(time, event, horizon, weights) * weights)[:, known]
        incidence = aalen_johansen(time, event, horizon, weights)
        for model, risk in risk_set.risks.items():
            found = _accuracy(risk, known, case, weights, censoring, incidence)
            found["auroc"], found["auprc"] = auroc_and_auprc(rankings[model], censoring)
            complete = auroc_and_auprc(rankings[model], weights[:, known])
            found["auroc_complete_case"], found["auprc_complete_case"] = complete
            for metric, value in found.items():
                values[model, metric].append(value)
            for number, rows in enumerate(groups[model]):
                part = aalen_johansen(time[rows], event[rows], horizon, weights[:, rows])
                observed[model, number].append(part)
    return Replicates(
        {key: stack(blocks) for key, blocks in values.items()},
        groups,
        {key: stack(blocks) for key, blocks in observed.items()},
    )


def _accuracy(
    risk: Float[np.ndarray, " rows"],
    known: Bool[np.ndarray, " rows"],
    case: Bool[np.ndarray, " known"],
    weights: Float[np.ndarray, "replicates rows"],
    censoring: Float[np.ndarray, "replicates known"],
    incidence: Float[np.ndarray, " replicates"],
) -> dict[str, np.ndarray]:
    """Brier score and calibration of one model; ``weights`` are sampling weights, ``censoring`` both."""
    total = censoring.sum(axis=1)
    brier = brier_score(risk[known], case, censoring)
    share = censoring @ case.astype(float) / total
    chance = share * (1 - share)
    expected = weights @ risk / weights.sum(axis=1)
    nothing = np.full(len(weights), np.nan)
    return {
        "brier": brier,
        "brier_scaled": 1 - np.divide(brier, chance, out=nothing.copy(), where=chance > 0),
        "calibration_slope": calibration.slope(risk[known], case, censoring),
        "calibration_intercept": calibration.intercept(risk[known], case, censoring),
        "observed_expected": np.divide(incidence, expected, out=nothing.copy(), where=expected > 0),
        "ici": calibration.calibration_index(risk, known, case, weights, censoring),
        "cumulative_incidence": incidence,
    }


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
