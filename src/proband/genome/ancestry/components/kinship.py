r"""Who is related: KING-robust kinship, and the largest set of unrelated people found greedily.

KING-robust (Manichaikul 2010, doi:10.1093/bioinformatics/btq559, equation 11) needs no allele frequencies, so
mixed ancestries do not pass for kinship. Over variants called in both people,

    \phi = 1/2 - \sum (g_i - g_j)^2 / (4 \min(N_i, N_j)),

with N the heterozygous calls; it expects 1/2 for twins, 1/4 for parent and child or full siblings, 1/8 and
1/16 for second and third degree, 0 or less for others.
"""

from __future__ import annotations

import heapq
from pathlib import Path

import numpy as np
import polars as pl
from jaxtyping import Float32, Float64, Int8, Int64
from scipy import sparse

from proband.core.running.progress import say, track
from proband.core.text.kinshiptable import read_kinship_table
from proband.genome.ancestry.components.panel import Panel

MOST_PEOPLE = 50_000
"""Beyond, pairs are too many to compare here; biobanks hand out a table. Rounded choice of ours."""
MOST_VARIANTS = 10_000
"""More part the classes no better: the standard error is about 0.007 at 10,000. Rounded choice of ours."""
LEAST_VARIANTS = 5000
"""Fewer tell second degree from unrelated too badly to act on. Rounded choice of ours."""

_TILE = 1024
_MISSING = -1


def read_kinship(path: Path) -> pl.DataFrame:
    """``first, second`` (sample names) and ``kinship`` of a table of pairs.

    Raises:
        DataError: The table cannot be used.
    """
    table = read_kinship_table(path)
    for reason, (number, first) in table.left_out.items():
        say(f"genome: {number} rows of {path.name} left out: {reason} (first: row {first})")
    return table.pairs


def pairs_of(table: pl.DataFrame, sample_ids: list[str], max_kinship: float) -> Int64[np.ndarray, "pairs 2"]:
    """Rows of the related pairs among ``sample_ids``; people of the table not among them are passed over."""
    row_of = {name: row for row, name in enumerate(sample_ids)}
    close = table.filter((pl.col("kinship") >= max_kinship) & (pl.col("first") != pl.col("second")))
    rows = [
        (row_of[one], row_of[other])
        for one, other in close.select("first", "second").iter_rows()
        if one in row_of and other in row_of
    ]
    return np.array(rows, np.int64).reshape(-1, 2)


def related_pairs(panel: Panel, max_kinship: float) -> Int64[np.ndarray, "pairs 2"]:
    """Columns of the panel's people whose KING-robust kinship is at least ``max_kinship``."""
    calls = np.empty((len(panel.people), len(panel.variants)), np.int8)
    for block, dosages in panel.blocks("Reading calls for kinship"):
        calls[:, block] = np.where(dosages < 0, _MISSING, np.rint(dosages)).T
    found = []
    for start in track(range(0, len(calls), _TILE), "Comparing people", -(-len(calls) // _TILE)):
        mine = _People(calls[start : start + _TILE])
        for other in range(start, len(calls), _TILE):
            theirs = mine if other == start else _People(calls[other : other + _TILE])
            rows, columns = np.nonzero(_kinship(mine, theirs) >= max_kinship)
            pairs = np.stack([rows + start, columns + other], axis=1)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    return np.concatenate([np.empty((0, 2), np.int64), *found])


def king(
    ones: Int8[np.ndarray, "ones variants"], others: Int8[np.ndarray, "others variants"]
) -> Float64[np.ndarray, "ones others"]:
    """KING-robust kinship of every pair from calls 0, 1, 2 (-1 missing); -inf without heterozygous calls.

    >>> calls = np.array([[0, 1, 1, 2], [0, 1, 1, 2], [2, 1, 1, 0]], np.int8)
    >>> king(calls, calls)[0].tolist()
    [0.5, 0.5, -0.5]
    """
    return _kinship(_People(ones), _People(others))


def _kinship(mine: _People, theirs: _People) -> Float64[np.ndarray, "ones others"]:
    num_variants = mine.het.shape[1]
    called = num_variants - mine.num_missing[:, None] - theirs.num_missing + _overlap(mine, theirs)
    mine_het = mine.num_het[:, None] - (theirs.missing @ mine.het.T).T
    their_het = theirs.num_het - mine.missing @ theirs.het.T
    # With calls coded -1, 0, 1: (g_i - g_j)^2 sums the homozygous calls of both, less twice the product.
    distance = (called - mine_het) + (called - their_het) - 2.0 * (mine.centred @ theirs.centred.T)
    fewest = np.minimum(mine_het, their_het)
    with np.errstate(divide="ignore", invalid="ignore"):
        kinship = 0.5 - distance / (4.0 * fewest)
    return np.where(fewest > 0, kinship, -np.inf)


class _People:
    """The calls of some people as the products want them; missing calls are few, so their mask is sparse."""

    def __init__(self, calls: Int8[np.ndarray, "people variants"]) -> None:
        missing = calls == _MISSING
        self.centred = np.where(missing, np.float32(0), calls.astype(np.float32) - 1)
        self.het = (calls == 1).astype(np.float32)
        self.missing = sparse.csr_array(missing, dtype=np.float32)
        self.num_het = self.het.sum(axis=1, dtype=np.float64)
        self.num_missing = missing.sum(axis=1).astype(np.float64)


def _overlap(mine: _People, theirs: _People) -> Float32[np.ndarray, "ones others"]:
    """Variants that both people miss."""
    return (mine.missing @ theirs.missing.T).toarray()


def unrelated(num_people: int, pairs: Int64[np.ndarray, "pairs 2"]) -> Int64[np.ndarray, " kept"]:
    """A maximal set of people without a pair among them.

    Whoever has the most relatives left is taken out (of equals, the later one) until no pair is left; then
    everyone taken out who has no relative among the rest comes back, earlier ones first.

    >>> unrelated(4, np.array([[0, 1], [1, 2]])).tolist()
    [0, 2, 3]
    """
    relatives: list[set[int]] = [set() for _ in range(num_people)]
    for one, other in pairs.tolist():
        relatives[one].add(other)
        relatives[other].add(one)
    degree = [len(near) for near in relatives]
    kept = np.ones(num_people, bool)
    queue = [(-count, -person) for person, count in enumerate(degree) if count]
    heapq.heapify(queue)
    while queue:
        count, person = (-entry for entry in heapq.heappop(queue))
        if not kept[person] or count != degree[person]:
            continue  # an entry from before a relative was taken out
        kept[person] = False
        for near in relatives[person]:
            degree[near] -= 1
            if kept[near] and degree[near]:
                heapq.heappush(queue, (-degree[near], -near))
    for person in np.flatnonzero(~kept).tolist():
        kept[person] = not any(kept[near] for near in relatives[person])
    return np.flatnonzero(kept)
