"""What is asked of the paths, and what is kept of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from proband.forecast.choices import ESTIMATORS
from proband.forecast.config import Estimator
from proband.forecast.engine.clocks import NO_TASK, Clocks
from proband.forecast.estimators.path_values import PathValues

End = Literal["horizon", "death", "budget"]


@dataclass(frozen=True)
class Question:
    """What is asked of the paths.

    Attributes:
        outcomes: Tokens of each outcome set.
        horizons: Minutes after the prediction time, ascending.
        estimator: What is kept of a path.
        death: Token that ends a path.
        num_paths: Paths per subject.
        max_events: Events drawn on a path at most.
        seed: Seed of the paths.
        net: Death does not happen: where it is drawn, the wait for the next event goes on.
        max_paths: Paths per subject at most, where more are drawn until they are enough.
        record: Whether trajectories are kept; all paths then go on to the last horizon, death or budget.
        clocks: Outcomes that happen at hazards of the onset head; default none.
    """

    outcomes: Bool[Tensor, "outcomes vocabulary"]
    horizons: Int[Tensor, " horizons"]
    estimator: Estimator
    death: int
    num_paths: int
    max_events: int
    seed: int
    net: bool = False
    max_paths: int = 0
    record: bool = False
    clocks: Clocks | None = None

    @property
    def is_exact(self) -> Bool[Tensor, " outcomes"]:
        """Outcomes with a clock whose risk the estimator takes from closed form, without paths."""
        found = torch.zeros(len(self.outcomes), dtype=torch.bool)
        if self.clocks and not ESTIMATORS[self.estimator].counts_onsets:
            found[self.clocks.outcome[self.clocks.outcome != NO_TASK]] = True
        return found


@dataclass(frozen=True)
class Trajectory:
    """One generated future.

    Attributes:
        path: Its number among the subject's.
        tokens: The events drawn.
        minutes: Ages at them in minutes since birth, ascending, after the prediction time and within the last
            horizon.
        end: Why it ended.
    """

    path: int
    tokens: Int[np.ndarray, " events"]
    minutes: Int[np.ndarray, " events"]
    end: End


class Finished(NamedTuple):
    """What came of a history.

    Attributes:
        point: Its place in the queue.
        values: What its paths contribute.
        trajectories: Its paths, by number, if they were recorded.
    """

    point: int
    values: PathValues
    trajectories: list[Trajectory]


def outcome_matrix(
    outcomes: Mapping[str, Bool[np.ndarray, "_ vocabulary"]],
) -> Bool[Tensor, "sets vocabulary"]:
    """Tokens of the outcomes that any one of their codes makes, in their order."""
    sets = [steps if len(steps) == 1 else steps[:0] for steps in outcomes.values()]
    return torch.from_numpy(np.concatenate(sets))
