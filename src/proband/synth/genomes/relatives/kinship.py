"""Expected kinship between subjects, from the genealogy alone."""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from proband.synth.config import FIRST_SUBJECT_ID
from proband.synth.genomes.relatives.pedigree import Pedigree

LEAST_KINSHIP = 0.0442
"""Pairs below it are left out: the lower bound of third-degree relatives in KING (Manichaikul 2010,
doi:10.1093/bioinformatics/btq559)."""


def kinship_table(pedigree: Pedigree) -> pl.DataFrame:
    """Pairs of related subjects.

    Returns:
        subject_id_1 < subject_id_2, kinship (expected: half the share of genome shared by descent), and
        relationship: parent_child, full_sibs, half_sibs, grandparent, avuncular, first_cousins or other.
    """
    rows = _family_rows(pedigree)
    kinship = _kinship(pedigree, rows)
    family, one, other = np.nonzero(np.triu(np.ones(kinship.shape, dtype=bool), 1))
    first, second, value = rows[family, one], rows[family, other], kinship[family, one, other]
    kept = (value >= LEAST_KINSHIP) & (first >= 0) & (second >= 0)
    kept &= (pedigree.subject[first] >= 0) & (pedigree.subject[second] >= 0)
    first, second, value = first[kept], second[kept], value[kept]
    ids = np.sort(FIRST_SUBJECT_ID + np.stack([pedigree.subject[first], pedigree.subject[second]]), axis=0)
    return pl.DataFrame(
        {
            "subject_id_1": ids[0],
            "subject_id_2": ids[1],
            "kinship": value,
            "relationship": _relationships(pedigree, first, second),
        },
        schema={
            "subject_id_1": pl.Int64,
            "subject_id_2": pl.Int64,
            "kinship": pl.Float64,
            "relationship": pl.String,
        },
    ).sort("subject_id_1", "subject_id_2")


def _family_rows(pedigree: Pedigree) -> Int[np.ndarray, "families members"]:
    """Rows of each family of more than one, parents first; -1 beyond its size."""
    size = np.bincount(pedigree.family)
    kept = np.flatnonzero(size[pedigree.family] > 1)
    order = kept[np.argsort(pedigree.family[kept], kind="stable")]
    number, start = np.unique(pedigree.family[order], return_index=True, return_inverse=False)
    place = np.arange(len(order)) - np.repeat(start, size[number])
    rows = np.full((len(number), int(size[number].max(initial=0))), -1)
    rows[np.repeat(np.arange(len(number)), size[number]), place] = order
    return rows


def _kinship(
    pedigree: Pedigree, rows: Int[np.ndarray, "families members"]
) -> Float[np.ndarray, "families members members"]:
    """The recursion over parents, all families at once; founders are unrelated and not inbred."""
    num_families, size = rows.shape
    place = np.full(len(pedigree.family) + 1, size)
    place[rows] = np.arange(size)
    place[-1] = size
    # A last row and column of zeros stand for unknown parents.
    kinship = np.zeros((num_families, size + 1, size + 1))
    every = np.arange(num_families)
    for member in range(size):
        known = rows[:, member] >= 0
        father, mother = (
            np.where(known, place[np.where(known, parent[rows[:, member]], -1)], size)
            for parent in (pedigree.father, pedigree.mother)
        )
        mean = (kinship[every, father, :] + kinship[every, mother, :]) / 2
        kinship[:, member, :member] = mean[:, :member]
        kinship[:, :member, member] = mean[:, :member]
        kinship[:, member, member] = np.where(known, 0.5 * (1 + kinship[every, father, mother]), 0)
    return kinship[:, :size, :size]


def _relationships(pedigree: Pedigree, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """What two related people are to each other, in either direction."""
    names = {
        "parent_child": _parent_of,
        "full_sibs": _full_sibs,
        "half_sibs": _half_sibs,
        "grandparent": _grandparent_of,
        "avuncular": _sib_of_parent,
        "first_cousins": _parents_are_sibs,
    }
    holds = [test(pedigree, first, second) | test(pedigree, second, first) for test in names.values()]
    return np.select(holds, list(names), "other")


def _parents(pedigree: Pedigree, rows: np.ndarray) -> list[np.ndarray]:
    return [np.where(rows >= 0, parent[rows], -1) for parent in (pedigree.father, pedigree.mother)]


def _parent_of(pedigree: Pedigree, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    father, mother = _parents(pedigree, other)
    return (one >= 0) & ((father == one) | (mother == one))


def _shared(pedigree: Pedigree, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Number of parents that two people share."""
    pairs = zip(_parents(pedigree, one), _parents(pedigree, other), strict=True)
    return np.sum([(mine >= 0) & (mine == theirs) for mine, theirs in pairs], axis=0)


def _full_sibs(pedigree: Pedigree, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (_shared(pedigree, one, other) == 2) & (one != other)


def _half_sibs(pedigree: Pedigree, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return _shared(pedigree, one, other) == 1


def _grandparent_of(pedigree: Pedigree, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.any([_parent_of(pedigree, one, parent) for parent in _parents(pedigree, other)], axis=0)


def _sib_of_parent(pedigree: Pedigree, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.any([_full_sibs(pedigree, one, parent) for parent in _parents(pedigree, other)], axis=0)


def _parents_are_sibs(pedigree: Pedigree, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.any([_sib_of_parent(pedigree, parent, other) for parent in _parents(pedigree, one)], axis=0)
