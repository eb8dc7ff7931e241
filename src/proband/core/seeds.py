"""One seed, independent named random streams.

:func:`generator` gives a NumPy generator for sequential draws. :func:`uniforms` is counter-based: a draw is
a pure function of (seed, name, counters), so a sampled path does not depend on batching or order, and two
models or two genomes can be compared with common random numbers.
"""

from __future__ import annotations

import hashlib

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def name_key(*names: object) -> int:
    """A 64-bit key of a stream's names, the same on every machine and run.

    >>> name_key("synth", 1) == name_key("synth", 1) != name_key("synth", 2)
    True
    """
    text = "/".join(str(name) for name in names)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def bounded(seed: int, bits: int = 63) -> int:
    """A seed of any size as other programs take it: its lowest bits, 32 for NumPy's old generator.

    >>> bounded(7), bounded(2**64 + 7), bounded(2**32 + 7, 32)
    (7, 7, 7)
    """
    return seed & (2**bits - 1)


def generator(seed: int, *names: object) -> np.random.Generator:
    """The sequential stream ``names`` of ``seed``.

    >>> a, b = generator(0, "x"), generator(0, "x")
    >>> bool(a.random() == b.random())
    True
    """
    return np.random.default_rng([bounded(seed), name_key(*names)])


def _mix(state: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser (Steele, Lea, Flood 2014, doi:10.1145/2714064.2660195)."""
    with np.errstate(over="ignore"):
        state = (state ^ (state >> np.uint64(30))) * _MIX1
        state = (state ^ (state >> np.uint64(27))) * _MIX2
    return np.asarray(state ^ (state >> np.uint64(31)))


def uniforms(seed: int, name: str, *counters: np.ndarray | int) -> np.ndarray:
    """Uniform draws in the open interval (0, 1), one per broadcast element of ``counters``.

    Args:
        seed: The run's seed.
        name: The stream, so that two uses of the same counters are independent.
        *counters: Integers or integer arrays that broadcast together, such as subject, path and step.

    Returns:
        float64 array of the broadcast shape.

    >>> bool(uniforms(1, "gap", np.arange(3), 5)[2] == uniforms(1, "gap", 2, 5))
    True
    """
    state = np.asarray(np.uint64(name_key(name, seed)))
    for counter in counters:
        values = np.asarray(counter, dtype=np.int64).view(np.uint64)
        with np.errstate(over="ignore"):
            state = _mix(np.asarray((state ^ values) + _GOLDEN))
    # 52 bits: with 53, adding a half could round up to exactly 1.
    whole = np.asarray(_mix(state) >> np.uint64(12), dtype=np.float64)
    return np.asarray((whole + 0.5) * 2.0**-52)
