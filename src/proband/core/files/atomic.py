"""The one way to write a file or a folder whole: under a temporary name, flushed to disk, then renamed.

What is written is readable by its owner alone (0600, folders 0700) whatever the umask, since most of it has
rows of people; a page that may leave takes the umask's mode.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700
WRITING, REPLACED = ".writing", ".replaced-"
"""In names of files and folders not yet whole, and of outputs moved aside until the new one stands."""


@contextlib.contextmanager
def whole_file(path: Path, *, private: bool = True) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; renamed to it when the block ends well, else removed.

    The temporary name is a fixed one, so that what a killed run left is replaced by the next.

    Args:
        path: The file, in a folder that exists; replaced if it exists.
        private: Mode 0600 whatever the umask; else what the umask allows.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("all of it")
    >>> [file.name for file in folder.iterdir()]
    ['a.txt']
    """
    temporary = path.with_name(f".{path.name}{WRITING}")
    temporary.unlink(missing_ok=True)
    os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))
    try:
        yield temporary
        temporary.chmod(PRIVATE_FILE if private else 0o666 & ~umask())
        flush(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    flush(path.parent)


def umask() -> int:
    """The process's umask."""
    current = os.umask(0)
    os.umask(current)
    return current


def flush(path: Path) -> None:
    """Have a file's content, or a folder's list of names, written to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        if not path.is_dir():  # some network file systems know no fsync of folders
            raise
    finally:
        os.close(handle)


def temporary_folder(out: Path) -> Path:
    """A new folder beside ``out``, mode 0700, to fill and :func:`publish`."""
    out.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{out.name}{WRITING}-", dir=out.parent))


def make_private(folder: Path) -> None:
    """Modes 0700 and 0600 for a folder and all below it; what a killed run left half written goes."""
    folder.chmod(PRIVATE_FOLDER)
    for item in folder.rglob("*"):
        if item.is_symlink():
            continue
        if item.name.startswith(".") and item.name.endswith(WRITING):
            item.unlink()
        else:
            item.chmod(PRIVATE_FOLDER if item.is_dir() else PRIVATE_FILE)


def publish(folder: Path, out: Path) -> None:
    """Flush every file below ``folder`` to disk and rename it to ``out``, replacing what was there."""
    for item in (*folder.rglob("*"), folder):
        if not item.is_symlink():
            flush(item)
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}{REPLACED}", dir=out.parent))
        os.replace(out, old / out.name)
        try:
            os.replace(folder, out)
        except BaseException:
            os.replace(old / out.name, out)
            old.rmdir()
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(folder, out)
    flush(out.parent)
