"""Decision curves: what acting on a risk would be worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.evaluate.choices import HIGHEST_THRESHOLD
from proband.evaluate.metrics.sums import sums_by_group

ACTING = (
    "net_benefit",
    "standardised_net_benefit",
    "sensitivity",
    "specificity",
    "positive_predictive_value",
    "share_flagged",
)
"""What is given of acting at a threshold."""


@dataclass(frozen=True)
class DecisionCurve:
    """What acting does by threshold, weighted for censoring.

    Attributes:
        threshold: Risk at or above which one acts.
        net_benefit: True positives − false positives × odds of the threshold, per row.
        net_benefit_all: The same for acting on everybody; acting on nobody is 0.
        standardised_net_benefit: Net benefit over the share of cases, of which 1 is the most.
        sensitivity: Share of the cases flagged.
        specificity: Share of the controls not flagged.
        positive_predictive_value: Share of cases among the flagged; NaN where nobody is.
        share_flagged: Share of all who are flagged.
        num_flagged: Subjects at or above the threshold, of those whose status is known.
        num_flagged_cases: Cases among them.
    """

    threshold: Float[np.ndarray, " thresholds"]
    net_benefit: Float[np.ndarray, " thresholds"]
    net_benefit_all: Float[np.ndarray, " thresholds"]
    standardised_net_benefit: Float[np.ndarray, " thresholds"]
    sensitivity: Float[np.ndarray, " thresholds"]
    specificity: Float[np.ndarray, " thresholds"]
    positive_predictive_value: Float[np.ndarray, " thresholds"]
    share_flagged: Float[np.ndarray, " thresholds"]
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

    Standardised as by Kerr et al. 2016, doi:10.1200/JCO.2015.65.5654.

    Args:
        risk: Predicted risk of the rows whose status is known.
        case: Which of them are cases; at least one case and one control.
        weights: Censoring weights.
        subject_id: Subject of each row, for the counts.
        thresholds: Risks in (0, 1).

    >>> risk, case = np.array([0.1, 0.3, 0.6]), np.array([False, False, True])
    >>> decision_curve(risk, case, np.ones(3), np.arange(3), np.array([0.25])).net_benefit.round(4).tolist()
    [0.2222]
    """
    found = acting(risk, case, weights[None], thresholds)
    total, cases = weights.sum(), (weights * case).sum()
    return DecisionCurve(
        threshold=thresholds,
        net_benefit_all=(cases - (total - cases) * thresholds / (1 - thresholds)) / total,
        **{name: values[0] for name, values in found.items()},
        num_flagged=_subjects_at(risk, subject_id, thresholds),
        num_flagged_cases=_subjects_at(risk[case], subject_id[case], thresholds),
    )


THRESHOLDS_PER_INCIDENCE = np.geomspace(0.2, 8.0, 41)


def decision_thresholds(incidence: float) -> Float[np.ndarray, " thresholds"]:
    """From a fifth to eight times the incidence, evenly on the log scale, and no more than 0.9."""
    thresholds = incidence * THRESHOLDS_PER_INCIDENCE
    return thresholds[thresholds <= HIGHEST_THRESHOLD]


def acting(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "replicates rows"],
    thresholds: Float[np.ndarray, " thresholds"],
) -> dict[str, Float[np.ndarray, "replicates thresholds"]]:
    """What acting at each threshold does in every replicate, by the names in :data:`ACTING`.

    Args:
        risk: Predicted risk of the rows whose status is known.
        case: Which of them are cases.
        weights: Row weights of each replicate, censoring weights included.
        thresholds: Risks in (0, 1), in any order.

    Returns:
        As in :class:`DecisionCurve`; NaN in replicates without what a share is taken of.
    """
    false, true, controls, cases = _flagged(risk, case, weights, thresholds)
    odds = thresholds / (1 - thresholds)
    benefit, acted, total = true - false * odds, true + false, cases + controls
    found = {
        "net_benefit": (benefit, total),
        "standardised_net_benefit": (benefit, cases),
        "sensitivity": (true, cases),
        "specificity": (controls - false, controls),
        "positive_predictive_value": (true, acted),
        "share_flagged": (acted, total),
    }
    return {name: _quotient(*found[name]) for name in ACTING}


def standardised_net_benefit(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "replicates rows"],
    thresholds: Float[np.ndarray, " thresholds"],
) -> Float[np.ndarray, "replicates thresholds"]:
    """The same standardised net benefit in every replicate; NaN in those without a case."""
    return acting(risk, case, weights, thresholds)["standardised_net_benefit"]


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    below = np.broadcast_to(below, above.shape)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _flagged(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, "replicates rows"],
    thresholds: Float[np.ndarray, " thresholds"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Weights at or above each threshold of controls and of cases, shape (replicates, thresholds), and of all
    controls and all cases, shape (replicates, 1).

    One pass over the weights for any number of thresholds: those of cases and of controls are summed between
    neighbouring thresholds, and these sums from the highest threshold down.
    """
    rising = np.argsort(thresholds, kind="stable")
    level = np.searchsorted(thresholds[rising], risk, side="right")
    levels = len(thresholds) + 1
    between = sums_by_group(level + levels * case.astype(np.int64), weights, 2 * levels)
    between = between.reshape(len(weights), 2, levels)
    upwards = np.cumsum(between[:, :, ::-1], axis=2)[:, :, ::-1]  # at or above each threshold; first is all
    flagged = upwards[:, :, 1:][:, :, np.argsort(rising)]
    return flagged[:, 0], flagged[:, 1], upwards[:, 0, :1], upwards[:, 1, :1]


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
