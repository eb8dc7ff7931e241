"""What sampled paths contribute to risks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class PathValues:
    """The contribution of each path of a subject to the risks, by outcome and horizon.

    Attributes:
        value: Lower bound of the contribution; the mean over paths estimates the risk where nothing is
            unresolved.
        margin: Upper less lower bound, of a path cut before the horizon; 0 where it was not cut.
    """

    value: Float[Tensor, "*subjects paths outcomes horizons"]
    margin: Float[Tensor, "*subjects paths outcomes horizons"]

    @classmethod
    def empty(cls, num_paths: int, num_outcomes: int, num_horizons: int) -> PathValues:
        """Zeros for one subject's paths."""
        shape = (num_paths, num_outcomes, num_horizons)
        return cls(torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64))

    def joined(self, other: PathValues) -> PathValues:
        """These paths and others."""
        return PathValues(
            torch.cat([self.value, other.value], dim=-3), torch.cat([self.margin, other.margin], dim=-3)
        )
