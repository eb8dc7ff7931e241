"""The most similar population of each person, by principal components: a likeness, never a race."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float64

from proband.core.errors import DataError
from proband.core.seeds import bounded
from proband.genome.ancestry.config import LEAST_CONFIDENCE

_TREES = 100
_LEAST_PEOPLE = 5
"""Labelled people below which a population is not learnt. Rounded choice of ours."""


@dataclass(frozen=True)
class Similarity:
    """Labelled people by whom others are assigned; the classifier is refitted from them, the same every time.

    Attributes:
        pcs: Standardised components of the labelled people.
        labels: Their populations.
        method: ``forest`` or ``mahalanobis``.
        seed: Of the forest.
    """

    pcs: Float64[np.ndarray, "people pcs"]
    labels: list[str]
    method: str
    seed: int

    @property
    def populations(self) -> list[str]:
        """Names of the populations, sorted."""
        return sorted(set(self.labels))


def check_populations(labels: list[str], num_pcs: int, where: object) -> None:
    """Refuse labels that nothing can be learnt from.

    Raises:
        DataError: There is one population only, or a population has hardly anybody.
    """
    sizes = pl.Series("population", labels, dtype=pl.String).value_counts(sort=True)
    least = max(_LEAST_PEOPLE, num_pcs + 1)
    remedy = "join small populations, leave their labels empty, or name another column of populations"
    if sizes.height < 2:
        found = f"{sizes.height} among {len(labels)} unrelated people"
        raise DataError("too few populations", where=where, found=found, expected="2 or more", remedy=remedy)
    if sizes["count"][-1] < least:
        found = f"{sizes['count'][-1]} unrelated people of {sizes['population'][-1]}"
        raise DataError("too small a population", where=where, found=found, expected=least, remedy=remedy)


def assign(similarity: Similarity, pcs: Float64[np.ndarray, "people pcs"]) -> pl.DataFrame:
    """Assign people to their most similar population.

    By random forest, ``probability_X`` is the share of trees; by Mahalanobis, the p-value of the distance to
    X's centre (chi-square of as many degrees of freedom as components; pgsc_calc takes one fewer).

    Args:
        similarity: The labelled people.
        pcs: Components standardised as theirs.

    Returns:
        ``most_similar_population``, ``low_confidence`` and one float32 ``probability_X`` per population.
    """
    if similarity.method == "forest":
        probability = _forest(similarity, pcs)
        best = probability.argmax(axis=1)
    else:
        from scipy.stats import chi2  # half a second to import, and seldom needed

        distance = _distances(similarity, pcs)
        best = distance.argmin(axis=1)
        probability = chi2.sf(distance, pcs.shape[1])
    names = similarity.populations
    top = probability[np.arange(len(pcs)), best]
    return pl.DataFrame(
        {
            "most_similar_population": pl.Series([names[number] for number in best], dtype=pl.String),
            "low_confidence": top < LEAST_CONFIDENCE[similarity.method],
        }
        | {
            f"probability_{name}": probability[:, number].astype(np.float32)
            for number, name in enumerate(names)
        }
    )


def _forest(
    similarity: Similarity, pcs: Float64[np.ndarray, "people pcs"]
) -> Float64[np.ndarray, "people populations"]:
    from sklearn.ensemble import RandomForestClassifier

    seed = bounded(similarity.seed, 32)
    forest = RandomForestClassifier(n_estimators=_TREES, random_state=seed, n_jobs=1)
    forest.fit(similarity.pcs, similarity.labels)
    return np.asarray(forest.predict_proba(pcs), dtype=np.float64)


def _distances(
    similarity: Similarity, pcs: Float64[np.ndarray, "people pcs"]
) -> Float64[np.ndarray, "people populations"]:
    """Squared Mahalanobis distances to each population's mean, by its own covariance (ddof 0)."""
    labels = np.array(similarity.labels)
    distances = np.empty((len(pcs), len(similarity.populations)))
    for number, name in enumerate(similarity.populations):
        own = similarity.pcs[labels == name]
        centred = pcs - own.mean(axis=0)
        covariance = np.cov(own, rowvar=False, ddof=0).reshape(pcs.shape[1], pcs.shape[1])
        distances[:, number] = np.einsum("ij,ij->i", centred, np.linalg.solve(covariance, centred.T).T)
    return distances
