"""Names of what scoring keeps in its folder, so that a run broken off loses its last minutes only.

A key of all that decides the result (data, weights, order of summing) says whether what is there may be used.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64
from scipy import sparse

from proband.core.files.atomic import whole_file
from proband.core.files.digests import hash_file
from proband.core.files.resume import claim
from proband.core.running.progress import say
from proband.genome.matching.weights import Weights

_OURS = ("sums-*", "partial-*", "weights-*", "means-*")
# Progress is saved so seldom that at the slower end of disks (200 MB/s) it takes 2% of the time.
_DISK_BYTES_PER_SECOND, _SHARE, _LEAST_SECONDS = 200e6, 0.02, 10.0


class Work:
    """The folder, by the names of what lies in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(self, key: str) -> None:
        """Keep the progress made for the same ``key``; remove any other."""
        if claim(self._folder, {"key": key}, _OURS):
            say(
                f"genome: {self._folder} holds progress on other data, weights or memory; scoring begins anew"
            )

    def path(self, name: str) -> Path:
        """Where the array called ``name`` lies if it is there."""
        return self._folder / f"{name}.npy"

    def save(self, name: str, values: np.ndarray) -> Path:
        """Keep an array."""
        return self._write(self.path(name), values)

    def result(self, start: int, stop: int) -> Path:
        """Where the sums of a finished slice of samples lie if they are there."""
        return self.path(f"sums-{start}-{stop}")

    def finish(self, start: int, stop: int, sums: Float32[np.ndarray, "scores samples"]) -> Path:
        """Keep a finished slice's sums, and drop its progress."""
        path = self.save(f"sums-{start}-{stop}", sums)
        self._partial(start, stop).unlink(missing_ok=True)
        return path

    def pause(
        self,
        start: int,
        stop: int,
        total: Float32[np.ndarray, "scores samples"],
        base: Float64[np.ndarray, " scores"],
        done: int,
    ) -> None:
        """Keep a slice's totals after ``done`` weight rows."""
        self._write(self._partial(start, stop), {"total": total, "base": base, "done": np.int64(done)})

    def resume(
        self, start: int, stop: int
    ) -> tuple[Float32[np.ndarray, "scores samples"], Float64[np.ndarray, " scores"], int] | None:
        """What :meth:`pause` kept last; None if nothing."""
        path = self._partial(start, stop)
        if not path.is_file():
            return None
        with np.load(path) as kept:
            say(f"genome: scoring goes on after {int(kept['done'])} weight rows")
            return kept["total"], kept["base"], int(kept["done"])

    def _partial(self, start: int, stop: int) -> Path:
        return self._folder / f"partial-{start}-{stop}.npz"

    def _write(self, path: Path, values: np.ndarray | dict[str, Any]) -> Path:
        with whole_file(path) as temporary, open(temporary, "wb") as file:
            if isinstance(values, dict):
                np.savez(file, **values)
            else:
                np.save(file, values)
        return path


def seconds_between(num_bytes: int) -> float:
    """How long to work before progress of that size is worth keeping."""
    return max(_LEAST_SECONDS, num_bytes / _DISK_BYTES_PER_SECOND / _SHARE)


def fingerprint(files: Iterable[Path], arrays: Iterable[np.ndarray], words: Iterable[object]) -> str:
    """A key of files (by content), arrays and words."""
    digest = hashlib.sha256()
    for path in files:
        digest.update(f"{hash_file(path)}\n".encode())
    for array in arrays:
        digest.update(f"{array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    digest.update(repr([str(word) for word in words]).encode())
    return digest.hexdigest()


def save_weights(weights: Weights, work: Work) -> None:
    """Keep the weights in a work folder, for other processes to read."""
    for name, values in weights.arrays().items():
        work.save(f"weights-{name}", values)


def load_weights(work: Work) -> Weights:
    """The weights kept in a work folder, mapped to memory."""
    names = ("variants", "bases", "data", "indices", "indptr", "constants")
    variants, bases, *matrix, constants = (
        np.load(work.path(f"weights-{name}"), mmap_mode="r") for name in names
    )
    shape = (len(variants), len(constants))
    return Weights(variants, bases, sparse.csr_array(tuple(matrix), shape=shape), np.array(constants))
