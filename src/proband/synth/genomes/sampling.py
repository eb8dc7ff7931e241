"""Who is drawn from which population for what: subjects' families, discovery panels, a reference panel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from proband.core.seeds import generator
from proband.synth.config import POPULATIONS, SynthConfig
from proband.synth.genomes.relatives.pedigree import Pedigree

DISCOVERY = ("EUR", "EAS", "AFA", "AMR")
"""Populations of the discovery samples; each has a panel of its own, outside the biobank."""


@dataclass(frozen=True)
class Sampling:
    """Where everyone's genome lies: columns of two haplotypes, sampled people first, then born ones.

    Attributes:
        samples: People to draw from each population, in the order of their columns.
        person: Column of each person of the genealogy.
        discovery: Columns of the discovery panels, one after another in the order of :data:`DISCOVERY`.
        reference: Columns of the reference panel.
        reference_population: Populations of the reference panel.
        num_columns: Columns in all.
    """

    samples: dict[str, int]
    person: Int[np.ndarray, " people"]
    discovery: Int[np.ndarray, " panel"]
    reference: Int[np.ndarray, " reference"]
    reference_population: np.ndarray
    num_columns: int

    @property
    def num_samples(self) -> int:
        """People drawn from the coalescent."""
        return sum(self.samples.values())


def sampling(config: SynthConfig, pedigree: Pedigree) -> Sampling:
    """Founders, discovery panels and reference panel of every population, then the born in order of birth."""
    founders = {
        name: np.flatnonzero(pedigree.founder & (pedigree.population == name)) for name in POPULATIONS
    }
    extra = {
        name: config.reference_panel + (config.discovery_panel if name in DISCOVERY else 0)
        for name in POPULATIONS
    }
    samples = {name: len(founders[name]) + extra[name] for name in POPULATIONS}
    start = dict(zip(samples, np.cumsum([0, *samples.values()]).tolist(), strict=False))
    person = np.full(len(pedigree.father), -1)
    for name, rows in founders.items():
        person[rows] = start[name] + np.arange(len(rows))
    born = np.flatnonzero(~pedigree.founder)
    born = born[np.argsort(pedigree.generation[born], kind="stable")]
    person[born] = sum(samples.values()) + np.arange(len(born))
    after = {name: start[name] + len(founders[name]) for name in POPULATIONS}
    panels = [after[name] + config.reference_panel + np.arange(config.discovery_panel) for name in DISCOVERY]
    return Sampling(
        samples={name: count for name, count in samples.items() if count},
        person=person,
        discovery=np.concatenate(panels),
        reference=np.concatenate([after[name] + np.arange(config.reference_panel) for name in POPULATIONS]),
        reference_population=np.repeat(POPULATIONS, config.reference_panel),
        num_columns=sum(samples.values()) + len(born),
    )


def typed_subjects(config: SynthConfig) -> np.ndarray:
    """Rows of the biobank's subjects with genotypes, ascending; the same on every chromosome."""
    random = generator(config.seed, "synth", "typed")
    count = config.subjects - round(config.ungenotyped * config.subjects)
    return np.sort(random.choice(config.subjects, count, replace=False))
