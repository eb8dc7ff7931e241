"""mc: the share of paths on which the outcome happens."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from proband.forecast.estimators.estimator import EventStep, PathEstimator

_PSEUDO_PATHS = 4
"""Paths that the error counts beside the real ones, half of which hit: a share of 0 is not known exactly
(Agresti and Coull 1998, doi:10.1080/00031305.1998.10480550)."""


class MonteCarlo(PathEstimator):
    """1 for a path on which the outcome happens, else 0."""

    counts_onsets = True

    def contribution(self, step: EventStep) -> Float[Tensor, "rows outcomes"]:
        """1 where the event is the outcome."""
        return step.happened.double()

    def standard_error(
        self, values: Float[Tensor, "*subjects paths outcomes horizons"]
    ) -> Float[Tensor, "*subjects outcomes horizons"]:
        """Standard error of a share, above 0 even where no path or every path hits."""
        number = values.shape[-3] + _PSEUDO_PATHS
        mean = (values.sum(dim=-3) + _PSEUDO_PATHS / 2) / number
        squares = (values**2).sum(dim=-3) + _PSEUDO_PATHS / 2
        return (squares / number - mean**2).clamp(min=0).sqrt() / number**0.5
