"""Digests of whole files: what an output held when it was written, checked when it is read.

SHA-256 of all bytes: with the processors' own instructions it reads 1.9 GB/s, faster than blake2b (1.3 GB/s).
A file is hashed once per process as long as its inode, size and times stay the same.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from proband.core.errors import DataError

_SETTLED_NANOSECONDS = 10**8
"""A file changed less long ago may change again without its times telling: clocks of disks tick slowly."""
_known: dict[tuple[int, ...], str] = {}


def hash_file(path: Path) -> str:
    """SHA-256 of a file's whole content, in hexadecimal digits.

    Raises:
        DataError: It is a folder.
    """
    if path.is_dir():
        raise DataError("a folder where a file is expected", where=path, remedy="name the file")
    status = path.stat()
    key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    if key in _known:
        return _known[key]
    settled = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) > _SETTLED_NANOSECONDS
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if settled:
        _known[key] = digest
    return digest


def files_below(folder: Path, passed_over: Iterable[str] = ()) -> list[str]:
    """Names, relative and sorted, of the files below a folder.

    Args:
        folder: The folder.
        passed_over: Files and folders directly in it that do not count; nor does a name that begins with a
            dot, at any depth.
    """
    found, skipped = [], set(passed_over)
    for here, folders, files in os.walk(folder):
        at_top = Path(here) == folder
        keep = [name for name in folders if not name.startswith(".") and not (at_top and name in skipped)]
        folders[:] = keep
        for name in files:
            if not name.startswith(".") and not (at_top and name in skipped):
                found.append((Path(here) / name).relative_to(folder).as_posix())
    return sorted(found)


def digests_of(folder: Path, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Size in bytes and SHA-256 of each of a folder's files."""
    return {
        name: {"bytes": (folder / name).stat().st_size, "sha256": hash_file(folder / name)} for name in names
    }


def check_digests(folder: Path, listed: Any, remedy: str) -> None:
    """Check files against the digests of when they were written.

    Args:
        folder: Where they lie.
        listed: Relative name to ``bytes`` and ``sha256``.
        remedy: What to do about a file that is not as it was.

    Raises:
        DataError: A file is missing, or of another size or content; or ``listed`` is no such mapping.
    """
    if not isinstance(listed, Mapping) or not all(map(_is_digest, listed.values())):
        expected = "bytes and sha256 of each file"
        raise DataError("unusable digests of files", where=folder, expected=expected, remedy=remedy)
    for name, was in listed.items():
        path = folder / name
        if not os.path.isfile(path):  # also false of names that no file system takes
            raise DataError("a file of this output is missing", where=path, remedy=remedy)
        size = path.stat().st_size
        if size != was["bytes"]:
            raise DataError(
                "a file is not as it was written",
                where=path,
                found=f"{size:,} bytes",
                expected=f"{was['bytes']:,} bytes",
                remedy=remedy,
            )
        digest = hash_file(path)
        if digest != was["sha256"]:
            raise DataError(
                "a file is not as it was written",
                where=path,
                found=f"SHA-256 {digest[:12]}",
                expected=was["sha256"][:12],
                remedy=remedy,
            )


def _is_digest(was: Any) -> bool:
    return (
        isinstance(was, Mapping) and isinstance(was.get("bytes"), int) and isinstance(was.get("sha256"), str)
    )
