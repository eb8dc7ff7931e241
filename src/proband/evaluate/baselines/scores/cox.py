"""Cox regression with a ridge penalty, and cumulative incidence from two of them.

Hazards of the outcome and of death are fitted apart (cause-specific), each by its partial likelihood,
with Breslow's handling of ties; the baseline hazard is Breslow's. Cox 1972,
doi:10.1111/j.2517-6161.1972.tb00899.x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

MOST_ITERATIONS = 500
_STEPS_PER_YEAR = 24
_LARGEST_LOG_HAZARD = 50.0


@dataclass(frozen=True)
class Cox:
    """A fitted hazard.

    Attributes:
        beta: Log hazard ratio per unit of each feature.
        times: Times of events, ascending, in years.
        increments: Rise of the baseline cumulative hazard at each, for features of 0.
    """

    beta: Float[np.ndarray, " features"]
    times: Float[np.ndarray, " events"]
    increments: Float[np.ndarray, " events"]

    def between(self, edges: Float[np.ndarray, " edges"]) -> Float[np.ndarray, " steps"]:
        """Rise of the baseline cumulative hazard within (edge, next edge]."""
        cumulative = np.concatenate([[0.0], np.cumsum(self.increments)])
        return np.diff(cumulative[np.searchsorted(self.times, edges, side="right")])


class _Risks:
    """Rows sorted from the longest follow-up to the shortest, for sums over who is still at risk."""

    def __init__(self, time: np.ndarray, event: np.ndarray) -> None:
        self.order = np.argsort(-time, kind="stable")
        sorted_time = time[self.order]
        self.event = event[self.order]
        self.last = np.searchsorted(-sorted_time, -sorted_time, side="right") - 1
        self.first = np.searchsorted(-sorted_time, -sorted_time, side="left")
        self.time = sorted_time

    def hazards(self, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Per row the sum of weights at risk at its time, and the baseline cumulative hazard by its time."""
        at_risk = np.cumsum(weight)[self.last]
        increments = self.event / at_risk
        reached = np.cumsum(increments[::-1])[::-1]
        return at_risk, reached[self.first]


def fit_cox(
    features: Float[np.ndarray, "rows features"],
    time_years: Float[np.ndarray, " rows"],
    event: Bool[np.ndarray, " rows"],
    penalty: Float[np.ndarray, " features"],
) -> Cox:
    """Maximise the partial likelihood less ½ Σ penalty β², by L-BFGS.

    Args:
        features: Best about standardised.
        time_years: Years to the event or the end of follow-up.
        event: Whether the event came.
        penalty: Of each feature; 0 for none.
    """
    from scipy.optimize import minimize

    risks = _Risks(time_years, event.astype(np.float64))
    x = features[risks.order]

    def loss(beta: np.ndarray) -> tuple[float, np.ndarray]:
        log_hazard = np.minimum(x @ beta, _LARGEST_LOG_HAZARD)
        weight = np.exp(log_hazard)
        at_risk, reached = risks.hazards(weight)
        value = risks.event @ (np.log(at_risk) - log_hazard) + 0.5 * penalty @ beta**2
        return float(value), x.T @ (weight * reached - risks.event) + penalty * beta

    options = {"maxiter": MOST_ITERATIONS, "ftol": 1e-12, "gtol": 1e-6 * max(1.0, float(event.sum()))}
    beta = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options=options).x
    at_risk, _ = risks.hazards(np.exp(np.minimum(x @ beta, _LARGEST_LOG_HAZARD)))
    happened = np.flatnonzero(risks.event)[::-1]
    return Cox(beta, risks.time[happened], 1 / at_risk[happened])


def cumulative_incidence(
    outcome: Cox,
    death: Cox,
    of_outcome: Float[np.ndarray, " rows"],
    of_death: Float[np.ndarray, " rows"],
    horizon_years: float,
) -> Float[np.ndarray, " rows"]:
    """Risk by the horizon, death competing, in steps of half a month.

    Args:
        outcome: Hazard of the outcome.
        death: Hazard of death before it.
        of_outcome: Log hazard of each row, relative to the baseline of ``outcome``.
        of_death: The same for ``death``.
        horizon_years: The horizon.

    Returns:
        Risks in [0, 1].
    """
    edges = np.linspace(0.0, horizon_years, max(2, round(horizon_years * _STEPS_PER_YEAR) + 1))
    edges[0] = -1.0  # events at 0 count
    ratios = (
        np.exp(np.minimum(of_outcome, _LARGEST_LOG_HAZARD)),
        np.exp(np.minimum(of_death, _LARGEST_LOG_HAZARD)),
    )
    risk, staying = np.zeros(len(of_outcome)), np.ones(len(of_outcome))
    for first, second in zip(outcome.between(edges), death.between(edges), strict=True):
        total = ratios[0] * first + ratios[1] * second
        gone = -np.expm1(-total)
        share = np.divide(ratios[0] * first, total, out=np.zeros_like(total), where=total > 0)
        risk += staying * gone * share
        staying *= 1 - gone
    return np.clip(risk, 0.0, 1.0)
