"""Whatever bytes a file holds, its parser takes it or refuses it in one line, at once and in little memory.

The long form: PROBAND_FUZZ=20000 make test-fuzz. It prints its seed; PROBAND_FUZZ_SEED repeats it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, seed, settings

from fuzz.found import found
from fuzz.parsers import Parser, all_parsers
from fuzz.questions import asked
from fuzz.strategies import files
from proband.core.errors import ProbandError, printable

LONG = "PROBAND_FUZZ" in os.environ
EXAMPLES = int(os.environ.get("PROBAND_FUZZ", 100))
SEED = int(os.environ.get("PROBAND_FUZZ_SEED", random.SystemRandom().randrange(10**6)))
MOST_SECONDS, MOST_BYTES = 2.0, 512 * 2**20
PARSERS = [*all_parsers(), *asked()]
FOUND = found()


class Hang(BaseException):
    """Not an Exception, so that no parser takes it for its own."""


@contextlib.contextmanager
def bounded(seconds: float = MOST_SECONDS) -> Iterator[None]:
    """Within so many seconds of processor time, ten times as many by the clock (other processes may be busy),
    and ``MOST_BYTES`` of resident memory beyond what there was; processes that this one started included.
    """

    def too_long(*_: object) -> None:
        raise Hang(f"more than {seconds} s of processor time, or {10 * seconds} s by the clock")

    for entry in entries():
        (entry / "clear_refs").write_text("5")  # the peak of resident memory starts anew (man 5 proc)
    before, began = kilobytes("VmRSS"), processor_seconds()
    timers = ((signal.SIGPROF, signal.ITIMER_PROF, 1), (signal.SIGALRM, signal.ITIMER_REAL, 10))
    for sent, timer, factor in timers:
        signal.signal(sent, too_long)
        signal.setitimer(timer, factor * seconds)
    try:
        yield
    finally:
        for _, timer, _ in timers:
            signal.setitimer(timer, 0)
    assert processor_seconds() - began < seconds
    assert (kilobytes("VmHWM") - before) * 1024 < MOST_BYTES


def entries() -> list[Path]:
    """Of this process and those it started, in the operating system's table, if it has one."""
    own = Path("/proc/self")
    if not (own / "clear_refs").exists():
        return []
    started = (own / "task" / str(os.getpid()) / "children").read_text().split()
    return [own, *(Path("/proc") / number for number in started)]


def kilobytes(line: str) -> int:
    """The sum of a line of their status."""
    texts = [(entry / "status").read_text().splitlines() for entry in entries()]
    return sum(int(row.split()[1]) for rows in texts for row in rows if row.startswith(line))


def processor_seconds() -> float:
    """Of this process and those it started that still run."""
    texts = [(entry / "stat").read_text().rsplit(")", 1)[1].split() for entry in entries()[1:]]
    ticks = sum(int(text[11]) + int(text[12]) for text in texts)
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def check(parser: Parser, folder: Path, content: bytes, usual: float = 0.0) -> str:
    """Write the file, read it, and look at what is said; the refusal, empty if there is none.

    Args:
        parser: Reads it.
        folder: Where the file goes.
        content: Of the file.
        usual: Processor seconds that a valid file takes, allowed beside ``MOST_SECONDS``.
    """
    (folder / parser.file).write_bytes(content)
    refusal = ""
    with bounded(MOST_SECONDS + usual):
        try:
            parser.read(folder)
        except ProbandError as error:
            refusal = str(error)
    assert len(refusal.splitlines()) <= 1
    assert printable(refusal) == refusal
    return refusal


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the system has such a place: making and flushing files cost most otherwise."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as name:
        yield Path(name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_any_file_is_read_or_refused_in_one_line(parser: Parser, folder: Path) -> None:
    for name, content in parser.beside.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / parser.file).parent.mkdir(exist_ok=True)
    usual = 0.0
    for content in parser.seeds:  # what is valid is read
        (folder / parser.file).write_bytes(content)
        for _ in range(2):  # the first time libraries are loaded
            began = processor_seconds()
            parser.read(folder)
            taken = processor_seconds() - began
        usual = max(usual, taken)

    def run(content: bytes) -> None:
        nonlocal number, crashes
        number += 1
        if parser.seal is not None and number % 4:
            with contextlib.suppress(Exception):
                content = parser.seal(content, folder)
        crashes += "a crash of" in check(parser, folder, content, usual)

    number = crashes = 0
    share = parser.share if LONG or parser.share_short is None else parser.share_short
    told = settings(
        max_examples=max(3, round(EXAMPLES * share)),
        database=None,
        derandomize=not LONG,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, *([] if LONG else [Phase.shrink])],
    )
    test = told(given(files(parser.seeds, parser.shape))(run))
    test = seed(SEED)(test) if LONG else test
    for content in FOUND.get(parser.name, ()):
        test = example(content)(test)
    test()
    print(f"{parser.name}: {number} inputs, {crashes} crashes of a library, PROBAND_FUZZ_SEED={SEED}")


def test_what_hangs_or_grows_is_seen() -> None:
    with pytest.raises(Hang), bounded(0.01), contextlib.suppress(Exception):
        time.sleep(1)
    with pytest.raises(Hang), bounded(0.01), contextlib.suppress(Exception):
        sum(range(10**8))
    with pytest.raises(AssertionError), bounded(60):  # writing so much memory may take some seconds
        bytearray(MOST_BYTES + 2**26)
