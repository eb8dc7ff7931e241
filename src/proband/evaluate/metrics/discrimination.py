"""AUROC and average precision, aware of ties, weighted, for many bootstrap replicates at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.core.running.compiled import compiled


@dataclass(frozen=True)
class Ranking:
    """One model's rows by falling risk, worked out once and used for every replicate.

    Attributes:
        order: Rows, stratum after stratum and by falling risk within each.
        case: Whether each is a case.
        ends_tie: Whether it is the last of its stratum and risk.
        ends_stratum: Whether it is the last of its stratum.
    """

    order: Int[np.ndarray, " rows"]
    case: Bool[np.ndarray, " rows"]
    ends_tie: Bool[np.ndarray, " rows"]
    ends_stratum: Bool[np.ndarray, " rows"]


def rank(
    risk: Float[np.ndarray, " rows"],
    case: Bool[np.ndarray, " rows"],
    stratum: Int[np.ndarray, " rows"] | None = None,
) -> Ranking:
    """Sort the rows of one model.

    Args:
        risk: Predicted risk; only its order matters.
        case: Which rows are cases.
        stratum: Number of each row's stratum, within which cases and controls are compared; rows of a
            negative one are left out. None for one of all.
    """
    of = np.zeros(len(risk), dtype=np.int64) if stratum is None else stratum
    order = np.lexsort((-risk, of))
    order = order[of[order] >= 0]
    ends_stratum = np.append(np.diff(of[order]) != 0, True)[: len(order)]
    ends_tie = np.append(np.diff(risk[order]) != 0, True)[: len(order)] | ends_stratum
    return Ranking(order, case[order].astype(bool), ends_tie, ends_stratum)


def auroc_and_auprc(
    ranking: Ranking, weights: Float[np.ndarray, "replicates rows"]
) -> tuple[Float[np.ndarray, " replicates"], Float[np.ndarray, " replicates"]]:
    """Weighted AUROC and average precision of each replicate.

    AUROC is P(risk of a case > risk of a control) + half the ties, over pairs of one stratum. AUPRC is the
    average precision, Σ over thresholds of precision × gain in recall: the step function's area, never
    interpolated; it has a meaning without strata alone.

    Args:
        ranking: Of :func:`rank`.
        weights: Row weights of each replicate, censoring weights included (0 for the censored). They are
            copied unless a row's replicates lie together in memory (``np.asfortranarray``).

    Returns:
        AUROC and AUPRC in [0, 1]; NaN in replicates without cases, AUROC also without a pair.
    """
    found = np.full((2, len(weights)), np.nan)
    rows = np.ascontiguousarray(np.asarray(weights, dtype=np.float64).T)
    _kernel()(ranking.order, ranking.case, ranking.ends_tie, ranking.ends_stratum, rows, found)
    return found[0], found[1]


@functools.cache
def _kernel() -> Callable[..., None]:
    return compiled(_areas)


def _areas(
    order: Any, case: Any, ends_tie: Any, ends_stratum: Any, weights: Any, found: Any
) -> None:  # compiled by numba
    """One pass from the highest risk down: what is flagged, and the pairs that a case wins.

    Replicates lie together in memory (weights: rows, replicates), so that each step is one over all of them.
    """
    number = weights.shape[1]
    true, false, tied_true, tied_false, wins, pairs, hits, cases = np.zeros((8, number))
    for at in range(order.size):
        row = weights[order[at]]
        alone = ends_tie[at] and (at == 0 or ends_tie[at - 1])
        if alone and not case[at]:
            for one in range(number):
                wins[one] += row[one] * true[one]
                false[one] += row[one]
        else:
            if case[at]:
                for one in range(number):
                    tied_true[one] += row[one]
            else:
                for one in range(number):
                    tied_false[one] += row[one]
            if ends_tie[at]:
                for one in range(number):
                    wins[one] += tied_false[one] * (true[one] + 0.5 * tied_true[one])
                    true[one] += tied_true[one]
                    false[one] += tied_false[one]
                    flagged = max(true[one] + false[one], 1e-300)
                    hits[one] += tied_true[one] * (true[one] / flagged)
                    tied_true[one] = 0.0
                    tied_false[one] = 0.0
        if ends_stratum[at]:
            for one in range(number):
                pairs[one] += true[one] * false[one]
                cases[one] += true[one]
                true[one] = 0.0
                false[one] = 0.0
    for one in range(number):
        if pairs[one] > 0:
            found[0, one] = min(wins[one] / pairs[one], 1.0)
        if cases[one] > 0:
            found[1, one] = min(hits[one] / cases[one], 1.0)


def weighted_quantiles(
    values: Float[np.ndarray, "replicates rows"],
    weights: Float[np.ndarray, "replicates rows"],
    shares: Sequence[float],
) -> Float[np.ndarray, "shares replicates"]:
    """The least values up to which these shares of the weight lie; NaN where values are.

    >>> weighted_quantiles(np.array([[3.0, 1.0, 2.0]]), np.array([[1.0, 1.0, 0.0]]), [0.5, 1.0]).tolist()
    [[1.0], [3.0]]
    """
    order = np.argsort(values, axis=1, kind="stable")  # which uses runs that are sorted already
    found = np.empty((len(shares), len(values)))
    rows = (np.ascontiguousarray(one, dtype=np.float64) for one in (values, weights))
    _quantile_kernel()(order, *rows, np.array(shares) * (1 - 1e-12), found)
    return found


@functools.cache
def _quantile_kernel() -> Callable[..., None]:
    return compiled(_first_beyond)


def _first_beyond(
    order: Any, values: Any, weights: Any, shares: Any, found: Any
) -> None:  # compiled by numba
    """From the least value up, until the share is reached."""
    for row in range(order.shape[0]):
        total = weights[row].sum()
        for number in range(shares.size):
            at, upto = 0, weights[row, order[row, 0]]
            while upto < shares[number] * total and at + 1 < order.shape[1]:
                at += 1
                upto += weights[row, order[row, at]]
            found[number, row] = values[row, order[row, at]]


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
    ranking = rank(risk, case)
    order, last_of_tie = ranking.order, np.flatnonzero(ranking.ends_tie)
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
