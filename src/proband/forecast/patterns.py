"""Outcomes that take several events: whether and when a simulated future completes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from proband.core.units import MINUTES_PER_DAY
from proband.ehr.outcomes import Task
from proband.ehr.task.codesets import Pattern
from proband.ehr.task.patterns import completions
from proband.forecast.engine.request import Trajectory
from proband.forecast.estimators.path_values import PathValues


@dataclass(frozen=True)
class TokenPattern:
    """A pattern of events over a vocabulary.

    Attributes:
        pattern: Steps and the distances between them.
        members: Tokens of each step.
    """

    pattern: Pattern
    members: Bool[np.ndarray, "steps vocabulary"]

    def onset(self, tokens: Int[np.ndarray, " events"], minutes: Int[np.ndarray, " events"]) -> int | None:
        """When a record first completes the pattern.

        Args:
            tokens: Events: those of a history, or of it and a simulated future.
            minutes: Ages in minutes, ascending.

        Returns:
            Age in minutes, or None if never.
        """
        matching = [members[tokens] for members in self.members]
        if not all(step.any() for step in matching):
            return None
        found = completions([np.unique(minutes[step]) for step in matching], self.pattern, MINUTES_PER_DAY)
        return int(found[0]) if len(found) else None


def token_patterns(
    task: Task, outcomes: Mapping[str, Bool[np.ndarray, "_ vocabulary"]]
) -> dict[str, TokenPattern]:
    """Those outcomes of a task that take several events; an outcome that is left out has no tokens here."""
    return {
        name: TokenPattern(outcome, outcomes[name])
        for name, outcome in task.outcomes.items()
        if isinstance(outcome, Pattern) and name in outcomes
    }


def pattern_values(
    patterns: Sequence[TokenPattern],
    record: tuple[Int[np.ndarray, " events"], Int[np.ndarray, " events"]],
    start: int,
    horizons: Int[Tensor, " horizons"],
    trajectories: Sequence[Trajectory],
) -> PathValues:
    """Whether recorded paths complete the patterns by each horizon, as mc counts.

    Args:
        patterns: The patterns.
        record: Tokens of the subject's history, up to the prediction time, and ages at them in minutes.
        start: The prediction time, minutes since birth.
        horizons: Minutes after it.
        trajectories: The paths.
    """
    shape = (len(trajectories), len(patterns), len(horizons))
    hit, margin = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.float64)
    for at, path in enumerate(trajectories):
        tokens, minutes = (
            np.concatenate(pair) for pair in zip(record, (path.tokens, path.minutes), strict=True)
        )
        for which, pattern in enumerate(patterns):
            onset = pattern.onset(tokens, minutes)
            if onset is not None:
                hit[at, which] = (onset - start <= horizons).double()
        if path.end == "budget":
            # An event at the very horizon may be followed by another in the same step.
            margin[at] = (int(minutes[-1]) - start <= horizons) * (1 - hit[at])
    return PathValues(hit, margin)
