"""scope: probabilities of the outcome at each event of ordinary paths."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from proband.forecast.estimators.estimator import EventStep, PathEstimator


class Scope(PathEstimator):
    """The sum of S_k p_k over a path's events while the outcome has not happened."""

    def contribution(self, step: EventStep) -> Float[Tensor, "rows outcomes"]:
        """S_k p_k while the outcome is open."""
        return step.probability * (step.open * step.share[:, None])
