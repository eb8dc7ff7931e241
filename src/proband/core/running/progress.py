"""News of long work on standard error: a bar on a terminal, elsewhere a plain line every half minute."""

from __future__ import annotations

import contextlib
import operator
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from proband.core.errors import printable

Item = TypeVar("Item")

INTERVAL_SECONDS = 30.0
"""Off a terminal a line comes this often, the first after as long: short work says nothing."""


def say(message: str) -> None:
    """Print one line of news for the person at the terminal, on standard error."""
    print(printable(message), file=sys.stderr, flush=True)


def track(
    items: Iterable[Item],
    description: str,
    total: int | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Item]:
    """Yield ``items`` and show how far they are, with time left.

    On a terminal that is a progress bar, elsewhere (batch queues, notebooks, log files) a line every
    :data:`INTERVAL_SECONDS`, also while one item takes longer than that.

    Args:
        items: What is worked through.
        description: What is done with them.
        total: How many there are; default their length, unknown if they have none.
        clock: Seconds.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import track as rich_track

        yield from rich_track(items, description=description, total=total, console=Console(stderr=True))
        return
    total = total if total is not None else operator.length_hint(items) or None
    done, start = 0, clock()
    with heartbeat(lambda: progress_line(description, done, total, clock() - start)):
        for item in items:
            yield item
            done += 1


@contextlib.contextmanager
def heartbeat(line: Callable[[], str]) -> Iterator[None]:
    """Say ``line()`` every :data:`INTERVAL_SECONDS` until the block ends; silent in a worker process."""
    if _is_worker:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_beat, args=(line, ended.wait), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _beat(line: Callable[[], str], wait: Callable[[float], bool]) -> None:
    """Say the line whenever ``wait`` (seconds) returns False; it returns True when the work has ended."""
    while not wait(INTERVAL_SECONDS):
        say(line())


_is_worker = False


def be_worker() -> None:
    """This process is one of a pool, whose parent tells how far they all are: its own work is silent."""
    global _is_worker
    _is_worker = True


def is_worker() -> bool:
    """Whether this process is one of a pool."""
    return _is_worker


def progress_line(description: str, done: int, total: int | None, seconds: float) -> str:
    """How far work is, in words.

    Args:
        description: What is done.
        done: Items done.
        total: Items there are; None if unknown.
        seconds: Spent so far; the time left supposes that the rest goes as fast.

    >>> progress_line("Scoring", 3, 12, 60.0)
    'Scoring: 3 of 12 (25%), 1:00 elapsed, about 3:00 left'
    >>> progress_line("Scoring", 0, 12, 3605.0), progress_line("Reading", 12345, None, 30.0)
    ('Scoring: 0 of 12 (0%), 1:00:05 elapsed', 'Reading: 12,345 done, 0:30 elapsed')
    """
    if total is None:
        return f"{description}: {done:,} done, {duration(seconds)} elapsed"
    share = done / max(total, 1)
    left = f", about {duration(seconds * (1 / share - 1))} left" if 0 < share <= 1 else ""
    return f"{description}: {done:,} of {total:,} ({share:.0%}), {duration(seconds)} elapsed{left}"


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours from one on.

    >>> duration(65.4), duration(7325.0)
    ('1:05', '2:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
