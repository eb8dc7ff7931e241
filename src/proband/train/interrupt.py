"""Ctrl-C that waits for the end of a training step, so that a state saved on it is a whole one."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class StepInterrupt:
    """While open, the first Ctrl-C only sets :attr:`asked`; a second one interrupts at once.

    Outside the main thread, where Python delivers no signals, it does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._main = threading.current_thread() is threading.main_thread()

    def __enter__(self) -> StepInterrupt:
        if self._main:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._previous)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
