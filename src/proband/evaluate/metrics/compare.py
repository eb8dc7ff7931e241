"""Bootstrap by subject or family, intervals, and p values of paired differences, one or many."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

LOW, HIGH = 0.025, 0.975
_BLOCK_ELEMENTS = 2**18
_LEAST_BLOCK = 8
_LEAST_SHARE_USABLE = 0.8


class Resamples:
    """Bootstrap draws of subjects or families, with replacement.

    The same draws serve every outcome, horizon, model and subgroup, so that what is computed on one of them
    can be compared or added up with what is computed on another, replicate by replicate.

    Args:
        clusters: What is drawn as one, a number for each row: a subject or a family.
        replicates: Bootstrap replicates; 0 for the sample alone.
        rng: Source of the draws; the same state gives the same resamples.
    """

    def __init__(self, clusters: Int[np.ndarray, " rows"], replicates: int, rng: np.random.Generator) -> None:
        self.clusters = np.unique(clusters)
        self.replicates = replicates
        number = len(self.clusters)
        self._drawn = np.zeros((replicates, number), dtype=np.uint16)
        for row in self._drawn:
            row[:] = np.bincount(rng.integers(number, size=number), minlength=number)

    def weights(
        self, clusters: Int[np.ndarray, " rows"], sample_alone: bool = False
    ) -> Iterator[Float[np.ndarray, "block rows"]]:
        """Row weights, in blocks that fit the cache.

        A row weighs as often as its cluster was drawn, so several rows of one stay together.

        Args:
            clusters: Cluster of each row, all among those that were drawn from.
            sample_alone: Give no replicate.

        Yields:
            Blocks of weights. The first row of every block is the sample itself, all ones: estimators that
            start from the sample's fit find it there.
        """
        place = np.searchsorted(self.clusters, clusters)
        replicates = 0 if sample_alone else self.replicates
        size = max(_LEAST_BLOCK, _BLOCK_ELEMENTS // max(1, len(place)))
        for start in range(0, max(replicates, 1), size):
            drawn = self._drawn[start : min(start + size, replicates)]
            block = np.ones((1 + len(drawn), len(place)))
            block[1:] = np.take(drawn, place, axis=1)
            yield block


def stack(blocks: list[np.ndarray]) -> Float[np.ndarray, "replicates ..."]:
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


def intervals(
    replicates: Float[np.ndarray, "estimates replicates"],
) -> tuple[Float[np.ndarray, " estimates"], Float[np.ndarray, " estimates"]]:
    """Lower and upper ends of :func:`interval` of many estimates at once.

    >>> low, high = intervals(np.array([[0.0, 1.0, 2.0], [np.nan, np.nan, 3.0]]))
    >>> low.round(3).tolist(), high.round(3).tolist()
    ([0.05, nan], [1.95, nan])
    """
    number, size = replicates.shape
    if not size:
        return np.full(number, np.nan), np.full(number, np.nan)
    ordered = np.sort(np.where(np.isfinite(replicates), replicates, np.nan), axis=1)  # NaN come last
    usable = np.isfinite(ordered).sum(axis=1)
    few = (usable == 0) | (usable < _LEAST_SHARE_USABLE * size)
    row, ends = np.arange(number), []
    for share in (LOW, HIGH):
        place = share * np.maximum(usable - 1, 0)
        below = place.astype(np.int64)
        above = np.minimum(below + 1, np.maximum(usable - 1, 0))
        first, second = ordered[row, below], ordered[row, above]
        ends.append(np.where(few, np.nan, first + (place - below) * (second - first)))
    return ends[0], ends[1]


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


def false_discovery_rate(p_values: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Benjamini and Hochberg's adjusted p values (1995, JRSS B 57:289); NaN stays NaN and is no test.

    >>> false_discovery_rate(np.array([0.01, 0.04, 0.03, np.nan])).round(3).tolist()
    [0.03, 0.04, 0.04, nan]
    """
    found = np.full(len(p_values), np.nan)
    tests = np.flatnonzero(np.isfinite(p_values))
    order = tests[np.argsort(-p_values[tests], kind="stable")]
    rank = np.arange(len(order), 0, -1)
    found[order] = np.minimum.accumulate(np.minimum(p_values[order] * len(order) / rank, 1.0))
    return found


def max_t(
    values: Float[np.ndarray, " tests"], replicates: Float[np.ndarray, "tests replicates"]
) -> Float[np.ndarray, " tests"]:
    """p values of "no difference" that hold for a whole family of tests, by the largest t statistic.

    The distribution of max |d* - d| / sd(d*) over the family, from resamples that are the same for all of its
    tests, so that their correlation is used (Romano and Wolf 2005, doi 10.1198/016214504000000539).

    Args:
        values: Differences in the sample.
        replicates: The same in each replicate; a test whose replicates are not all finite or do not vary gets
            NaN and is no part of the family.
    """
    found = np.full(len(values), np.nan)
    if not replicates.shape[1]:
        return found
    sd = replicates.std(axis=1)
    tests = np.flatnonzero(np.isfinite(values) & np.isfinite(sd) & (sd > 0))
    if len(tests):
        centred = np.abs(replicates[tests] - values[tests, None]) / sd[tests, None]
        largest = np.sort(centred.max(axis=0))
        beyond = len(largest) - np.searchsorted(largest, np.abs(values[tests]) / sd[tests], side="left")
        found[tests] = (1 + beyond) / (1 + len(largest))
    return found


SUPERIOR, INFERIOR, EQUIVALENT = "superior", "inferior", "equivalent"
NON_INFERIOR, UNDECIDED = "non-inferior", "undecided"


def verdict(low: float | None, high: float | None, margin: float) -> str | None:
    """What a 95% interval of a difference says, given a margin within which differences do not matter.

    Returns:
        superior where all of it is above 0; else equivalent where it lies within the margin on both sides,
        inferior where all of it is below 0, non-inferior where all of it is above -margin, else undecided.
        None without an interval.

    >>> [verdict(*ends, 0.01) for ends in ((0.001, 0.02), (-0.004, 0.003), (-0.03, -0.02), (-0.005, 0.02))]
    ['superior', 'equivalent', 'inferior', 'non-inferior']
    """
    if low is None or high is None:
        return None
    if low > 0:
        return SUPERIOR
    if low > -margin:
        return EQUIVALENT if high < margin else NON_INFERIOR
    return INFERIOR if high < 0 else UNDECIDED
