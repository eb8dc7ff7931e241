"""Genotypes of four related populations, by coalescent simulation, one piece per chromosome."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from proband.core.errors import ConfigError
from proband.core.progress import track
from proband.core.seeds import generator
from proband.synth.config import POPULATIONS, SynthConfig

MIN_FREQUENCY = 0.01
"""Least minor-allele frequency kept, over the whole biobank."""
MISSING = -9
"""Code of a missing genotype call in ``int8`` dosages, as pgenlib has it."""
DISCOVERY = ("EUR", "EAS")
"""Populations in which a virtual GWAS can be run; each has a panel of its own."""

_MUTATION_RATE = 1.29e-8  # per base and generation; Jonsson 2017, doi:10.1038/nature24018
_RECOMBINATION_RATE = 1.2e-8  # per base and generation: about 36 Morgans over 3.1e9 bases
_PIECE_STARTS = np.round(
    # A third into each chromosome of GRCh38, in Mb: clear of most telomeres and centromeres.
    np.array(
        [
            248,
            242,
            198,
            190,
            181,
            170,
            159,
            145,
            138,
            133,
            135,
            133,
            114,
            107,
            101,
            90,
            83,
            80,
            58,
            64,
            46,
            50,
        ]
    )
    * 1e6
    / 3
).astype(np.int64)
_BASES = np.array(list("ACGT"))
_COMPLEMENT = np.array([3, 2, 1, 0])
_AMBIGUOUS_SHARE = 0.05
"""Share of A/T and C/G variants; real arrays avoid them. Rounded choice of ours."""


@dataclass(frozen=True)
class Genome:
    """Simulated genotypes.

    Attributes:
        dosages: ALT allele counts 0, 1, 2, int8 (variants, subjects), nothing missing.
        panels: Discovery population to int8 (variants, samples) of people outside the biobank.
        population: Population of each subject.
        variants: chrom (1..22), pos (GRCh38-like), ref, alt, rsid, and genotyped: whether the array types it.
    """

    dosages: np.ndarray
    panels: dict[str, np.ndarray]
    population: np.ndarray
    variants: pl.DataFrame


def demography() -> Any:
    """Out of Africa with a recent American admixture, as ``msprime.Demography``.

    Sizes, growth, times (generations) and migration rates are those of Browning 2018
    (doi:10.1371/journal.pgen.1007385), whose out-of-Africa part is Gravel 2011 (doi:10.1073/pnas.1019276108).
    """
    msprime = _msprime()
    split, admixture = 920, 12
    history = msprime.Demography()
    history.add_population(name="AFR", initial_size=14474)
    history.add_population(name="EUR", initial_size=1032 * math.exp(0.0038 * split), growth_rate=0.0038)
    history.add_population(name="EAS", initial_size=554 * math.exp(0.0048 * split), growth_rate=0.0048)
    history.add_population(name="AMR", initial_size=30000 * math.exp(0.05 * admixture), growth_rate=0.05)
    history.add_population(name="OOA", initial_size=1861)
    history.add_population(name="AMH", initial_size=14474)
    history.add_population(name="ANC", initial_size=7310)
    history.set_symmetric_migration_rate(["AFR", "EUR"], 2.5e-5)
    history.set_symmetric_migration_rate(["AFR", "EAS"], 0.78e-5)
    history.set_symmetric_migration_rate(["EUR", "EAS"], 3.11e-5)
    parents = {"derived": "AMR", "ancestral": ["AFR", "EUR", "EAS"], "proportions": [1 / 6, 1 / 3, 1 / 2]}
    history.add_admixture(time=admixture, **parents)
    history.add_population_split(time=split, derived=["EUR", "EAS"], ancestral="OOA")
    history.add_symmetric_migration_rate_change(time=split, populations=["AFR", "OOA"], rate=15e-5)
    history.add_population_split(time=2040, derived=["OOA", "AFR"], ancestral="AMH")
    history.add_population_split(time=5920, derived=["AMH"], ancestral="ANC")
    return history


def _msprime() -> Any:
    try:
        import msprime
    except ImportError:
        raise ConfigError(
            "proband synth needs msprime, which is not installed", remedy="pip install 'proband[synth]'"
        ) from None
    return msprime


def population_sizes(config: SynthConfig) -> dict[str, int]:
    """Subjects per population, adding up to ``config.subjects`` (largest remainders)."""
    exact = np.array(config.population_shares) * config.subjects
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: config.subjects - counts.sum()]] += 1
    return {name: int(count) for name, count in zip(POPULATIONS, counts, strict=True)}


def simulate(config: SynthConfig) -> Genome:
    """Simulate the biobank's genotypes and the discovery panels'.

    Raises:
        ConfigError: msprime is missing, or a piece has fewer common variants than asked for.
    """
    history = demography()
    sizes = population_sizes(config)
    samples = {
        name: count + (config.discovery_panel if name in DISCOVERY else 0) for name, count in sizes.items()
    }
    wanted = np.diff(np.linspace(0, config.variants * (1 + config.hidden_variants), 23).astype(int))
    pieces = [
        _piece(config, history, samples, sizes, chrom, int(wanted[chrom - 1]))
        for chrom in track(range(1, 23), "Simulating chromosomes", 22)
    ]
    dosages = np.concatenate([piece[0] for piece in pieces])
    in_biobank, populations = _columns(samples, sizes)
    # Subjects of one population would otherwise be neighbours, and the order would tell their ancestry.
    order = generator(config.seed, "synth", "order").permutation(np.flatnonzero(in_biobank))
    panels = {name: dosages[:, ~in_biobank & (populations == name)] for name in DISCOVERY}
    variants = _describe(config, pieces)
    return Genome(np.ascontiguousarray(dosages[:, order]), panels, populations[order], variants)


def _columns(samples: dict[str, int], sizes: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    in_biobank = np.concatenate([np.arange(count) < sizes[name] for name, count in samples.items()])
    return in_biobank, np.repeat(list(samples), list(samples.values()))


def _piece(
    config: SynthConfig, history: Any, samples: dict[str, int], sizes: dict[str, int], chrom: int, wanted: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Dosages (variants, samples), positions and chromosome of one piece, thinned to ``wanted`` variants."""
    msprime = _msprime()
    random = generator(config.seed, "synth", "piece", chrom)
    ancestry_seed, mutation_seed = (int(draw) for draw in random.integers(1, 2**31, 2))
    tree = msprime.sim_ancestry(
        {name: count for name, count in samples.items() if count},
        demography=history,
        sequence_length=round(config.piece_megabases * 1e6),
        recombination_rate=_RECOMBINATION_RATE,
        random_seed=ancestry_seed,
    )
    tree = msprime.sim_mutations(
        tree, rate=_MUTATION_RATE, model=msprime.BinaryMutationModel(), random_seed=mutation_seed
    )
    in_biobank, _ = _columns(samples, sizes)
    common = _common_sites(tree, np.repeat(in_biobank, 2))
    if len(common) < wanted:
        raise ConfigError(
            "too few common variants in a simulated piece",
            found=f"{len(common)} on chromosome {chrom}",
            expected=f"at least {wanted}",
            remedy="raise piece_megabases or lower variants",
        )
    kept = np.sort(random.choice(common, wanted, replace=False))
    positions = tree.tables.sites.position[kept].astype(np.int64)
    haplotypes = tree.delete_sites(np.setdiff1d(np.arange(tree.num_sites), kept)).genotype_matrix()
    dosages = (haplotypes[:, 0::2] + haplotypes[:, 1::2]).astype(np.int8)
    return dosages, positions + _PIECE_STARTS[chrom - 1], chrom


def _common_sites(tree: Any, in_biobank: np.ndarray) -> np.ndarray:
    """Ids of the sites with one mutation whose derived allele is common in the biobank."""
    # Plain arrays: building an object per site would take most of the simulation's time.
    positions, site_of = tree.tables.sites.position, tree.tables.mutations.site
    node = tree.tables.mutations.node[np.searchsorted(site_of, np.arange(len(positions)))].tolist()
    first = np.searchsorted(positions, tree.breakpoints(as_array=True)).tolist()
    carriers = np.zeros(len(positions))
    for index, marginal in enumerate(tree.trees(tracked_samples=np.flatnonzero(in_biobank).tolist())):
        for site in range(first[index], first[index + 1]):
            carriers[site] = marginal.num_tracked_samples(node[site])
    share = carriers / in_biobank.sum()
    once = np.bincount(site_of, minlength=len(positions)) == 1
    return np.flatnonzero(once & (share >= MIN_FREQUENCY) & (share <= 1 - MIN_FREQUENCY))


def _describe(config: SynthConfig, pieces: list[tuple[np.ndarray, np.ndarray, int]]) -> pl.DataFrame:
    """Names and alleles of the variants; the letters are drawn, the simulation has only two states."""
    random = generator(config.seed, "synth", "variants")
    chrom = np.concatenate([np.full(len(positions), number) for _, positions, number in pieces])
    count = len(chrom)
    ref = random.integers(0, 4, count)
    other = random.integers(0, 2, count)
    partners = np.array([[base for base in range(4) if base not in (own, 3 - own)] for own in range(4)])
    ambiguous = random.random(count) < _AMBIGUOUS_SHARE
    alt = np.where(ambiguous, _COMPLEMENT[ref], partners[ref, other])
    genotyped = np.ones(count, dtype=bool)
    genotyped[random.choice(count, count - config.variants, replace=False)] = False
    return pl.DataFrame(
        {
            "chrom": chrom,
            "pos": np.concatenate([positions for _, positions, _ in pieces]),
            "ref": _BASES[ref],
            "alt": _BASES[alt],
            # Far above any rs number in use, so that none of these is taken for a real variant.
            "rsid": [f"rs9{index:09d}" for index in range(count)],
            "genotyped": genotyped,
        },
        schema_overrides={"chrom": pl.Int32, "pos": pl.Int32},
    )


def typed_calls(genome: Genome, config: SynthConfig) -> tuple[np.ndarray, np.ndarray]:
    """What the array hands over: int8 calls (variants, samples), some missing, and the subjects typed."""
    random = generator(config.seed, "synth", "calls")
    num_subjects = genome.dosages.shape[1]
    num_typed = num_subjects - round(config.ungenotyped * num_subjects)
    subjects = np.sort(random.choice(num_subjects, num_typed, replace=False))
    calls = genome.dosages[genome.variants["genotyped"].to_numpy()][:, subjects]
    count = random.binomial(calls.size, config.missing_calls)
    calls.flat[random.integers(0, calls.size, count)] = MISSING
    return calls, subjects
