"""The C-index up to a horizon, with competing death and inverse probability of censoring weights."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

_CASES_AT_ONCE = 256


def c_index(
    risk: Float[np.ndarray, " known"],
    case: Bool[np.ndarray, " known"],
    time_years: Float[np.ndarray, " known"],
    weights: Float[np.ndarray, " known"],
) -> float:
    """P(risk of a case > risk of a subject who is still without the outcome at the case's time, or died).

    Who is no case by the horizon is without the outcome at the time of every case, also who was followed to
    that very day: at equal times events come before censorings. Cases at equal times make no pair.

    A pair weighs w_i w_j, w the weights for censoring at the horizon. Those censored before it pair with
    nobody, and are stood for by those alike in time who are not; ties of risk count half. Wolbers et al.
    2014, Biostatistics 15:526; truncated as in Uno et al. 2011, Statistics in Medicine 30:1105.

    Args:
        risk: Predicted risk of those whose status at the horizon is known.
        case: Who had the outcome by the horizon.
        time_years: Years to the event or the end of follow-up.
        weights: Weight of each, 0 or more.

    Returns:
        A share; NaN without a pair.
    """
    own, own_time, own_weight = risk[case], time_years[case], weights[case]
    order = np.argsort(risk[~case])
    lower = np.append(0.0, np.cumsum(weights[~case][order]))
    below, upto = (lower[np.searchsorted(risk[~case][order], own, side)] for side in ("left", "right"))
    wins = own_weight @ (below + upto) / 2
    pairs = own_weight.sum() * lower[-1]
    for rows in np.array_split(np.arange(len(own)), max(1, len(own) // _CASES_AT_ONCE)):
        weight = (own_time > own_time[rows, None]) * own_weight * own_weight[rows, None]
        wins += (weight * ((own < own[rows, None]) + 0.5 * (own == own[rows, None]))).sum()
        pairs += weight.sum()
    return float(wins / pairs) if pairs > 0 else float("nan")
