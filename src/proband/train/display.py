"""Progress of training: a line updated in place on a terminal, elsewhere one every half minute."""

from __future__ import annotations

import contextlib
import math
import sys
from types import TracebackType
from typing import TYPE_CHECKING

from proband.core.running.progress import duration, heartbeat

if TYPE_CHECKING:
    from rich.console import Console

_FIRST = "reading the first steps"


def terminal() -> Console | None:
    """The terminal that standard error goes to, if it is one."""
    if not sys.stderr.isatty():
        return None
    from rich.console import Console

    return Console(stderr=True)


class Display:
    """Share done, step, speed, losses and time left, kept up to date while open.

    Args:
        console: The terminal to show it on; None where there is none.
        plain: Without a terminal, say it in a line every half minute.
    """

    def __init__(self, console: Console | None, plain: bool = False) -> None:
        self._bar = None
        self._plain = plain and console is None
        self._text = _FIRST
        self._open = contextlib.ExitStack()
        if console is not None:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

            news = TextColumn("{task.description}")
            self._bar = Progress(
                TextColumn("train"), BarColumn(bar_width=16), TaskProgressColumn(), news, console=console
            )
            self._task = self._bar.add_task(_FIRST, total=1.0)

    def __enter__(self) -> Display:
        if self._bar:
            self._bar.start()
        elif self._plain:
            self._open.enter_context(heartbeat(lambda: f"train: {self._text}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        self._open.close()

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
        if not (self._bar or self._plain) or not values:
            return
        self._text = status(share, step, seconds, best_loss, values)
        if self._bar:
            self._bar.update(self._task, completed=share, description=self._text)
        else:
            self._text = f"{share:.0%} done, {self._text}"


def status(share: float, step: int, seconds: float, best_loss: float, values: dict[str, float]) -> str:
    """Where training stands, in words; the arguments are those of :meth:`Display.show`."""
    tuning = f"tuning {best_loss:.3f}" if math.isfinite(best_loss) else "not evaluated yet"
    left = duration(seconds * (1 / max(share, 1e-9) - 1))
    return (
        f"step {step:,}  {values['events_per_second']:,.0f} events/s  when {values['loss_when']:.3f}  "
        f"what {values['loss_what']:.3f}  {tuning}  {left} left"
    )
