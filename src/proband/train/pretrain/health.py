"""Detects a non-finite or diverging loss, and ends the training."""

from __future__ import annotations

import math
import shutil
from collections import deque
from pathlib import Path

from proband.core.errors import ConfigError
from proband.core.files.atomic import whole_file
from proband.core.running.team import Team
from proband.train.pretrain.state import BEST, STATE, Progress

WINDOW_STEPS = 50
MARGIN_NATS = 3.0
"""A model that is worse than its reference by this much per event gives what happens a twentieth of the
probability. Single steps may well be, since batches differ; the mean of a window of steps is not."""


class Watch:
    """Checks every step's loss and gradient before the weights change.

    Training has diverged when the mean loss of the last 50 steps is 3 nats per event above the untrained
    model's, which knows the frequencies of codes and gaps, or above the best such mean so far. A loss that
    merely stops falling is the business of early stopping.

    Args:
        progress: Where training stands; ``first_loss`` must be known, ``best_mean`` is kept here.
        team: The process group; rank 0 keeps the states.
        work: Folder of the states.
    """

    def __init__(self, progress: Progress, team: Team, work: Path) -> None:
        self.progress, self.team, self.work = progress, team, work
        self._last: deque[float] = deque(maxlen=WINDOW_STEPS)

    def check(self, loss: float, norm: float, rate: float) -> None:
        """Judge the step about to be taken.

        Args:
            loss: Nats per event of the step.
            norm: Norm of its gradient.
            rate: Its learning rate.

        Raises:
            ConfigError: It is not finite, or training has diverged. The state of the best evaluation is then
                the one to go on from.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._failure("the loss or its gradient is not a finite number", rate, "")
        self._last.append(loss)
        if len(self._last) < WINDOW_STEPS:
            return
        mean = sum(self._last) / WINDOW_STEPS
        reference = min(self.progress.first_loss, self.progress.best_mean)
        if mean > reference + MARGIN_NATS:
            found = f"{mean:.3g} nats per event over {WINDOW_STEPS} steps, after {reference:.3g}"
            raise self._failure("the loss diverges", rate, found)
        self.progress.best_mean = min(self.progress.best_mean, mean)

    def _failure(self, what: str, rate: float, found: str) -> ConfigError:
        good = "start anew with a lower --learning-rate: there is no good checkpoint yet"
        if self.progress.best_step:
            good = (
                f"the last good checkpoint, step {self.progress.best_step}, is kept in {self.work}: "
                "the same command with a lower --learning-rate goes on from there"
            )
        if self.team.is_first:
            self._return_to_best()
        where = f"step {self.progress.step + 1}, learning rate {rate:.2e}"
        return ConfigError(what, where=where, found=found, remedy=good)

    def _return_to_best(self) -> None:
        best, state = self.work / BEST, self.work / STATE
        if not self.progress.best_step:
            state.unlink(missing_ok=True)
            return
        with whole_file(state) as temporary:
            shutil.copyfile(best, temporary)
