"""The process in which htslib reads, and what its end means.

One process serves one file after the other; where it dies, its file is refused and the next file gets a new
one.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from proband.core.running.engine import worker_killed
from proband.genome.genotypes.vcf.records import UnreadableError

_SERVE = "import sys; from proband.genome.genotypes.vcf.records import serve; serve(int(sys.argv[1]))"
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)


class _Reader:
    """A process that reads VCF files, not at work."""

    def __init__(self) -> None:
        path = os.pathsep.join(folder or os.getcwd() for folder in sys.path)
        self.errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  (as long as the process)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", _SERVE, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env={**os.environ, "PYTHONPATH": path},
        )

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.communicate()
        self.errors.close()


_idle: list[_Reader] = []
os.register_at_fork(after_in_child=_idle.clear)  # a copy of this process has a reader of its own


@atexit.register
def _end_idle() -> None:
    while _idle:
        _idle.pop().end()


def read_apart(path: Path, dosages: Path) -> Iterator[dict[str, Any]]:
    """What :func:`~proband.genome.genotypes.vcf.records.read` yields, in another process.

    Raises:
        UnreadableError: htslib cannot read the file, or crashed over it.
        MemoryError, OSError: As they were raised there.
        ConfigError: The process was killed.
    """
    reader = _idle.pop() if _idle else _Reader()
    is_done = False
    try:
        for answer in _asked(reader, path, dosages):
            if answer.keys() & {"header", "records"}:
                yield answer
                continue
            is_done = True
            if "end" in answer:
                return
            _raise(answer)
    finally:
        if is_done:
            _idle.append(reader)
        else:
            reader.end()


def _asked(reader: _Reader, path: Path, dosages: Path) -> Iterator[dict[str, Any]]:
    """Its answers, until it is no longer asked for them."""
    process = reader.process
    assert process.stdin is not None
    assert process.stdout is not None
    request = json.dumps([str(path.absolute()), str(dosages.absolute())])
    try:
        process.stdin.write(f"{request}\n".encode())
        process.stdin.flush()
    except BrokenPipeError:
        pass  # its standard output has ended too
    while (line := process.stdout.readline()).endswith(b"\n"):
        yield json.loads(line)
    raise _death(reader, path)


def _death(reader: _Reader, path: Path) -> Exception:
    """Why the process ended before it had answered."""
    status = reader.process.wait()
    reader.errors.seek(0)
    said = reader.errors.read().decode("utf-8", "replace").strip().splitlines()
    last = said[-1] if said else ""
    if -status in _CRASHES:
        return UnreadableError(f"a crash of htslib ({signal.Signals(-status).name}{': ' * bool(last)}{last})")
    if status < 0:
        return worker_killed(f"reading {path}", signal.Signals(-status).name)
    if "MemoryError" in last:
        return MemoryError()
    return RuntimeError(f"the process that reads VCF files ended with status {status}: {last}")


def _raise(answer: dict[str, Any]) -> None:
    if "disk" in answer:
        raise OSError(*answer["disk"])
    if "memory" in answer:
        raise MemoryError(answer["memory"])
    raise UnreadableError(answer["unreadable"], answer["remedy"])
