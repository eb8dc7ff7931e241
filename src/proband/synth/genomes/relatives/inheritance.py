"""Gene dropping: how the haplotypes of the born come from those of their parents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int8

from proband.synth.genomes.relatives.pedigree import Pedigree


@dataclass(frozen=True)
class Meioses:
    """Every transmission of one chromosome, parents' own before those to their grandchildren.

    Attributes:
        generation: Generation of the child, ascending.
        child: Haplotype column to fill; consecutive.
        parent: First haplotype column of the parent.
        strand: Which of the parent's two haplotypes is passed on at the chromosome's start.
        crossing: Meiosis of each crossover.
        position: Place of each crossover in bases, ascending.
    """

    generation: Int[np.ndarray, " meioses"]
    child: Int[np.ndarray, " meioses"]
    parent: Int[np.ndarray, " meioses"]
    strand: Int[np.ndarray, " meioses"]
    crossing: Int[np.ndarray, " crossovers"]
    position: Float[np.ndarray, " crossovers"]


def draw_meioses(
    pedigree: Pedigree,
    person: Int[np.ndarray, " people"],
    length: float,
    rate: float,
    random: np.random.Generator,
) -> Meioses:
    """Draw all crossovers, without interference (Haldane).

    Args:
        pedigree: The genealogy.
        person: Column of each person; those of the born follow their generations.
        length: Of the chromosome, bases.
        rate: Crossovers per base and meiosis.
        random: Source of the draws.
    """
    born = np.flatnonzero(~pedigree.founder)
    born = born[np.argsort(person[born])]
    parents = np.stack([pedigree.mother[born], pedigree.father[born]], axis=1).ravel()
    count = random.poisson(length * rate, len(parents))
    position = random.uniform(0, length, int(count.sum()))
    order = np.argsort(position)
    return Meioses(
        generation=np.repeat(pedigree.generation[born], 2),
        child=(2 * person[born][:, None] + np.arange(2)).ravel(),
        parent=2 * person[parents],
        strand=random.integers(0, 2, len(parents)),
        crossing=np.repeat(np.arange(len(parents)), count)[order],
        position=position[order],
    )


def transmit(
    haplotypes: Int8[np.ndarray, "variants haplotypes"],
    meioses: Meioses,
    position: Float[np.ndarray, " variants"],
) -> None:
    """Fill the columns of the born, in place, for a run of variants in ascending order of position."""
    passed = meioses.position <= position[0]
    crossed = np.bincount(meioses.crossing[passed], minlength=len(meioses.strand))
    strand = (meioses.strand + crossed) % 2
    inside = ~passed & (meioses.position <= position[-1])
    crossing, row = meioses.crossing[inside], np.searchsorted(position, meioses.position[inside])
    for generation in np.unique(meioses.generation):
        first, last = np.searchsorted(meioses.generation, [generation, generation + 1])
        source = meioses.parent[first:last] + strand[first:last]
        columns = slice(meioses.child[first], meioses.child[last - 1] + 1)
        haplotypes[:, columns] = haplotypes[:, source]
        for meiosis, start in zip(crossing.tolist(), row.tolist(), strict=True):
            if first <= meiosis < last:
                strand[meiosis] ^= 1
                other = meioses.parent[meiosis] + strand[meiosis]
                haplotypes[start:, meioses.child[meiosis]] = haplotypes[start:, other]


def dosages(
    haplotypes: Int8[np.ndarray, "variants haplotypes"], columns: Int[np.ndarray, " people"]
) -> Int8[np.ndarray, "variants people"]:
    """Allele counts 0, 1, 2 of the people in ``columns``."""
    # Both haplotypes of a person are neighbours: gathered as one number, then added within it.
    pairs = np.take(haplotypes.view(np.uint16), columns, axis=1)
    return (pairs + (pairs >> 8)).astype(np.int8)
