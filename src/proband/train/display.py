"""The line on the terminal while a model trains; silent where nobody watches."""

from __future__ import annotations

import math
import sys
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def terminal() -> Console | None:
    """The terminal that standard error goes to, if it is one."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console

    return Console(stderr=True)


class Display:
    """Share done, step, speed, losses and time left, kept up to date while open.

    Args:
        console: Where to show it; None for nowhere.
    """

    def __init__(self, console: Console | None) -> None:
        self._bar = None
        if console is not None:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            news = TextColumn("{task.description}")
            self._bar = Progress(
                TextColumn("train"), BarColumn(bar_width=16), TaskProgressColumn(), news, console=console
            )
            self._task = self._bar.add_task("reading the first steps", total=1.0)

    def __enter__(self) -> Display:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def show(
        self, share: float, step: int, seconds: float, best_loss: float, values: dict[str, float]
    ) -> None:
        """Show where training stands.

        Args:
            share: Of training done, 0 to 1.
            step: Optimiser steps done.
            seconds: Spent so far.
            best_loss: Lowest tuning loss so far, nats per event; infinite before the first.
            values: The latest line of the log (:meth:`proband.train.log.Meter.values`).
        """
        if not self._bar or not values:
            return
        tuning = f"tuning {best_loss:.3f}" if math.isfinite(best_loss) else "not evaluated yet"
        minutes, rest = divmod(round(seconds * (1 / max(share, 1e-9) - 1)), 60)
        text = (
            f"step {step:,}  {values['events_per_second']:,.0f} events/s  when {values['loss_when']:.3f}  "
            f"what {values['loss_what']:.3f}  {tuning}  {minutes}:{rest:02d} left"
        )
        self._bar.update(self._task, completed=share, description=text)
