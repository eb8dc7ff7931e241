"""Records to train on in benchmarks: stores made of arrays, real sparse ones or drawn from a length law."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from proband.core.units import MINUTES_PER_DAY, MINUTES_PER_YEAR
from proband.tokens.dataset import TokenStore
from proband.tokens.vocabulary import Token, Vocabulary

SPARSE = (np.log(24), 0.28)
BIOBANK = (np.log(140), 0.54)
"""Median tokens of a record and their spread, both of the logarithm, as seen in the sparse lifelong records
and in the synthetic biobank of the demo."""
_FIRST_CODE = 2


class ArrayStore(TokenStore):
    """A token store of arrays, which may be mapped files; everybody is followed from birth to the last token.

    Args:
        tokens, minutes, offsets: As in a tokens folder.
        statics: One static code per subject, 0 for none.
        size: Vocabulary, padding and birth included.
        once: Whether a code happens once.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        minutes: np.ndarray,
        offsets: np.ndarray,
        statics: np.ndarray,
        size: int,
        once: bool,
    ) -> None:
        codes = ("PADDING", "MEDS_BIRTH", *(f"CODE//{number}" for number in range(_FIRST_CODE, size)))
        flags = (False,) * _FIRST_CODE + (once,) * (size - _FIRST_CODE)
        self.vocabulary = Vocabulary(
            tuple(map(Token.of, codes)), {}, {}, flags, ("SEX//1", "SEX//2"), MINUTES_PER_DAY
        )
        self.tokens, self.minutes, self.offsets = tokens, minutes, offsets
        self.statics = statics[:, None]
        self.entry = np.zeros(len(offsets) - 1, dtype=np.int32)
        self.exit = minutes[offsets[1:] - 1]
        self.died = np.zeros(len(offsets) - 1, dtype=bool)


def sparse_records(data: Path) -> ArrayStore:
    """The public sparse records of first occurrences; sex is a static, birth the first token."""
    subject, days, code = np.fromfile(data / "train.bin", dtype=np.uint32).reshape(-1, 3).astype(np.int64).T
    numbers, subject = np.unique(subject, return_inverse=True)
    is_sex = code < _FIRST_CODE + 1  # Female and Male are 1 and 2
    statics = np.zeros(len(numbers), dtype=np.int32)
    statics[subject[is_sex]] = code[is_sex]
    kinds, tokens = np.unique(code[~is_sex], return_inverse=True)
    subject = np.concatenate([np.arange(len(numbers)), subject[~is_sex]])
    minutes = np.concatenate([np.zeros(len(numbers), dtype=np.int64), days[~is_sex] * MINUTES_PER_DAY])
    tokens = np.concatenate([np.ones(len(numbers), dtype=np.int64), tokens + _FIRST_CODE])
    order = np.lexsort((tokens != 1, minutes, subject))
    lengths = np.bincount(subject)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    arrays = tokens[order].astype(np.uint16), minutes[order].astype(np.int32)
    return ArrayStore(*arrays, offsets, statics, _FIRST_CODE + len(kinds), once=True)


def drawn_records(
    num_tokens: int, law: tuple[float, float], size: int, seed: int, folder: Path | None = None
) -> ArrayStore:
    """Records of log-normal lengths and log-uniform codes, about ``num_tokens`` in all.

    Args:
        num_tokens: In all records together.
        law: Mean and deviation of the logarithm of a record's length.
        size: Vocabulary.
        seed: Of every draw.
        folder: Where the arrays are kept as files and mapped, instead of in memory.
    """
    rng = np.random.default_rng(seed)
    number = max(2, int(num_tokens / np.exp(law[0] + law[1] ** 2 / 2)))
    lengths = np.maximum(2, rng.lognormal(*law, size=number).astype(np.int64))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    total = int(offsets[-1])
    tokens = np.exp(rng.random(total, dtype=np.float32) * np.log(size - _FIRST_CODE)).astype(np.uint16)
    tokens += _FIRST_CODE - 1
    tokens[offsets[:-1]] = 1
    within = np.arange(total) - np.repeat(offsets[:-1], lengths)
    years = 80 * within / np.repeat(lengths, lengths)
    minutes = (years * MINUTES_PER_YEAR).astype(np.int32) // MINUTES_PER_DAY * MINUTES_PER_DAY
    statics = rng.integers(1, 3, size=number).astype(np.int32)
    if folder is not None:
        arrays = {"tokens": tokens, "minutes": minutes, "offsets": offsets, "statics": statics, "size": size}
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array)
        return mapped_records(folder)
    return ArrayStore(tokens, minutes, offsets, statics, size, once=False)


def mapped_records(folder: Path) -> ArrayStore:
    """Records that :func:`drawn_records` kept in a folder, as mapped files."""
    names = ("tokens", "minutes", "offsets", "statics")
    tokens, minutes, offsets, statics = (
        np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in names
    )
    return ArrayStore(tokens, minutes, offsets, statics, int(np.load(folder / "size.npy")), once=False)
