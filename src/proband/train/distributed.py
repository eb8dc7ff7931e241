"""The processes that train together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float

from proband.core.batch import Batch


@dataclass(frozen=True)
class Team:
    """The processes that train one model, as one of them sees it.

    Attributes:
        rank: This one's number, from 0.
        size: How many there are.
        device: Where this one computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Whether this is the one that speaks and writes."""
        return self.rank == 0

    def to_device(self, batch: Batch) -> Batch:
        """The batch where this process computes."""
        return batch if self.device.type == "cpu" else batch.to(self.device)

    def sum(self, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """Sums over all processes, the same on each."""
        return values
