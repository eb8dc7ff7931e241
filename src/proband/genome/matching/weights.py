r"""The weights of all scores as one sparse matrix over (variant, basis).

A row adds a(0), a(1), a(2) at 0, 1, 2 ALT alleles. With ``dom(d) = min(d, 1)`` and
``rec(d) = max(d - 1, 0)``, for which ``d = dom(d) + rec(d)``, any such row is

    a(d) = a(0) + (a(1) - a(0)) dom(d) + (a(2) - a(1)) rec(d),

so three bases (d itself for additive rows, dom and rec) and one constant per score hold every kind of row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int8, Int64, UInt32
from scipy import sparse

ADDITIVE, DOMINANT, RECESSIVE = range(3)
_NUM_BASES = 3


class WeightStore:
    """Collects the matched rows of scores, one after the other, in compact form."""

    def __init__(self) -> None:
        self._constants: list[float] = []
        self._scores: list[np.ndarray] = []
        self._variants: list[np.ndarray] = []
        self._bases: list[np.ndarray] = []
        self._slopes: list[np.ndarray] = []

    def add(
        self,
        variants: UInt32[np.ndarray, " rows"],
        at: Float64[np.ndarray, "3 rows"],
        is_reversed: Bool[np.ndarray, " rows"],
        is_haploid: Bool[np.ndarray, " rows"],
    ) -> None:
        """Add the matched rows of the next score.

        Args:
            variants: Row of the data set.
            at: What the row adds at 0, 1 and 2 effect alleles.
            is_reversed: The effect allele is REF.
            is_haploid: The variant is on a chromosome that counts 0 or 1.
        """
        at_0, at_1, at_2 = at
        if is_haploid.any():  # stored as 0 or 2
            at_1, at_2 = np.where(is_haploid, (at_0 + at_1) / 2, at_1), np.where(is_haploid, at_1, at_2)
        at_0, at_2 = np.where(is_reversed, at_2, at_0), np.where(is_reversed, at_0, at_2)
        dominant, recessive = at_1 - at_0, at_2 - at_1
        is_additive = dominant == recessive
        if is_additive.all():
            self._append(variants, dominant, ADDITIVE)
        else:
            self._append(variants[is_additive], dominant[is_additive], ADDITIVE)
            self._append(variants[~is_additive], dominant[~is_additive], DOMINANT)
            self._append(variants[~is_additive], recessive[~is_additive], RECESSIVE)
        self._constants.append(float(at_0.sum()))

    def _append(
        self, variants: UInt32[np.ndarray, " rows"], slopes: Float64[np.ndarray, " rows"], basis: int
    ) -> None:
        self._scores.append(np.full(len(variants), len(self._constants), np.int32))
        self._variants.append(variants)
        self._slopes.append(slopes.astype(np.float32))
        self._bases.append(np.full(len(variants), basis, np.int8))

    def weights(self, num_variants: int) -> Weights:
        """All rows as one sparse matrix over the variants of a data set; the store is empty after it."""
        used = np.zeros(_NUM_BASES * num_variants, bool)
        for bases, variants in zip(self._bases, self._variants, strict=True):
            used[_keys(bases, variants, num_variants)] = True
        rows = np.flatnonzero(used)
        place = np.cumsum(used, dtype=np.int32) - np.int32(1)
        places = [
            place[_keys(self._bases.pop(0), self._variants.pop(0), num_variants)]
            for _ in range(len(self._bases))
        ]
        shape = (len(rows), len(self._constants))
        slopes, scores = _join(self._slopes, np.float32), _join(self._scores, np.int32)
        return Weights(
            variants=(rows % num_variants).astype(np.uint32),
            bases=(rows // num_variants).astype(np.int8),
            slopes=sparse.csr_array((slopes, (_join(places, np.int32), scores)), shape=shape),
            constants=np.array(self._constants, np.float64),
        )


def _keys(
    bases: Int8[np.ndarray, " rows"], variants: UInt32[np.ndarray, " rows"], num_variants: int
) -> Int64[np.ndarray, " rows"]:
    return bases.astype(np.int64) * num_variants + variants


def _join(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    """One array of all parts, which it takes out of the list, so that they are not held twice for long."""
    joined: np.ndarray = np.concatenate([np.empty(0, dtype), *parts], dtype=dtype)
    parts.clear()
    return joined


@dataclass(frozen=True)
class Weights:
    """Weights of all scores over the rows (variant, basis) that any of them uses.

    Attributes:
        variants: Row of the genotype file, per weight row.
        bases: ``ADDITIVE``, ``DOMINANT`` or ``RECESSIVE``, per weight row; ascending.
        slopes: Sparse float32 matrix, weight rows by scores.
        constants: What every subject has before any dosage, per score.
    """

    variants: UInt32[np.ndarray, " rows"]
    bases: Int8[np.ndarray, " rows"]
    slopes: sparse.csr_array
    constants: Float64[np.ndarray, " scores"]

    @property
    def sizes(self) -> Int64[np.ndarray, " scores"]:
        """Number of weights of each score."""
        return np.bincount(self.slopes.indices, minlength=len(self.constants))

    def ordered(self, order: Int64[np.ndarray, " scores"]) -> Weights:
        """The same weights with the scores in another order."""
        indices = np.argsort(order).astype(self.slopes.indices.dtype)[self.slopes.indices]
        slopes = sparse.csr_array((self.slopes.data, indices, self.slopes.indptr), shape=self.slopes.shape)
        return Weights(self.variants, self.bases, slopes, self.constants[order])

    def of_scores(self, scores: Int64[np.ndarray, " some"]) -> Weights:
        """Those of some scores."""
        slopes = sparse.csr_array(self.slopes[:, scores])
        used = np.flatnonzero(np.diff(slopes.indptr))
        return Weights(
            self.variants[used], self.bases[used], sparse.csr_array(slopes[used]), self.constants[scores]
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that the weights consist of, by name."""
        return {
            "variants": self.variants,
            "bases": self.bases,
            "data": self.slopes.data,
            "indices": self.slopes.indices,
            "indptr": self.slopes.indptr,
            "constants": self.constants,
        }
