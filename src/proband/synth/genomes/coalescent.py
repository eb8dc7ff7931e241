"""The history of the simulated populations, and pieces of genome drawn from it by coalescent simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Int

from proband.core.errors import ConfigError

MIN_FREQUENCY = 0.01
"""Least minor-allele frequency kept, over all founders of the biobank's families."""
MUTATION_RATE = 1.29e-8
"""Per base and generation; Jonsson 2017, doi:10.1038/nature24018."""
RECOMBINATION_RATE = 1.2e-8
"""Per base and generation: about 36 Morgans over 3.1e9 bases."""


def demography() -> Any:
    """Out of Africa with two recent admixtures, as ``msprime.Demography``.

    Sizes, growth, times (generations) and migration rates of AFR, EUR, EAS and AMR are those of Browning 2018
    (doi:10.1371/journal.pgen.1007385), whose out-of-Africa part is Gravel 2011 (doi:10.1073/pnas.1019276108).
    African Americans (AFA) descend by four fifths from AFR and by one fifth from EUR, rounded after Baharian
    2016 (doi:10.1371/journal.pgen.1006059), in one pulse ten generations ago; the date and their size, that
    of AMR, are rounded choices of ours.
    """
    msprime = import_msprime()
    split, american, african_american = 920, 12, 10
    history = msprime.Demography()
    history.add_population(name="AFR", initial_size=14474)
    history.add_population(name="EUR", initial_size=1032 * math.exp(0.0038 * split), growth_rate=0.0038)
    history.add_population(name="EAS", initial_size=554 * math.exp(0.0048 * split), growth_rate=0.0048)
    for name, age in (("AMR", american), ("AFA", african_american)):
        history.add_population(name=name, initial_size=30000 * math.exp(0.05 * age), growth_rate=0.05)
    history.add_population(name="OOA", initial_size=1861)
    history.add_population(name="AMH", initial_size=14474)
    history.add_population(name="ANC", initial_size=7310)
    history.set_symmetric_migration_rate(["AFR", "EUR"], 2.5e-5)
    history.set_symmetric_migration_rate(["AFR", "EAS"], 0.78e-5)
    history.set_symmetric_migration_rate(["EUR", "EAS"], 3.11e-5)
    mixture = {"derived": "AFA", "ancestral": ["AFR", "EUR"], "proportions": [0.8, 0.2]}
    history.add_admixture(time=african_american, **mixture)
    mixture = {"derived": "AMR", "ancestral": ["AFR", "EUR", "EAS"], "proportions": [1 / 6, 1 / 3, 1 / 2]}
    history.add_admixture(time=american, **mixture)
    history.add_population_split(time=split, derived=["EUR", "EAS"], ancestral="OOA")
    history.add_symmetric_migration_rate_change(time=split, populations=["AFR", "OOA"], rate=15e-5)
    history.add_population_split(time=2040, derived=["OOA", "AFR"], ancestral="AMH")
    history.add_population_split(time=5920, derived=["AMH"], ancestral="ANC")
    return history


def import_msprime() -> Any:
    """The msprime module.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        import msprime
    except ImportError:
        raise ConfigError(
            "proband synth needs msprime, which is not installed", remedy="pip install 'proband[synth]'"
        ) from None
    return msprime


def simulate_piece(
    samples: dict[str, int], history: Any, megabases: float, random: np.random.Generator
) -> Any:
    """Ancestry and mutations of one piece, as a tree sequence.

    Args:
        samples: People per population, in the order of their nodes.
        history: An ``msprime.Demography``.
        megabases: Length of the piece.
        random: Source of msprime's two seeds.
    """
    msprime = import_msprime()
    ancestry_seed, mutation_seed = (int(draw) for draw in random.integers(1, 2**31, 2))
    tree = msprime.sim_ancestry(
        samples,
        demography=history,
        sequence_length=round(megabases * 1e6),
        recombination_rate=RECOMBINATION_RATE,
        random_seed=ancestry_seed,
    )
    return msprime.sim_mutations(
        tree, rate=MUTATION_RATE, model=msprime.BinaryMutationModel(), random_seed=mutation_seed
    )


def common_sites(
    tree: Any, haplotypes: Int[np.ndarray, " haplotypes"], least: float = MIN_FREQUENCY
) -> Int[np.ndarray, " sites"]:
    """Ids of the sites with one mutation and a minor-allele frequency of at least ``least``.

    Args:
        tree: A tree sequence with mutations.
        haplotypes: The sample nodes among which frequencies are taken.
        least: Of the rarer allele; 0 keeps every site that varies or not.
    """
    # Plain arrays: building an object per site would take most of the simulation's time.
    positions, site_of = tree.tables.sites.position, tree.tables.mutations.site
    node = tree.tables.mutations.node[np.searchsorted(site_of, np.arange(len(positions)))].tolist()
    first = np.searchsorted(positions, tree.breakpoints(as_array=True)).tolist()
    carriers = np.zeros(len(positions))
    for index, marginal in enumerate(tree.trees(tracked_samples=haplotypes.tolist())):
        for site in range(first[index], first[index + 1]):
            carriers[site] = marginal.num_tracked_samples(node[site])
    share = carriers / len(haplotypes)
    once = np.bincount(site_of, minlength=len(positions)) == 1
    return np.flatnonzero(once & (share >= least) & (share <= 1 - least))
