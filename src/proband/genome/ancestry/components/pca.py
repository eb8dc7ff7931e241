r"""Principal components of standardised genotypes, read block by block.

X holds ``(d - 2f) / sqrt(2f(1 - f))``, variants by people. Its leading singular vectors are found in the
block Krylov space of a random start (Halko 2011, doi:10.1137/090771806; Musco and Musco 2015,
arXiv:1504.05477; for genotypes Galinsky 2016, doi:10.1016/j.ajhg.2015.12.022), which takes a few passes over
the genotypes and never holds X whole. A person's components are ``x' U / sqrt(variants)``, so that over the
people fitted the squares of the k-th add up to the k-th eigenvalue of X'X / variants.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64

from proband.core.seeds import generator
from proband.genome.ancestry.components.panel import Panel, standardise

_ORTHOGONAL = 1e-12  # directions of the Krylov space below this share of the largest are rounding
_PEOPLE_AT_A_TIME = 4096  # bounds the memory of their matrices


@dataclass(frozen=True)
class Loadings:
    """What projects a person.

    Attributes:
        frequency: Frequency of ALT among the people fitted, per variant.
        vectors: Left singular vectors U, orthonormal columns; twice as many as components are kept, since the
            correction of projections needs those below too.
        singular: Their singular values, descending.
        num_variants: Variants fitted; more than ``frequency`` has where :meth:`of_variants` left some out.
    """

    frequency: Float64[np.ndarray, " variants"]
    vectors: Float32[np.ndarray, "variants kept"]
    singular: Float64[np.ndarray, " kept"]
    num_variants: int

    def of_variants(self, rows: Int64[np.ndarray, " rows"]) -> Loadings:
        """The loadings where only some of the variants can be read."""
        return dataclasses.replace(self, frequency=self.frequency[rows], vectors=self.vectors[rows])


def fit_loadings(
    panel: Panel, frequency: Float64[np.ndarray, " variants"], num_vectors: int, passes: int, seed: int
) -> Loadings:
    """Leading singular vectors of the panel's standardised genotypes.

    Args:
        panel: Variants and the people to fit.
        frequency: ALT frequency among these people; strictly between 0 and 1.
        num_vectors: Vectors wanted; fewer come where the data have fewer.
        passes: Multiplications by X X', each one pass over the data.
        seed: Of the random start.
    """
    num_people = len(panel.people)
    width = min(num_vectors, num_people)
    start = generator(seed, "genome", "pca").normal(size=(num_people, width))
    step = np.linalg.qr(start)[0]
    krylov = []
    for number in range(passes):
        step = np.linalg.qr(_multiplied(panel, frequency, step, f"Components, pass {number + 1}"))[0]
        krylov.append(step)
        if width * len(krylov) >= num_people:
            break  # the space is already everything
    basis = _orthonormal(np.concatenate(krylov, axis=1))
    projected = np.empty((len(panel.variants), basis.shape[1]), np.float32)
    for block, dosages in panel.blocks("Components, last pass"):
        projected[block] = standardise(dosages, frequency[block]) @ basis.astype(np.float32)
    gram = projected.astype(np.float64).T @ projected
    squares, rotation = np.linalg.eigh(gram)
    order = np.argsort(squares)[::-1][:num_vectors]
    order = order[squares[order] > _ORTHOGONAL * squares.max()]
    singular = np.sqrt(squares[order])
    vectors = projected @ (rotation[:, order] / singular).astype(np.float32)
    return Loadings(frequency, _signed(vectors), singular, len(frequency))


def _multiplied(
    panel: Panel,
    frequency: Float64[np.ndarray, " variants"],
    step: Float64[np.ndarray, "people width"],
    description: str,
) -> Float64[np.ndarray, "people width"]:
    """``X' X step``."""
    single = step.astype(np.float32)
    total = np.zeros(step.shape)
    for block, dosages in panel.blocks(description):
        standard = standardise(dosages, frequency[block])
        total += standard.T @ (standard @ single)
    return total


def _orthonormal(columns: Float64[np.ndarray, "people columns"]) -> Float64[np.ndarray, "people rank"]:
    """An orthonormal basis of what the columns span, nearly dependent once the vectors are found."""
    left, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    return left[:, sizes > _ORTHOGONAL * sizes.max()]


def _signed(vectors: Float32[np.ndarray, "variants kept"]) -> Float32[np.ndarray, "variants kept"]:
    """Vectors turned so that each one's largest entry is positive: their sign is arbitrary otherwise."""
    largest = np.abs(vectors).argmax(axis=0)
    return vectors * np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1, 1).astype(np.float32)


@dataclass(frozen=True)
class Projection:
    """People along the singular vectors.

    Attributes:
        scores: ``X' U``, people by vectors.
        squares: Squared length of each person's standardised genotypes, carried up to all variants fitted.
        num_variants: Variants fitted.
    """

    scores: Float64[np.ndarray, "people kept"]
    squares: Float64[np.ndarray, " people"]
    num_variants: int

    def of_people(self, chosen: Bool[np.ndarray, " people"]) -> Projection:
        """The projection of some of the people."""
        return dataclasses.replace(self, scores=self.scores[chosen], squares=self.squares[chosen])


def project(panel: Panel, loadings: Loadings) -> Projection:
    """Project the panel's people, whose variants are those of the loadings in order.

    Where variants of the loadings cannot be read (:meth:`Loadings.of_variants`), scores are the least-squares
    coordinates by those that can, which compare with the others'; single missing calls count as the mean.
    """
    scores = np.zeros((len(panel.people), loadings.vectors.shape[1]))
    squares = np.zeros(len(panel.people))
    for block, dosages in panel.blocks("Projecting"):
        standard = standardise(dosages, loadings.frequency[block])
        scores += standard.T @ loadings.vectors[block]
        squares += np.einsum("ij,ij->j", standard, standard)
    vectors = loadings.vectors.astype(np.float64)
    coordinates = np.linalg.solve(vectors.T @ vectors, scores.T).T
    share = len(panel.variants) / loadings.num_variants
    return Projection(coordinates, squares / share, loadings.num_variants)


def components(projection: Projection, num_pcs: int) -> Float64[np.ndarray, "people pcs"]:
    """The plain projection: right for the people fitted, drawn to the centre for others."""
    return projection.scores[:, :num_pcs] / np.sqrt(projection.num_variants)


def corrected(projection: Projection, loadings: Loadings, num_pcs: int) -> Float64[np.ndarray, "people pcs"]:
    """Components of people outside the fit, freed of shrinkage by online augmentation.

    Each person is added to the decomposition alone, which is then turned and scaled back onto the fitted
    people's components (augmentation, decomposition and Procrustes: Zhang 2020,
    doi:10.1093/bioinformatics/btaa152). The decomposition is of the kept vectors and one for what the person
    has beyond them, so it takes a matrix of (kept + 1) squared per person.
    """
    slices = [
        slice(row, row + _PEOPLE_AT_A_TIME) for row in range(0, len(projection.scores), _PEOPLE_AT_A_TIME)
    ]
    pieces = [
        _augmented(projection.scores[rows], projection.squares[rows], loadings, num_pcs) for rows in slices
    ]
    joined = np.concatenate([np.empty((0, num_pcs)), *pieces])
    return joined / np.sqrt(projection.num_variants)


def _augmented(
    scores: Float64[np.ndarray, "people kept"],
    squares: Float64[np.ndarray, " people"],
    loadings: Loadings,
    num_pcs: int,
) -> Float64[np.ndarray, "people pcs"]:
    people, kept = scores.shape
    augmented = np.zeros((people, kept + 1, kept + 1))
    augmented[:, np.arange(kept), np.arange(kept)] = loadings.singular
    augmented[:, :kept, kept] = scores
    augmented[:, kept, kept] = np.sqrt(np.maximum(squares - np.square(scores).sum(axis=1), 0))
    _, sizes, right = np.linalg.svd(augmented)
    # Rows: the people fitted in their own orthonormal coordinates, then the person added.
    placed = right[:, :num_pcs].transpose(0, 2, 1) * sizes[:, None, :num_pcs]
    fitted, added = placed[:, :kept], placed[:, kept]
    target = np.zeros((kept, num_pcs))
    target[np.arange(num_pcs), np.arange(num_pcs)] = loadings.singular[:num_pcs]
    one, stretch, other = np.linalg.svd(fitted.transpose(0, 2, 1) @ target)
    scale = stretch.sum(axis=1) / np.square(fitted).sum(axis=(1, 2))
    return np.einsum("n,nk,nkj->nj", scale, added, one @ other)
