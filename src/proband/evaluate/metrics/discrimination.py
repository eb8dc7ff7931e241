"""AUROC and average precision, aware of ties, weighted, for many bootstrap replicates at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Ranking:
    """One model's rows sorted by rising risk, worked out once and used for every replicate.

    Attributes:
        order: Rows by rising risk.
        case_order: Rows of cases by rising risk.
        case_group: Where each tie group of cases begins in ``case_order``.
        group_start: Where each tie group that holds a case begins in ``order``.
        group_end: Where it ends (exclusive).
    """

    order: Int[np.ndarray, " rows"]
    case_order: Int[np.ndarray, " cases"]
    case_group: Int[np.ndarray, " groups"]
    group_start: Int[np.ndarray, " groups"]
    group_end: Int[np.ndarray, " groups"]


def rank(risk: Float[np.ndarray, " rows"], case: Bool[np.ndarray, " rows"]) -> Ranking:
    """Sort the rows of one model.

    Args:
        risk: Predicted risk; only its order matters.
        case: Which rows are cases.
    """
    order = np.argsort(risk, kind="stable")
    sorted_risk = risk[order]
    case_order = order[case[order]]
    levels, case_group = np.unique(risk[case_order], return_index=True)
    return Ranking(
        order,
        case_order,
        case_group,
        np.searchsorted(sorted_risk, levels, side="left"),
        np.searchsorted(sorted_risk, levels, side="right"),
    )


def auroc_and_auprc(
    ranking: Ranking, weights: Float[np.ndarray, "replicates rows"]
) -> tuple[Float[np.ndarray, " replicates"], Float[np.ndarray, " replicates"]]:
    """Weighted AUROC and average precision of each replicate.

    AUROC is P(risk of a case > risk of a control) + half the ties. AUPRC is the average precision,
    Σ over thresholds of precision × gain in recall: the step function's area, never interpolated.

    Args:
        ranking: Of :func:`rank`.
        weights: Row weights of each replicate, censoring weights included (0 for the censored).

    Returns:
        AUROC and AUPRC in [0, 1]; NaN in replicates without cases, AUROC also without controls.
    """
    if not len(ranking.case_order):
        nothing = np.full(len(weights), np.nan)
        return nothing, nothing.copy()
    wins, pairs, cases, true, flagged = _wins(ranking, weights)
    total = weights.sum(axis=1)
    auroc = np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 1e-12 * total)
    precision = np.divide(true, flagged, out=np.zeros_like(flagged), where=cases > 0)
    hits, num_cases = (cases * np.clip(precision, 0.0, 1.0)).sum(axis=1), cases.sum(axis=1)
    auprc = np.divide(hits, num_cases, out=np.full(len(weights), np.nan), where=num_cases > 0)
    return np.clip(auroc, 0.0, 1.0), auprc


def _wins(
    ranking: Ranking, weights: Float[np.ndarray, "replicates rows"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Pairs that a case wins and all pairs; at each risk of a case the cases there, and cases and rows from
    there up. There is a case."""
    below = np.zeros((len(weights), weights.shape[1] + 1))
    np.cumsum(weights[:, ranking.order], axis=1, out=below[:, 1:])
    cases = np.add.reduceat(weights[:, ranking.case_order], ranking.case_group, axis=1)
    start, end, total = below[:, ranking.group_start], below[:, ranking.group_end], below[:, -1]
    cases_below = np.cumsum(cases, axis=1) - cases
    num_cases = cases.sum(axis=1)
    controls_tied = (end - start) - cases
    wins = (cases * (start - cases_below + 0.5 * controls_tied)).sum(axis=1)
    pairs = num_cases * (total - num_cases)
    return wins, pairs, cases, num_cases[:, None] - cases_below, total[:, None] - start


def auroc_within(
    strata: Sequence[tuple[np.ndarray, Ranking]], weights: Float[np.ndarray, "replicates rows"]
) -> Float[np.ndarray, " replicates"]:
    """AUROC over pairs of a case and a control of the same stratum, all strata together.

    Args:
        strata: Row numbers of each stratum and their ranking.
        weights: Row weights of each replicate, censoring weights included.

    Returns:
        NaN in replicates without such a pair.
    """
    wins, pairs = np.zeros(len(weights)), np.zeros(len(weights))
    for rows, ranking in strata:
        if len(ranking.case_order):
            won, all_pairs, *_ = _wins(ranking, weights[:, rows])
            wins, pairs = wins + won, pairs + all_pairs
    least = 1e-12 * weights.sum(axis=1)
    found = np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > least)
    return np.clip(found, 0.0, 1.0)


def weighted_quantile(
    values: Float[np.ndarray, "replicates rows"], weights: Float[np.ndarray, "replicates rows"], share: float
) -> Float[np.ndarray, " replicates"]:
    """The least value up to which ``share`` of the weight lies; NaN where values are.

    >>> weighted_quantile(np.array([[3.0, 1.0, 2.0]]), np.array([[1.0, 1.0, 0.0]]), 0.5).tolist()
    [1.0]
    """
    order = np.argsort(values, axis=1)
    upto = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
    place = (upto < share * upto[:, -1:] * (1 - 1e-12)).sum(axis=1)[:, None]
    chosen = np.take_along_axis(order, np.minimum(place, values.shape[1] - 1), axis=1)
    return np.take_along_axis(values, chosen, axis=1)[:, 0]


def auroc(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"] | None = None,
) -> float:
    """AUROC of one sample, ties counted half.

    >>> auroc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True]))
    0.875
    """
    rows = np.ones(len(risk)) if weights is None else weights
    return float(auroc_and_auprc(rank(risk, case), rows[None, :].astype(float))[0][0])


def average_precision(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"] | None = None,
) -> float:
    """Average precision of one sample.

    >>> average_precision(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.8333333333333333
    """
    rows = np.ones(len(risk)) if weights is None else weights
    return float(auroc_and_auprc(rank(risk, case), rows[None, :].astype(float))[1][0])


@dataclass(frozen=True)
class Curve:
    """Cumulative counts above falling thresholds, one entry per kept threshold.

    Attributes:
        threshold: Flagged are the rows with risk at or above it.
        sensitivity: Weighted share of the cases flagged.
        false_positive_rate: Weighted share of the controls flagged.
        precision: Weighted share of cases among the flagged.
        num_flagged: Subjects flagged (at any of their rows), of those whose status is known.
        num_flagged_cases: Cases flagged.
    """

    threshold: Float[np.ndarray, " points"]
    sensitivity: Float[np.ndarray, " points"]
    false_positive_rate: Float[np.ndarray, " points"]
    precision: Float[np.ndarray, " points"]
    num_flagged: Int[np.ndarray, " points"]
    num_flagged_cases: Int[np.ndarray, " points"]


def curve(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    weights: Float[np.ndarray, " rows"],
    subject_id: Int[np.ndarray, " rows"],
    most_points: int,
) -> Curve:
    """ROC and precision-recall curve of one model, thinned to at most ``most_points`` thresholds.

    Args:
        risk: Predicted risk of the rows whose status is known.
        case: Which of them are cases; at least one case and one control.
        weights: Censoring weights.
        subject_id: Subject of each row, for the counts.
        most_points: Upper bound on the points kept; the last one flags everybody.
    """
    order = np.argsort(-risk, kind="stable")
    last_of_tie = np.flatnonzero(np.append(np.diff(risk[order]) != 0, True))
    wanted = np.unique(np.linspace(0, len(last_of_tie) - 1, most_points).round().astype(int))
    keep = last_of_tie[wanted]
    true = np.cumsum((weights * case)[order])
    false = np.cumsum((weights * ~case)[order])
    return Curve(
        risk[order][keep],
        (true / true[-1])[keep],
        (false / false[-1])[keep],
        (true / (true + false))[keep],
        _subjects_so_far(subject_id[order], np.ones(len(order), dtype=bool))[keep],
        _subjects_so_far(subject_id[order], case[order])[keep],
    )


def _subjects_so_far(
    subject_id: Int[np.ndarray, " rows"], counted: Bool[np.ndarray, " rows"]
) -> Int[np.ndarray, " rows"]:
    """Distinct subjects among the counted rows up to each row."""
    first = np.zeros(len(subject_id), dtype=np.int64)
    places = np.flatnonzero(counted)
    first[places[np.unique(subject_id[places], return_index=True)[1]]] = 1
    return np.cumsum(first)
