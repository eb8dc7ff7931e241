"""One writer per output: a lock file beside it, and what killed writers left.

The lock is the operating system's (flock), so it ends with its process however that ends.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from proband.core.errors import ConfigError
from proband.core.files.atomic import REPLACED, WRITING

try:
    import fcntl
except ImportError:  # Windows: outputs are written as without locks
    fcntl = None  # type: ignore[assignment]

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
_held: set[Path] = set()


@contextlib.contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Hold an output's lock; within one process it may be asked for again.

    What killed writers left beside ``out`` is removed first; an output that one of them had moved aside and
    not yet replaced is put back.

    Args:
        out: The output folder, there or not.

    Raises:
        ConfigError: Another process is writing it; names that process and its host.
    """
    out = Path(os.path.abspath(out))
    if out in _held:
        yield
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.with_name(f".{out.name}.lock")
    handle = _acquire(path, out)
    _held.add(out)
    try:
        _tidy(out)
        yield
    finally:
        _held.discard(out)
        path.unlink(missing_ok=True)
        os.close(handle)


def _acquire(path: Path, out: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _NO_LOCKS:  # a file system without locks is written as before
                who = os.pread(handle, 300, 0).decode(errors="replace") or "another process"
                os.close(handle)
                remedy = "wait until it has ended, or choose another output folder"
                raise ConfigError(
                    "this output is being written", where=out, found=who, remedy=remedy
                ) from None
        if path.exists() and os.fstat(handle).st_ino == path.stat().st_ino:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
            return handle
        os.close(handle)  # its last owner removed it between the two calls


def _tidy(out: Path) -> None:
    for folder in out.parent.glob(f".{_literal(out.name)}{REPLACED}*"):
        if not out.exists() and (folder / out.name).exists():
            os.replace(folder / out.name, out)
        shutil.rmtree(folder, ignore_errors=True)
    for folder in out.parent.glob(f".{_literal(out.name)}{WRITING}-*"):
        shutil.rmtree(folder, ignore_errors=True)


def _literal(name: str) -> str:
    """A name as a pattern that only it fits."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
