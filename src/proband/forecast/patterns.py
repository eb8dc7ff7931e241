"""Outcomes that take several events: whether and when a simulated future completes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from proband.core.units import MINUTES_PER_DAY
from proband.ehr.codesets import Pattern
from proband.ehr.outcomes import Task
from proband.ehr.patterns import completions


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
    """Those outcomes of a task that take several events."""
    return {
        name: TokenPattern(outcome, outcomes[name])
        for name, outcome in task.outcomes.items()
        if isinstance(outcome, Pattern)
    }
