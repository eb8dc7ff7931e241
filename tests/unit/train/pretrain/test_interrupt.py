from __future__ import annotations

import os
import signal
import threading

import pytest

from proband.train.pretrain.interrupt import StepInterrupt


def test_the_first_ctrl_c_waits_and_the_second_does_not() -> None:
    before = signal.getsignal(signal.SIGINT)
    with StepInterrupt() as interrupt:
        assert interrupt.asked is None
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.asked == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_sigterm_leaves_with_status_0_and_ctrl_c_does_not() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with StepInterrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)  # batch queues and launchers send more than one
        assert interrupt.asked == signal.SIGTERM
        with pytest.raises(SystemExit) as caught:
            interrupt.leave(interrupt.flags)
        assert caught.value.code == 0
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.leave(interrupt.flags)
    assert signal.getsignal(signal.SIGTERM) is before


def test_it_does_nothing_in_another_thread() -> None:
    seen: list[int | None] = []

    def work() -> None:
        with StepInterrupt() as interrupt:
            seen.append(interrupt.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
