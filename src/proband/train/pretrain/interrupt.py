"""Signals deferred to the end of a training step, so that the state saved on them is consistent."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import NoReturn


class StepInterrupt:
    """While open, Ctrl-C and SIGTERM only set :attr:`asked`; a second Ctrl-C interrupts at once.

    SIGTERM is how batch queues end a job whose time is up. Outside the main thread, where Python delivers no
    signals, it does nothing.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> StepInterrupt:
        if self._main:
            numbers = (signal.SIGINT, signal.SIGTERM)
            self._previous = {number: signal.signal(number, self._note) for number in numbers}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._main:
            for number, handler in self._previous.items():
                signal.signal(number, handler)

    @property
    def flags(self) -> list[bool]:
        """Whether Ctrl-C and whether SIGTERM was met."""
        return [self.asked == signal.SIGINT, self.asked == signal.SIGTERM]

    @staticmethod
    def leave(flags: list[bool]) -> NoReturn:
        """End as the signals ask: after Ctrl-C as any Ctrl-C, after SIGTERM with status 0."""
        if flags[0]:
            raise KeyboardInterrupt
        raise SystemExit(0)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == self.asked == signal.SIGINT:
            previous = self._previous[signal.SIGINT]
            if callable(previous):
                previous(number, frame)
            raise KeyboardInterrupt
        self.asked = number
