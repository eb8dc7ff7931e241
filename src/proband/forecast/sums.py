"""What is asked of the paths, and what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Question:
    """What is asked of the paths.

    Attributes:
        outcomes: Tokens of each outcome set.
        horizons: Minutes after the prediction time, ascending.
        masked: Whether outcomes cannot happen on the paths (reach); every outcome then has paths of its own,
            which is called an arm.
        death: Token that ends a path.
        num_paths: Paths per subject, and per arm.
        max_events: Events on a path at most.
        seed: Seed of the paths.
    """

    outcomes: Bool[Tensor, "outcomes vocabulary"]
    horizons: Int[Tensor, " horizons"]
    masked: bool
    death: int
    num_paths: int
    max_events: int
    seed: int

    @property
    def num_arms(self) -> int:
        """Kinds of paths."""
        return len(self.outcomes) if self.masked else 1


@dataclass(frozen=True)
class PathSums:
    """What is kept of every path of a subject, by outcome and horizon.

    Attributes:
        hit: Whether the outcome happened by the horizon.
        expected: Sum of p over the steps before the outcome happened; 0 on paths where it cannot.
        log_escape: Sum of log(1 − p) over all steps of a path where the outcome cannot happen; 0 on others.
        cut: Whether the path ended at its budget before the horizon, alive and without the outcome.
    """

    hit: Bool[Tensor, "*subjects paths outcomes horizons"]
    expected: Float[Tensor, "*subjects paths outcomes horizons"]
    log_escape: Float[Tensor, "*subjects paths outcomes horizons"]
    cut: Bool[Tensor, "*subjects paths outcomes horizons"]

    @classmethod
    def empty(cls, question: Question) -> PathSums:
        """Room for one subject's paths."""
        shape = (question.num_paths, len(question.outcomes), len(question.horizons))
        flags, floats = torch.zeros(shape, dtype=torch.bool), torch.zeros(shape, dtype=torch.float64)
        return cls(flags, floats, floats.clone(), flags.clone())
