"""When a pattern of events is completed: the one place that decides it, for labels and for forecasts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from proband.ehr.task.codesets import Pattern


def completions(
    times: Sequence[Int[np.ndarray, " _"]], pattern: Pattern, ticks_per_day: int
) -> Int[np.ndarray, " completions"]:
    """Every time at which the pattern is completed; the first is the onset.

    Events e_1, e_2, ... complete the pattern at the time of the last if each matches its step, and each but
    the first is later than the one before, by ``after_days`` at least and ``within_days`` at most. Any such
    choice of events counts; one event may serve several choices.

    Whether an event can end the first k steps depends on all events that can end the first k − 1, not on the
    earliest. Of those early enough for it, the latest is the nearest; if that one is too long ago, all are.

    Args:
        times: For each step the ascending times of the events that match it, in whole ticks.
        pattern: The pattern.
        ticks_per_day: Ticks of ``times`` in a day.

    Returns:
        Ascending times; empty if the pattern is never completed.
    """
    reached = times[0]
    for step, here in zip(pattern.steps[1:], times[1:], strict=True):
        least = max(1, math.ceil((step.after_days or 0) * ticks_per_day))
        nearest = np.searchsorted(reached, here - least, side="right") - 1
        here, nearest = here[nearest >= 0], nearest[nearest >= 0]
        if step.within_days is not None:
            here = here[here - reached[nearest] <= math.floor(step.within_days * ticks_per_day)]
        reached = here
    return reached
