"""What an estimator of risks is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from jaxtyping import Bool, Float, Int
from torch import Tensor


class RiskEstimator(ABC):
    """One way to estimate risks; an entry of :data:`proband.forecast.choices.ESTIMATORS`.

    Attributes:
        samples_paths: Whether it reads sampled paths.
    """

    samples_paths: ClassVar[bool]


@dataclass
class EventStep:
    """One event drawn on every path, as an estimator reads it.

    Attributes:
        codes: Probability of every code given the gap.
        columns: Codes that are in any outcome.
        members: Which outcomes each of them is in.
        happened: Outcomes that the event is, within the last horizon, on paths where they are open.
        open: Outcomes that have not happened on the path, and that it counts for.
        inside: Whether the event falls within the last horizon.
        share: Probability of that.
        survival: Probability that an outcome has not happened at the events before, 1 at first; an estimator
            may update it in place.
    """

    codes: Float[Tensor, "rows vocabulary"]
    columns: Int[Tensor, " columns"]
    members: Float[Tensor, "columns outcomes"]
    happened: Bool[Tensor, "rows outcomes"]
    open: Bool[Tensor, "rows outcomes"]
    inside: Bool[Tensor, " rows"]
    share: Float[Tensor, " rows"]
    survival: Float[Tensor, "rows outcomes"]

    @cached_property
    def probability(self) -> Float[Tensor, "rows outcomes"]:
        """Probability that the event's code is in each outcome, given its gap; float64."""
        return (self.codes[:, self.columns].double() @ self.members).clamp(0, 1)


class PathEstimator(RiskEstimator):
    """An estimator that reads sampled paths: the mean over paths of what their events contribute.

    Attributes:
        redraws: Outcomes must not happen on the paths that estimate their risks: where one is drawn, the path
            is drawn again without it.
        counts_onsets: Whether an outcome with a clock counts by whether it happens; else its risk is that of
            closed form, known without paths.
    """

    samples_paths = True
    redraws: ClassVar[bool] = False
    counts_onsets: ClassVar[bool] = False

    @abstractmethod
    def contribution(self, step: EventStep) -> Float[Tensor, "rows outcomes"]:
        """What an event contributes to each outcome's risk on its path, float64."""

    def standard_error(
        self, values: Float[Tensor, "*subjects paths outcomes horizons"]
    ) -> Float[Tensor, "*subjects outcomes horizons"]:
        """Standard error of the mean over paths."""
        return values.std(dim=-3, correction=1) / values.shape[-3] ** 0.5
