"""Ancestry on data of a known law, where adjusted scores are standard per population, and on real data."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import silhouette_score
from sklearn.neighbors import KNeighborsClassifier

from proband.core.schema import ANCESTRY, PCS, SCORES
from proband.genome.ancestry import AncestryConfig, AncestryInputs, run_ancestry
from proband.genome.ancestry.adjustment.normalise import design, fit_mean, fit_mean_and_variance
from proband.genome.ancestry.components.kinship import king, unrelated
from proband.genome.ancestry.inputs import read_populations
from proband.genome.genotypes.open import open_genotypes
from structured_genotypes import child, draw_calls, population_frequencies, sites, write_pgen

pytestmark = pytest.mark.slow

NUM_VARIANTS, NUM_PEOPLE, NUM_SCORES = 8000, 6000, 40
SHARES = [0.45, 0.25, 0.2, 0.1]


@pytest.fixture(scope="module")
def law(tmp_path_factory):
    """Four populations, one of them mixed from two others; scores whose mean and spread go with ancestry."""
    folder = tmp_path_factory.mktemp("law")
    rng = np.random.default_rng(2)
    frequencies = population_frequencies(rng, NUM_VARIANTS, 3, 0.08)
    population = rng.choice(4, NUM_PEOPLE, p=SHARES)
    share = rng.beta(4, 4, NUM_PEOPLE)  # of ancestry 0 in the mixed
    weight = np.eye(4)[population][:, :3]
    mixed = population == 3
    weight[mixed] = np.column_stack([share[mixed], 1 - share[mixed], np.zeros(mixed.sum())])
    calls = np.empty((NUM_VARIANTS, NUM_PEOPLE), np.int8)
    for row in range(0, NUM_VARIANTS, 500):
        block = slice(row, row + 500)
        calls[block] = rng.binomial(2, frequencies[block] @ weight.T)
    names = [str(row) for row in range(NUM_PEOPLE)]
    source = write_pgen(folder / "law.pgen", sites(NUM_VARIANTS), calls, names)
    mean, spread = rng.normal(size=(3, NUM_SCORES)) * 2, rng.normal(size=(3, NUM_SCORES)) * 0.4
    scores = weight @ mean + np.exp(weight @ spread) * rng.normal(size=(NUM_PEOPLE, NUM_SCORES))
    train = rng.random(NUM_PEOPLE) < 0.5
    samples = pl.DataFrame({"subject_id": np.arange(NUM_PEOPLE), "sample_id": names})
    columns = {f"PGS{number}": column.astype(np.float32) for number, column in enumerate(scores.T)}
    SCORES.write(pl.DataFrame({"subject_id": samples["subject_id"]} | columns), folder / "scores.parquet")
    split = np.where(train, "train", "held_out")
    pl.DataFrame({"subject_id": samples["subject_id"], "split": split}).write_parquet(
        folder / "splits.parquet"
    )
    out = folder / "out"
    out.mkdir()
    inputs = AncestryInputs(splits=folder / "splits.parquet")
    run_ancestry(source, samples, folder / "scores.parquet", out, AncestryConfig(), inputs)
    return out, scores, population, ~train


def standing(values, population):
    """Per population and score, in standard errors: the mean, and the log of the standard deviation."""
    found = []
    for number in range(4):
        own = values[population == number]
        found.append([own.mean(axis=0) * np.sqrt(len(own)), np.log(own.std(axis=0)) * np.sqrt(2 * len(own))])
    return np.array(found)


def test_adjusted_scores_are_standard_in_every_population_of_held_out_people(law):
    """Over 4 populations and 40 scores.

    The absolute value of a standard normal averages 0.80; as many people are fitted as held out, and both
    halves' errors count, so 0.80 times the root of 2 is what a perfect adjustment shows.
    """
    out, scores, population, held_out = law
    means = {}
    for kind in ("Z_norm1", "Z_norm2"):
        z = SCORES.read(out / "adjusted" / f"{kind}.parquet").drop("subject_id").to_numpy()[held_out]
        means[kind] = standing(z, population[held_out])
        print(kind, "mean", np.abs(means[kind][:, 0]).mean(), "spread", np.abs(means[kind][:, 1]).mean())
    raw = (scores - scores[~held_out].mean(axis=0)) / scores[~held_out].std(axis=0)
    control = standing(raw[held_out], population[held_out])
    assert np.abs(means["Z_norm2"][:, 0]).mean() < 1.3
    assert np.abs(means["Z_norm2"][:, 1]).mean() < 1.3
    assert np.abs(means["Z_norm1"][:, 1]).mean() > 4  # the mean alone leaves the spread
    assert np.abs(control[:, 0]).mean() > 10  # raw scores differ by population


def test_permuted_components_adjust_nothing(law):
    """Negative control: with components of other people, populations stay as far apart as raw scores are."""
    out, scores, population, _ = law
    pcs = PCS.read(out / "pcs.parquet").select("PC1", "PC2", "PC3", "PC4").to_numpy().astype(np.float64)
    terms = design(np.random.default_rng(0).permutation(pcs / pcs.std(axis=0)))
    mean, variance = fit_mean_and_variance(scores, terms)
    z = (scores - terms @ mean) / np.exp(terms @ variance / 2)
    raw = (scores - scores.mean(axis=0)) / scores.std(axis=0)
    apart = [np.abs(standing(values, population)[:, 0]).mean() for values in (z, raw)]
    assert apart[0] > 0.95 * apart[1]


def test_scores_without_ancestry_in_them_stay_as_they_are():
    """Negative control: adjusting noise for components it has nothing to do with only standardises it."""
    rng = np.random.default_rng(3)
    terms, scores = design(rng.normal(size=(5000, 4))), rng.normal(size=(5000, 50))
    mean, variance = fit_mean_and_variance(scores, terms)
    z = (scores - terms @ mean) / np.exp(terms @ variance / 2)
    correlation = [np.corrcoef(z[:, column], scores[:, column])[0, 1] for column in range(50)]
    assert min(correlation) > 0.995


def test_thousands_of_scores_in_a_minute_or_two():
    """300 scores of 20,000 people; 3,481 take 11.6 times as long."""
    rng = np.random.default_rng(4)
    terms, scores = design(rng.normal(size=(20_000, 4))), rng.normal(size=(20_000, 300))
    scores *= np.exp(0.3 * terms[:, 1:2])
    begun = time.process_time()
    for first in range(0, 300, 50):
        fit_mean(scores[:, first : first + 50], terms)
        fit_mean_and_variance(scores[:, first : first + 50], terms)
    seconds = time.process_time() - begun
    print(f"{seconds:.1f} CPU s for 300 scores, {seconds * 3481 / 300:.0f} for 3,481")
    assert seconds * 3481 / 300 < 120


def test_kinship_of_many_families_by_class():
    """Share of pairs put in their class by the usual bounds, 20,000 variants, three mixed populations."""
    rng = np.random.default_rng(6)
    frequencies = population_frequencies(rng, 20_000, 3, 0.1)
    bounds = {"first": (0.177, 0.354), "second": (0.0884, 0.177), "unrelated": (-np.inf, 0.0442)}
    correct = {name: [] for name in bounds}
    for family in range(40):
        founders = draw_calls(rng, frequencies, np.full(5, family % 3)).T
        parent, sibling = (child(rng, *founders[:2]) for _ in range(2))
        grandchild = child(rng, child(rng, parent, founders[2]), founders[3])
        half = child(rng, founders[0], founders[4])
        pairs = {
            "first": [(parent, founders[0]), (parent, sibling)],
            "second": [(grandchild, parent), (half, parent)],
            "unrelated": [(founders[3], founders[4]), (sibling, founders[4])],
        }
        for name, members in pairs.items():
            for one, other in members:
                kinship = king(one[None].astype(np.int8), other[None].astype(np.int8))[0, 0]
                correct[name].append(bounds[name][0] <= kinship < bounds[name][1])
    shares = {name: np.mean(values) for name, values in correct.items()}
    print(shares)
    assert min(shares.values()) >= 0.95


def test_unrelated_set_is_near_the_largest_on_families():
    """Families of two parents and three children: the largest unrelated set takes the two parents."""
    pairs = [
        (5 * family + parent, 5 * family + kid)
        for family in range(200)
        for parent in (0, 1)
        for kid in (2, 3, 4)
    ]
    pairs += [
        (5 * family + one, 5 * family + other)
        for family in range(200)
        for one, other in ((2, 3), (2, 4), (3, 4))
    ]
    assert len(unrelated(1000, np.array(pairs))) == 400


@pytest.mark.external
def test_super_populations_of_real_genomes_come_apart(tmp_path):
    """1000 Genomes, 1,004 variants: far fewer than usual, and still held-out people find their population."""
    data = Path(os.environ["PROBAND_DATA"]) / "genotypes"
    source = open_genotypes(data / "tiny1000G.vcf.gz", tmp_path)
    labels = np.array(read_populations(data / "tiny1000G.sample", source.sample_ids, "SuperPop"))
    rng = np.random.default_rng(0)
    train = rng.random(len(labels)) < 0.7
    samples = pl.DataFrame({"subject_id": np.arange(len(labels)), "sample_id": source.sample_ids})
    split = np.where(train, "train", "held_out")
    pl.DataFrame({"subject_id": samples["subject_id"], "split": split}).write_parquet(
        tmp_path / "splits.parquet"
    )
    noise = pl.Series(rng.normal(size=len(labels)).astype(np.float32))
    SCORES.write(samples.select("subject_id", noise=noise), tmp_path / "scores.parquet")
    out = tmp_path / "out"
    out.mkdir()
    inputs = AncestryInputs(
        splits=tmp_path / "splits.parquet", reference_populations=data / "tiny1000G.sample"
    )
    run_ancestry(source, samples, tmp_path / "scores.parquet", out, AncestryConfig(), inputs)
    pcs = PCS.read(out / "pcs.parquet").drop("subject_id", "is_fitted").to_numpy()[:, :5]
    found = ANCESTRY.read(out / "ancestry.parquet")["most_similar_population"].to_numpy()
    learners = {
        "nearest neighbours": KNeighborsClassifier(15),
        "linear discriminant": LinearDiscriminantAnalysis(),
    }
    figures = {
        name: learner.fit(pcs[train], labels[train]).score(pcs[~train], labels[~train])
        for name, learner in learners.items()
    } | {
        "forest": (found == labels)[~train].mean(),
        "silhouette": silhouette_score(pcs[:, :3], labels),
        "silhouette of permuted labels": silhouette_score(pcs[:, :3], rng.permutation(labels)),
    }  # fmt: skip
    print(figures)
    assert figures["forest"] > 0.97
    assert figures["nearest neighbours"] > 0.97
    assert figures["linear discriminant"] > 0.94
    assert figures["silhouette"] > 0.6
    assert abs(figures["silhouette of permuted labels"]) < 0.1
