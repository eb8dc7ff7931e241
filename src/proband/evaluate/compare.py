"""Subject-clustered bootstrap, intervals and paired differences."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

LOW, HIGH = 0.025, 0.975
_BLOCK_ELEMENTS = 2**18
_LEAST_BLOCK = 8
_LEAST_SHARE_USABLE = 0.8


def resampled_weights(
    subject_id: Int[np.ndarray, " rows"], replicates: int, rng: np.random.Generator
) -> Iterator[Float[np.ndarray, "block rows"]]:
    """Row weights of bootstrap replicates, in blocks that fit the cache.

    A replicate draws subjects with replacement; a row weighs as often as its subject was drawn, so several
    prediction times of one subject stay together.

    Args:
        subject_id: Subject of each row.
        replicates: Bootstrap replicates; 0 for the sample alone.
        rng: Source of the draws; the same state gives the same resamples, which pairs models.

    Yields:
        Blocks of weights. The first row of every block is the sample itself, all ones: estimators that
        start from the sample's fit find it there.
    """
    subjects, index = np.unique(subject_id, return_inverse=True)
    chances = np.full(len(subjects), 1 / len(subjects))
    size = max(_LEAST_BLOCK, _BLOCK_ELEMENTS // len(index))
    for start in range(0, max(replicates, 1), size):
        drawn = rng.multinomial(len(subjects), chances, size=min(size, replicates - start))
        yield np.vstack([np.ones((1, len(index))), drawn.astype(np.float64)[:, index]])


def stack(blocks: list[Float[np.ndarray, _ * values]]) -> Float[np.ndarray, replicates * values]:
    """One estimator's values over blocks, the sample's first and only once.

    >>> stack([np.array([1.0, 2.0]), np.array([1.0, 3.0])]).tolist()
    [1.0, 2.0, 3.0]
    """
    return np.concatenate([blocks[0], *(block[1:] for block in blocks[1:])])


def interval(replicates: Float[np.ndarray, " replicates"]) -> tuple[float, float]:
    """The 95% percentile interval; NaN where more than a fifth of the replicates have no value."""
    usable = replicates[np.isfinite(replicates)]
    if not len(usable) or len(usable) < _LEAST_SHARE_USABLE * len(replicates):
        return float("nan"), float("nan")
    low, high = np.quantile(usable, [LOW, HIGH])
    return float(low), float(high)


def two_sided_p(differences: Float[np.ndarray, " replicates"]) -> float:
    """Bootstrap p value of "no difference": twice the smaller share of replicates on one side of 0.

    One is added above and below, so it is never 0 (Davison and Hinkley 1997, section 4.2).

    >>> two_sided_p(np.array([0.1, 0.2, 0.3]))
    0.5
    """
    usable = differences[np.isfinite(differences)]
    if not len(usable):
        return float("nan")
    tail = min((usable <= 0).sum(), (usable >= 0).sum())
    return float(min(1.0, 2 * (1 + tail) / (1 + len(usable))))
