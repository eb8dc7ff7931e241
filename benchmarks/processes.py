"""What a command takes, all processes it starts included: seconds, CPU seconds and memory, from /proc."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

EVERY_SECONDS = 0.1
LARGEST_SHARE = 0.03
"""Of a core, that looking at the processes may take: reading the memory of large ones is slow."""
_TICKS = os.sysconf("SC_CLK_TCK")
_SESSION, _USER, _SYSTEM = 3, 11, 12
"""Places in /proc/PID/stat after the name in brackets."""


@dataclass(frozen=True)
class Use:
    """What a command took.

    Attributes:
        seconds: By the clock.
        cpu_seconds: Of all its processes.
        peak_bytes: Most memory of all its processes at one time that the system could not take back: what
            they share counted once, pages of files not counted.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Use:
    """Run a command.

    Raises:
        SystemExit: It failed; with the end of what it said.
    """
    start, before = time.monotonic(), _waited()
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    ticks: dict[int, int] = {}
    peak = 0
    while process.poll() is None:
        began = time.monotonic()
        peak = max(peak, sum(_bytes(pid) for pid in _of_session(process.pid, ticks)))
        time.sleep(max(EVERY_SECONDS, (time.monotonic() - began) / LARGEST_SHARE))
    seconds, said = time.monotonic() - start, process.communicate()[0]
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: status {process.returncode}\n{said[-2000:]}")
    # Neither sees all: short processes are missed by looking, those nobody waits for by the system.
    return Use(seconds, max(_waited() - before, sum(ticks.values()) / _TICKS), peak)


def _waited() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _of_session(session: int, ticks: dict[int, int]) -> list[int]:
    """Processes of a session; their CPU time so far is kept in ``ticks``."""
    found = []
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[_SESSION]) == session:
            found.append(int(entry.name))
            ticks[int(entry.name)] = int(fields[_USER]) + int(fields[_SYSTEM])
    return found


def _bytes(pid: int) -> int:
    """A process's share of memory that is no page of a file."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    sizes = dict(line.split()[:2] for line in text.splitlines()[1:])
    return 1024 * (int(sizes.get("Pss_Anon:", 0)) + int(sizes.get("Pss_Shmem:", 0)))
