"""reach: probabilities of the outcome at each event of paths on which it cannot happen."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from proband.forecast.estimators.estimator import EventStep, PathEstimator


class Reach(PathEstimator):
    """The sum of S_k p_k Π_{j<k} (1 − p_j) over a path's events."""

    redraws = True

    def contribution(self, step: EventStep) -> Float[Tensor, "rows outcomes"]:
        """S_k p_k Π_{j<k} (1 − p_j); the product goes on with this event."""
        found = step.probability * (step.open * step.share[:, None]) * step.survival
        step.survival *= 1 - step.probability * (step.open & step.inside[:, None])
        return found
