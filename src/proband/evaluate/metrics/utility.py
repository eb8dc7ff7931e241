"""Decision curves: what acting on a risk would be worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class DecisionCurve:
    """Net benefit by threshold, per row of the sample.

    Attributes:
        threshold: Risk at or above which one acts.
        net_benefit: True positives − false positives × odds of the threshold, per row.
        net_benefit_all: The same for acting on everybody; acting on nobody is 0.
        num_flagged: Subjects at or above the threshold, of those whose status is known.
        num_flagged_cases: Cases among them.
    """

    threshold: Float[np.ndarray, " thresholds"]
    net_benefit: Float[np.ndarray, " thresholds"]
    net_benefit_all: Float[np.ndarray, " thresholds"]
    num_flagged: Int[np.ndarray, " thresholds"]
    num_flagged_cases: Int[np.ndarray, " thresholds"]


def decision_curve(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"],
    subject_id: Int[np.ndarray, " rows"],
    thresholds: Float[np.ndarray, " thresholds"],
) -> DecisionCurve:
    """Net benefit of acting at each threshold. Vickers and Elkin 2006, doi:10.1177/0272989X06295361.

    Args:
        risk: Predicted risk of the rows whose status is known.
        case: Which of them are cases.
        weights: Censoring weights.
        subject_id: Subject of each row, for the counts.
        thresholds: Risks in (0, 1).

    >>> risk, case = np.array([0.1, 0.3, 0.6]), np.array([False, False, True])
    >>> decision_curve(risk, case, np.ones(3), np.arange(3), np.array([0.25])).net_benefit.round(4).tolist()
    [0.2222]
    """
    flagged = risk[None, :] >= thresholds[:, None]
    odds = thresholds / (1 - thresholds)
    total, cases = weights.sum(), (weights * case).sum()
    true = flagged @ (weights * case)
    false = flagged @ (weights * ~case)
    return DecisionCurve(
        thresholds,
        (true - false * odds) / total,
        (cases - (total - cases) * odds) / total,
        _subjects_at(risk, subject_id, thresholds),
        _subjects_at(risk[case], subject_id[case], thresholds),
    )


def _subjects_at(
    risk: Float[np.ndarray, " rows"],
    subject_id: Int[np.ndarray, " rows"],
    thresholds: Float[np.ndarray, " thresholds"],
) -> Int[np.ndarray, " thresholds"]:
    """Distinct subjects with a risk at or above each threshold."""
    subjects, index = np.unique(subject_id, return_inverse=True)
    highest = np.zeros(len(subjects))
    np.maximum.at(highest, index, risk)
    return (len(subjects) - np.searchsorted(np.sort(highest), thresholds, side="left")).astype(np.int64)
