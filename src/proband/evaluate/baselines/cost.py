"""What fitting a baseline costs: seconds and the peak of the process's memory."""

from __future__ import annotations

import re
import resource
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Cost:
    """Seconds and memory.

    Attributes:
        cpu_seconds: Of all threads of the process.
        wall_seconds: By the clock.
        peak_memory_mib: Most resident memory of the whole process meanwhile; where the system cannot reset
            its mark (not Linux), since the process began.
    """

    cpu_seconds: float
    wall_seconds: float
    peak_memory_mib: float


class Meter:
    """Measures from its making to each :meth:`read`, which begins anew."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        with suppress(OSError):
            _RESET.write_text("5")  # 5: the high-water mark of resident memory, see proc(5)
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def read(self) -> Cost:
        """Cost since the last reading."""
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        found = Cost(round(cpu, 2), round(wall, 2), round(_peak_mib(), 1))
        self._begin()
        return found


def _peak_mib() -> float:
    with suppress(OSError):
        if found := re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text()):
            return int(found[1]) / _KIB_PER_MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MIB
