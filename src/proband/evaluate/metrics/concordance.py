"""The C-index up to a horizon, with competing death and inverse probability of censoring weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from proband.core.running.compiled import compiled


@dataclass(frozen=True)
class CaseOrder:
    """One model's cases by falling time, worked out once and used for every replicate.

    Attributes:
        rows: Their rows.
        rank: Rank of the risk of each among those of cases, from 1; equal risks have one rank.
        ends_time: Whether each is the last of its time.
    """

    rows: Int[np.ndarray, " cases"]
    rank: Int[np.ndarray, " cases"]
    ends_time: Bool[np.ndarray, " cases"]


def order_cases(
    risk: Float[np.ndarray, " known"],
    case: Bool[np.ndarray, " known"],
    time_years: Float[np.ndarray, " known"],
) -> CaseOrder:
    """Sort the cases of one model.

    Args:
        risk: Predicted risk of those whose status at the horizon is known; only its order matters.
        case: Who had the outcome by the horizon.
        time_years: Years to the event or the end of follow-up.
    """
    rows = np.flatnonzero(case)
    rows = rows[np.argsort(-time_years[rows], kind="stable")]
    rank = np.unique(risk[rows], return_inverse=True)[1] + 1
    return CaseOrder(rows, rank, np.append(np.diff(time_years[rows]) != 0, True)[: len(rows)])


def c_index(
    cases: CaseOrder,
    auroc: Float[np.ndarray, " replicates"],
    weights: Float[np.ndarray, "replicates known"],
    with_controls: Float[np.ndarray, " replicates"],
) -> Float[np.ndarray, " replicates"]:
    """P(risk of a case > risk of a subject who is still without the outcome at the case's time, or died).

    Who is no case by the horizon is without the outcome at the time of every case, also who was followed to
    that very day: at equal times events come before censorings. Cases at equal times make no pair. So it is
    the mean of the AUROC, over pairs of a case and a control, and of the same share over pairs of cases at
    different times, by their numbers of pairs.

    A pair weighs w_i w_j, w the weights for censoring at the horizon. Those censored before it pair with
    nobody, and are stood for by those alike in time who are not; ties of risk count half. Wolbers et al.
    2014, Biostatistics 15:526; truncated as in Uno et al. 2011, Statistics in Medicine 30:1105.

    Args:
        cases: Of :func:`order_cases`.
        auroc: Of the same rows and weights; anything without a pair of a case and a control.
        weights: Row weights of each replicate, censoring weights included. They are copied unless a row's
            replicates lie together in memory (``np.asfortranarray``).
        with_controls: Weight of the pairs of a case and a control: of all cases times that of all controls.

    Returns:
        A share per replicate; NaN without a pair.
    """
    rows = np.ascontiguousarray(np.asarray(weights, dtype=np.float64).T)
    wins, pairs = np.zeros((2, len(weights)))
    most = int(cases.rank.max(initial=0))
    _kernel()(cases.rows, cases.rank, cases.ends_time, most, rows, wins, pairs)
    has = np.isfinite(auroc)
    wins[has] += (auroc * with_controls)[has]
    pairs[has] += with_controls[has]
    return np.divide(wins, pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


@functools.cache
def _kernel() -> Callable[..., None]:
    return compiled(_pairs_of_cases)


def _pairs_of_cases(
    rows: Any, rank: Any, ends_time: Any, most: Any, weights: Any, wins: Any, pairs: Any
) -> None:  # compiled by numba
    """From the last case back: pairs with those who became cases later, and the pairs that it wins.

    ``tree`` is a Fenwick tree of the weights of later cases by rank. Replicates lie together in memory
    (weights: rows, replicates), so that each step is one over all.
    """
    number = weights.shape[1]
    tree, later, begin = np.zeros((most + 1, number)), np.zeros(number), 0
    for at in range(rows.size):
        if not ends_time[at]:
            continue
        for one in range(begin, at + 1):
            row = weights[rows[one]]
            for replicate in range(number):
                pairs[replicate] += row[replicate] * later[replicate]
            for upto in (rank[one] - 1, rank[one]):
                place = upto
                while place > 0:
                    for replicate in range(number):
                        wins[replicate] += 0.5 * row[replicate] * tree[place, replicate]
                    place -= place & -place
        for one in range(begin, at + 1):
            row, place = weights[rows[one]], rank[one]
            for replicate in range(number):
                later[replicate] += row[replicate]
            while place <= most:
                for replicate in range(number):
                    tree[place, replicate] += row[replicate]
                place += place & -place
        begin = at + 1
