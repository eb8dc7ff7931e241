"""The synthetic genomes against coalescent theory, their genealogy, and the design of effects and scores."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import msprime
import numpy as np
import polars as pl
import pytest

from proband.core.seeds import generator
from proband.synth.config import SynthConfig
from proband.synth.genomes.coalescent import (
    MUTATION_RATE,
    RECOMBINATION_RATE,
    common_sites,
    demography,
    simulate_piece,
)
from proband.synth.genomes.plink import read_calls
from proband.synth.genomes.polygenic import linkage
from proband.synth.genomes.polygenic.liability import CHROMOSOMES, chromosome_folder, liabilities
from proband.synth.genomes.polygenic.linkage import find_components, read_panel
from proband.synth.genomes.polygenic.plans import DISCOVERIES
from proband.synth.genomes.polygenic.scores import make_scores
from proband.synth.genomes.relatives.kinship import kinship_table
from proband.synth.genomes.relatives.pedigree import subjects_of
from proband.synth.traits import TRAIT_NAMES, TRAITS
from synthetic_genomes import Genomes, make_genomes, read_scorefile, weights_by_alt

pytestmark = pytest.mark.slow

SIZE = 10_000
"""Diploid size of the control population whose theory is closed."""


@dataclass(frozen=True)
class Control:
    """Pieces of a population of constant size: carriers per site, and the haplotypes themselves."""

    haplotypes: list[np.ndarray]
    positions: list[np.ndarray]
    megabases: float


@pytest.fixture(scope="module")
def control() -> Control:
    """60 pieces of 0.3 Mb, 100 people each, through the code that makes every chromosome."""
    history = msprime.Demography.isolated_model([SIZE])
    pieces = []
    for piece in range(60):
        tree = simulate_piece({"pop_0": 100}, history, 0.3, generator(41, piece))
        kept = common_sites(tree, tree.samples(), least=0.5 / 200)
        pieces.append((tree.genotype_matrix()[kept], tree.tables.sites.position[kept]))
    return Control([piece[0] for piece in pieces], [piece[1] for piece in pieces], 0.3)


def test_frequency_spectrum_is_that_of_the_neutral_coalescent(control: Control) -> None:
    """E[sites with i carriers] = theta / i (Fu 1995, doi:10.1006/tpbi.1995.1025)."""
    theta = 4 * SIZE * MUTATION_RATE * control.megabases * 1e6
    edges = np.array([1, 2, 3, 5, 9, 17, 33, 65, 129, 200])
    found = np.array([np.histogram(part.sum(axis=1), edges)[0] for part in control.haplotypes])
    spectrum = 1 / np.arange(1, 200)
    expected = theta * np.array([spectrum[low - 1 : high - 1].sum() for low, high in pairwise(edges)])
    error = found.std(axis=0, ddof=1) / np.sqrt(len(found))
    z = (found.mean(axis=0) - expected) / error
    assert np.abs(z).max() < 4
    assert (error / expected).max() < 0.2


def test_another_population_size_fails_the_spectrum(control: Control) -> None:
    theta = 4 * 1.5 * SIZE * MUTATION_RATE * control.megabases * 1e6
    singletons = np.array([(part.sum(axis=1) == 1).sum() for part in control.haplotypes])
    error = singletons.std(ddof=1) / np.sqrt(len(singletons))
    assert abs(singletons.mean() - theta) / error > 6


def test_ld_decays_as_theory_has_it(control: Control) -> None:
    """sigma_d^2 = E[D^2] / E[p(1-p)q(1-q)] = (10 + rho) / (22 + 13 rho + rho^2), rho = 4 N r d
    (Ohta and Kimura 1971, Genetics 68:571)."""
    edges = np.array([1e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5])
    above, below, rhos = (np.zeros((len(control.positions), len(edges) - 1)) for _ in range(3))
    for piece, (haplotypes, position) in enumerate(zip(control.haplotypes, control.positions, strict=True)):
        values = haplotypes - haplotypes.mean(axis=1, keepdims=True)
        spread = values.var(axis=1)
        covariance = values @ values.T / values.shape[1]
        first, second = np.triu_indices(len(position), 1)
        distance = position[second] - position[first]
        rho = 4 * SIZE * RECOMBINATION_RATE * distance
        for place in range(len(edges) - 1):
            inside = (distance >= edges[place]) & (distance < edges[place + 1])
            weight = (spread[first] * spread[second])[inside]
            above[piece, place] = (covariance[first, second][inside] ** 2).sum()
            below[piece, place] = weight.sum()
            rhos[piece, place] = (weight * (10 + rho)[inside] / (22 + 13 * rho + rho**2)[inside]).sum()
    found, expected = above.sum(axis=0) / below.sum(axis=0), rhos.sum(axis=0) / below.sum(axis=0)
    # A ratio's standard error from the pieces; 1/n of LD is made by drawing n = 200 haplotypes.
    error = (above - found * below).std(axis=0, ddof=1) * np.sqrt(len(above)) / below.sum(axis=0)
    assert np.abs((found - expected - 1 / 200) / error).max() < 4
    assert (error / expected).max() < 0.35
    assert found[0] > 5 * found[-1]


def test_heterozygosity_of_every_population_is_that_of_its_history() -> None:
    """Against 2 mu E[T], T the coalescence time that the history implies by numerical integration."""
    names = ("EUR", "AFR", "EAS", "AMR", "AFA")
    history = demography()
    # Generations by which no coalescence has happened, over which its probability is integrated.
    ages = np.concatenate(
        [np.arange(60), np.arange(60, 920, 10), np.arange(920, 6000, 25), np.arange(6000, 200_001, 500)]
    ).astype(float)
    found = []
    for piece in range(40):
        tree = simulate_piece(dict.fromkeys(names, 10), history, 0.5, generator(42, piece))
        sets = [np.arange(20 * k, 20 * (k + 1)) for k in range(len(names))]
        kept = tree.genotype_matrix()
        share = np.array([kept[:, nodes].mean(axis=1) for nodes in sets])
        found.append((2 * share * (1 - share)).sum(axis=1) * 20 / 19 / 0.5e6)
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(len(found))
    for name, value, deviation in zip(names, mean, error, strict=True):
        _, apart = history.debug().coalescence_rate_trajectory(ages, {name: 2}, double_step_validation=False)
        assert apart[-1] < 1e-4
        expected = 2 * MUTATION_RATE * np.trapezoid(apart, ages)
        assert abs(value - expected) < 4 * deviation
        assert deviation < 0.1 * expected


CONFIG = SynthConfig(
    subjects=5000,
    seed=31,
    scores=60,
    related=0.5,
    variants=6600,
    piece_megabases=0.8,
    population_shares=(0.5, 0.15, 0.1, 0.1, 0.15),
    discovery_panel=800,
    reference_panel=200,
    causal_variants=200,
    missing_calls=0.0,
    ungenotyped=0.0,
)


@pytest.fixture(scope="module")
def genomes(tmp_path_factory: pytest.TempPathFactory) -> Genomes:
    return make_genomes(CONFIG, tmp_path_factory.mktemp("genomes"))


@pytest.fixture(scope="module")
def calls(genomes: Genomes) -> np.ndarray:
    return genomes.calls()


@pytest.fixture(scope="module")
def alone(genomes: Genomes) -> np.ndarray:
    """One subject of every family."""
    return np.unique(subjects_of(genomes.pedigree).family, return_index=True)[1]


def test_admixture_has_its_proportions(genomes: Genomes, calls: np.ndarray) -> None:
    """Frequencies of the admixed regressed on their sources' (each in 200 people apart from all subjects)."""
    panel = genomes.calls("reference/reference")
    source = {name: panel[:, 200 * k : 200 * (k + 1)].mean(axis=1) / 2 for k, name in enumerate(POPULATIONS)}
    noise = {name: np.mean(share * (1 - share)) / 399 for name, share in source.items()}
    population = subjects_of(genomes.pedigree).population
    for name, sources in {
        "AFA": {"AFR": 0.8, "EUR": 0.2},
        "AMR": {"AFR": 1 / 6, "EUR": 1 / 3, "EAS": 1 / 2},
    }.items():
        base = "EUR"
        others = [other for other in sources if other != base]
        design = np.stack([source[other] - source[base] for other in others], axis=1)
        target = calls[:, population == name].mean(axis=1) / 2 - source[base]
        # Least squares with the sampling noise of the sources' frequencies taken out of the moments.
        moments = design.T @ design / len(design) - noise[base]
        moments -= np.diag([noise[other] for other in others])
        crossed = design.T @ target / len(design) - noise[base]
        share = np.linalg.solve(moments, crossed)
        np.testing.assert_allclose(share, [sources[other] for other in others], atol=0.03)


POPULATIONS = ("EUR", "AFR", "EAS", "AMR", "AFA")


def kinship_of_pairs(genomes: Genomes, calls: np.ndarray, table: pl.DataFrame) -> np.ndarray:
    """Kinship from genotypes by the sum of products about the population's frequencies, over its variance."""
    population = subjects_of(genomes.pedigree).population
    found = np.zeros(table.height)
    first, second = (table[name].to_numpy() - 1001 for name in ("subject_id_1", "subject_id_2"))
    for name in POPULATIONS:
        inside = np.flatnonzero((population[first] == name) & (population[second] == name))
        share = calls[:, population == name].mean(axis=1, dtype=np.float64) / 2
        kept = (share > 0.05) & (share < 0.95)
        values = calls[kept].astype(np.float32) - np.float32(2) * share[kept, None].astype(np.float32)
        product = (values[:, first[inside]] * values[:, second[inside]]).sum(axis=0, dtype=np.float64)
        found[inside] = product / (4 * share[kept] * (1 - share[kept])).sum()
    return found


def test_kinship_in_genotypes_is_that_of_the_pedigree(genomes: Genomes, calls: np.ndarray) -> None:
    table = kinship_table(genomes.pedigree)
    table = table.with_columns(found=kinship_of_pairs(genomes, calls, table))
    for name, rows in table.group_by("relationship"):
        error = rows["found"].std() / np.sqrt(rows.height)
        assert rows.height > 20, name
        assert abs(rows["found"].mean() - rows["kinship"][0]) < 4 * error + 0.002, name
        assert error < 0.02, name
    parents = table.filter(pl.col("relationship") == "parent_child")["found"]
    sibs = table.filter(pl.col("relationship") == "full_sibs")["found"]
    # Parents pass on exactly half; what sibs share varies, here more than over 36 Morgans.
    assert sibs.std() > 1.2 * parents.std()


def test_people_of_different_families_are_not_related(genomes: Genomes, calls: np.ndarray) -> None:
    people = subjects_of(genomes.pedigree)
    random = generator(43)
    first, second = random.integers(0, CONFIG.subjects, (2, 20_000))
    kept = (people.family[first] != people.family[second]) & (
        people.population[first] == people.population[second]
    )
    pairs = pl.DataFrame({"subject_id_1": first[kept] + 1001, "subject_id_2": second[kept] + 1001})
    found = kinship_of_pairs(genomes, calls, pairs)
    assert abs(found.mean()) < 0.002
    assert found.std() < 0.06


def test_genetic_values_vary_as_designed(genomes: Genomes, alone: np.ndarray) -> None:
    population = subjects_of(genomes.pedigree).population[alone]
    europeans = genomes.genetics.values[alone][population == "EUR"]
    variance = europeans.var(axis=0)
    # The European panel of 800 has variance 1 exactly; the ratio of two variances of normal values of 800
    # and some 1,700 has standard deviation sqrt(2/800 + 2/1700) = 0.06.
    assert len(europeans) > 1500
    assert variance.mean() == pytest.approx(1, abs=0.03)
    assert np.abs(variance - 1).max() < 0.06 * 4


def test_liabilities_of_relatives_correlate_by_heritability(genomes: Genomes) -> None:
    """Twice the kinship times h2, where the environment is each one's own."""
    genetic = genomes.genetics.values
    liability = liabilities(genetic, generator(44).standard_normal(genetic.shape))
    spread = np.array([getattr(trait, "stable", 1.0) for trait in TRAITS])
    heritability = np.array([trait.heritability for trait in TRAITS])
    table = kinship_table(genomes.pedigree)
    slopes = {}
    for (name,), rows in table.group_by("relationship"):
        first, second = (rows[column].to_numpy() - 1001 for column in ("subject_id_1", "subject_id_2"))
        # Genetic variance differs between populations, so products are compared with their own.
        value = genomes.genetics.values
        product = (liability[first] * liability[second]).mean(axis=0)
        expected = (
            2 * rows["kinship"][0] * heritability * (value[first] ** 2 + value[second] ** 2).mean(axis=0) / 2
        )
        error = np.sqrt(spread**2 / rows.height)
        z = (product - expected) / error
        slopes[name] = z
        assert np.abs(z).max() < 5, name
        # Traits share genes, so that 40 of them count as some 20 independent ones.
        assert abs(z.mean()) < 4 / np.sqrt(20), name
    first, second = (table[column].to_numpy() - 1001 for column in ("subject_id_1", "subject_id_2"))
    strangers = generator(45).permutation(second)
    together = (liability[first] * liability[strangers]).mean(axis=0) / spread
    assert np.abs(together).max() < 5 / np.sqrt(table.height)
    close = np.concatenate([slopes["parent_child"], slopes["full_sibs"]])
    assert len(close) == 2 * len(TRAITS)


def accuracy(
    genomes: Genomes, calls: np.ndarray, alone: np.ndarray, config: SynthConfig, target: np.ndarray
) -> pl.DataFrame:
    """R2 of every score with ``target`` (subjects, traits) in each population, from the files as written."""
    table = make_scores(config, genomes.work, genomes.genetics, genomes.out)
    typed = genomes.typed()
    weights = [
        weights_by_alt(read_scorefile(genomes.out / "scorefiles" / f"{name}_hmPOS_GRCh38.txt.gz")[1], typed)
        for name in table["pgs_id"]
    ]
    sums = np.array(weights, dtype=np.float32) @ calls[:, alone].astype(np.float32)
    population = subjects_of(genomes.pedigree).population[alone]
    rows = []
    for score, row in zip(sums, table.iter_rows(named=True), strict=True):
        traits = range(len(TRAITS)) if row["is_null"] else [TRAIT_NAMES.index(row["trait"])]
        for name in POPULATIONS:
            inside = population == name
            for trait in traits:
                r = np.corrcoef(score[inside], target[alone][inside, trait])[0, 1]
                rows.append({**row, "population": name, "target": trait, "r2": r**2, "n": int(inside.sum())})
    return pl.DataFrame(rows)


def test_scores_gain_from_discovery_size_and_lose_with_distance(
    genomes: Genomes, calls: np.ndarray, alone: np.ndarray
) -> None:
    by_size = []
    for size in (2000, 20_000, 200_000):
        # The same traits, discoveries and methods each time: only the size differs.
        config = CONFIG.model_copy(update={"discovery_sizes": (size,), "null_scores": 0.0, "scores": 100})
        found = accuracy(genomes, calls, alone, config, genomes.genetics.values)
        by_size.append(found.group_by("discovery", "population").agg(pl.col("r2").mean(), pl.len()))
    mean = [{(a, b): r2 for a, b, r2, _ in table.iter_rows()} for table in by_size]
    for population in ("EUR", "AMR", "AFA"):
        assert np.all(np.diff([table["EUR", population] for table in mean]) > 0)
    for table in mean:
        assert table["EUR", "EUR"] > table["EUR", "EAS"]
        assert table["EUR", "EUR"] > table["EUR", "AMR"] > table["EUR", "AFA"] > table["EUR", "AFR"]
        assert table["EAS", "EAS"] > max(table["EAS", "EUR"], table["EAS", "AFA"], table["EAS", "AFR"])
        assert table["AFA", "AFA"] > max(table["AFA", "EUR"], table["AFA", "EAS"])
        assert table["MULTI", "AFA"] > table["EUR", "AFA"]
    assert 0.05 < mean[0]["EUR", "EUR"] < mean[-1]["EUR", "EUR"] < 0.95


def test_scores_explain_less_of_the_liability_than_heritability(
    genomes: Genomes, calls: np.ndarray, alone: np.ndarray
) -> None:
    genetic = genomes.genetics.values
    liability = liabilities(genetic, generator(46).standard_normal(genetic.shape))
    found = accuracy(genomes, calls, alone, CONFIG.model_copy(update={"null_scores": 0.0}), liability)
    europeans = found.filter(pl.col("population") == "EUR")
    share = np.array([trait.heritability / getattr(trait, "stable", 1.0) for trait in TRAITS])
    bound = share[europeans["target"].to_numpy()]
    # In standard errors of a squared correlation in some 1,700 people; the best come close to the bound.
    error = 2 * np.sqrt(bound / europeans["n"].to_numpy())
    z = (europeans["r2"].to_numpy() - bound) / error
    assert z.max() < 4, europeans[int(z.argmax())].row(0)
    assert europeans["r2"].mean() < bound.mean()


def test_null_scores_associate_with_nothing(genomes: Genomes, calls: np.ndarray, alone: np.ndarray) -> None:
    config = CONFIG.model_copy(update={"scores": 15, "null_scores": 1.0})
    found = accuracy(genomes, calls, alone, config, genomes.genetics.values)
    for name, rows in found.group_by("population"):
        # Independent of the trait, n R2 is near chi-square with one degree of freedom. Traits share genes,
        # so that the pairs of one score count as about 20 independent ones: a standard error near 0.08.
        chi_square = rows["r2"].to_numpy() * rows["n"].to_numpy()
        assert chi_square.mean() == pytest.approx(1, abs=0.33), name
        assert chi_square.max() < 25, name


def test_real_scores_fail_the_test_for_nulls(genomes: Genomes, calls: np.ndarray, alone: np.ndarray) -> None:
    config = CONFIG.model_copy(update={"scores": 10, "null_scores": 0.0, "discovery_sizes": (200_000,)})
    found = accuracy(genomes, calls, alone, config, genomes.genetics.values)
    europeans = found.filter((pl.col("population") == "EUR") & (pl.col("discovery") == "EUR"))
    assert (europeans["r2"] * europeans["n"]).min() > 100


def test_components_keep_ancestry_out_of_a_pooled_gwas(
    genomes: Genomes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On chromosomes without effects, n0 times a squared estimate is near chi-square with one degree of
    freedom; unless ancestry, which differs in mean genetic value, is left in."""
    find_components(CONFIG, genomes.work)
    adjusted = chi_square_without_effects(genomes)
    kinds = {**DISCOVERIES, "MULTI": replace(DISCOVERIES["MULTI"], components=0)}
    monkeypatch.setattr(linkage, "DISCOVERIES", kinds)
    unadjusted = chi_square_without_effects(genomes)
    assert adjusted < 1.5
    assert unadjusted > 3 * adjusted


def chi_square_without_effects(genomes: Genomes) -> float:
    panels = {
        chrom: read_panel(
            CONFIG,
            genomes.work,
            read_calls(chromosome_folder(genomes.work, chrom) / "discovery.pgen"),
            "MULTI",
        )
        for chrom in CHROMOSOMES
    }
    values = sum(
        panel.genotypes.T @ (genomes.genetics.effects[chrom] * panel.sd[:, None]).astype(np.float32)
        for chrom, panel in panels.items()
    )
    values = values / values.std(axis=0)
    null = panels[21].genotypes[panels[21].genotypes.std(axis=1) > 0]
    return float(np.mean((null @ values) ** 2) / len(values))


def test_the_same_seed_gives_the_same_scores(genomes: Genomes, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"scores": 4})
    for out in (tmp_path / "a", tmp_path / "b"):
        make_scores(config, genomes.work, genomes.genetics, out)
    for one in (tmp_path / "a" / "scorefiles").iterdir():
        assert one.read_bytes() == (tmp_path / "b" / "scorefiles" / one.name).read_bytes()
