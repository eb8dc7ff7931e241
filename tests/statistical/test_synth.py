"""The synthetic biobank against its own law: hazards, true risks and scores, with negative controls."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from proband.core.seeds import generator
from proband.synth import SynthConfig
from proband.synth.genomes.genotypes import Genome, simulate
from proband.synth.genomes.liability import draw_effects, genetic_values
from proband.synth.genomes.scores import Score, make_scores
from proband.synth.lives.lifecourse import (
    NUM_DISEASES,
    NUM_MARKERS,
    advance,
    draw_people,
    newborn_adults,
    table_law,
)
from proband.synth.lives.lives import NEVER
from proband.synth.stage import draw_population, live, oracle
from proband.synth.traits import DISEASE_NAMES, DISEASES, MORTALITY, TRAIT_NAMES

pytestmark = pytest.mark.slow
OLDEST = 95.0


def test_age_sex_incidence_comes_back_as_the_hazard_table() -> None:
    count, law = 60_000, table_law()
    random = generator(11, "incidence")
    male = random.random(count) < 0.5
    traits = random.standard_normal((count, NUM_MARKERS + NUM_DISEASES))
    people = draw_people(male, traits, random.standard_normal(count), random)
    state = newborn_adults(count, random)
    advance(law.neutral(), people, state, np.full(count, OLDEST), 0.25, random)
    ends = np.minimum(state.death, OLDEST)
    hazards = [
        (disease.rate, disease.slope, disease.plateau, state.onset[:, k])
        for k, disease in enumerate(DISEASES)
    ]
    hazards.append((MORTALITY.rate, MORTALITY.slope, np.inf, state.death))
    scores = []
    for rate, slope, plateau, happened in hazards:
        for sex in (0, 1):
            for low in np.arange(20, 95, 5.0):
                of_sex = male == sex
                leave = np.minimum(happened, ends)[of_sex]
                # Person-time in single years of age, each at its own rate: no use of the simulator's steps.
                expected = 0.0
                for age in np.arange(low, low + 5):
                    years = np.clip(leave - age, 0, 1).sum()
                    expected += years * rate[sex] / 1000 * np.exp(slope * (min(age + 0.5, plateau) - 60))
                observed = ((happened[of_sex] >= low) & (happened[of_sex] < low + 5)).sum()
                if expected >= 10:
                    scores.append((observed - expected) / np.sqrt(expected))
    z = np.array(scores)
    assert len(z) > 150
    assert np.abs(z).max() < 4.5
    assert abs(z.mean()) < 0.35
    assert z.std() == pytest.approx(1, abs=0.15)


@pytest.fixture(scope="module")
def futures() -> pl.DataFrame:
    """True risks beside what happened, of 6,000 subjects; nothing is censored but by death."""
    config = SynthConfig(
        subjects=6000, seed=21, variants=2200, piece_megabases=0.3, discovery_panel=200, truth_replicates=40
    )
    genome = simulate(config)
    population = draw_population(genome, draw_effects(genome, config), config)
    law = table_law()
    lives, landmark = live(population, law, config)
    risk = oracle(population, lives, law, landmark, config)
    subject, disease = np.nonzero(lives.onset < NEVER)
    onsets = pl.DataFrame(
        {
            "subject_id": population.subject_id[subject],
            "outcome": np.array(DISEASE_NAMES)[disease],
            "onset": pl.Series(lives.onset[subject, disease]).cast(pl.Datetime("us")),
        }
    )
    happened = (pl.col("onset") - pl.col("prediction_time")).dt.total_seconds() / 86400 / 365.25
    return risk.join(onsets, on=["subject_id", "outcome"], how="left").with_columns(
        event=(happened <= pl.col("horizon_years")).fill_null(False)
    )


def test_true_risks_are_calibrated_overall_and_by_fifths(futures: pl.DataFrame) -> None:
    scores = []
    for _, rows in futures.group_by("outcome", "horizon_years"):
        for part in fifths(rows):
            risk = part["risk"]
            scores.append((part["event"].sum() - risk.sum()) / np.sqrt((risk * (1 - risk)).sum()))
    z = np.array(scores)
    assert len(z) == len(DISEASES) * 3 * 6
    assert np.abs(z).max() < 4.5
    assert abs(z.mean()) < 0.5


def test_shuffled_risks_are_not_calibrated_by_fifths(futures: pl.DataFrame) -> None:
    rows = futures.filter((pl.col("outcome") == "coronary_artery_disease") & (pl.col("horizon_years") == 10))
    shuffled = rows.with_columns(risk=pl.Series(generator(1).permutation(rows["risk"].to_numpy())))
    z = [
        (part["event"].sum() - part["risk"].sum()) / np.sqrt((part["risk"] * (1 - part["risk"])).sum())
        for part in fifths(shuffled)
    ]
    assert np.abs(z).max() > 6


def fifths(rows: pl.DataFrame) -> list[pl.DataFrame]:
    """All rows, then fifths of them by risk."""
    ranked = rows.sort("risk", "subject_id")
    return [rows, *(ranked[int(edge) : int(after)] for edge, after in _edges(rows.height))]


def _edges(count: int) -> list[tuple[float, float]]:
    edges = np.linspace(0, count, 6).round()
    return list(itertools.pairwise(edges))


@pytest.fixture(scope="module")
def genome() -> Genome:
    return simulate(CONFIG)


CONFIG = SynthConfig(
    subjects=4000,
    seed=31,
    variants=5500,
    piece_megabases=0.6,
    population_shares=(0.5, 0.25, 0.25, 0.0),
    discovery_panel=600,
)


def sums(genome: Genome, score: Score) -> np.ndarray:
    """The score of every subject, from the file's rows by rsID, strand flips resolved by position."""
    rows = score.rows.join(genome.variants.with_row_index("row"), left_on="rsID", right_on="rsid")
    flip = {"A": "T", "T": "A", "C": "G", "G": "C"}
    effect = pl.col("effect_allele")
    is_alt = (effect == pl.col("alt")) | (
        (effect != pl.col("ref")) & (effect.replace_strict(flip) == pl.col("alt"))
    )
    sign = rows.select(pl.when(is_alt).then(1).otherwise(-1)).to_series().to_numpy()
    return (sign * rows["effect_weight"].to_numpy()) @ genome.dosages[rows["row"].to_numpy()].astype(
        np.float32
    )


def r2(genome: Genome, score: Score, target: np.ndarray, population: str) -> float:
    rows = genome.population == population
    return float(np.corrcoef(sums(genome, score)[rows], target[rows])[0, 1] ** 2)


def test_scores_gain_from_discovery_size_and_lose_with_distance(genome: Genome) -> None:
    effects = draw_effects(genome, CONFIG)
    genetic = genetic_values(genome.dosages, effects, genome.population)
    by_size = []
    for size in (500, 2000, 10_000):
        config = CONFIG.model_copy(
            update={"discovery_sizes": (size,), "scores": len(TRAIT_NAMES), "null_scores": 0.0}
        )
        found = [
            [r2(genome, score, genetic[:, TRAIT_NAMES.index(score.trait)], population) for score in made]
            for made in [make_scores(genome, effects, config)]
            for population in ("EUR", "EAS", "AFR")
        ]
        by_size.append(np.mean(found, axis=1))
    europeans, east_asians, africans = np.array(by_size).T
    assert (np.diff(europeans) > 0.05).all()
    assert 0 < europeans[0] < europeans[-1] < 0.95
    assert (east_asians < europeans).all()
    assert (africans < east_asians).all()


def test_null_scores_associate_with_nothing(genome: Genome) -> None:
    effects = draw_effects(genome, CONFIG)
    genetic = genetic_values(genome.dosages, effects, genome.population)
    nulls = make_scores(genome, effects, CONFIG.model_copy(update={"scores": 15, "null_scores": 1.0}))
    assert all(score.is_null for score in nulls)
    found = np.array(
        [[r2(genome, score, genetic[:, k], "EUR") for k in range(len(TRAIT_NAMES))] for score in nulls]
    )
    # Independent of the trait, n R2 is near chi-square with one degree of freedom; traits share genes, so
    # 195 pairs count as about 15 x 8 independent ones: their mean has a standard error near 0.13.
    chi_square = found * (genome.population == "EUR").sum()
    assert chi_square.mean() == pytest.approx(1, abs=0.5)
    assert chi_square.max() < 20


def test_real_scores_fail_the_test_for_nulls(genome: Genome) -> None:
    effects = draw_effects(genome, CONFIG)
    genetic = genetic_values(genome.dosages, effects, genome.population)
    real = make_scores(genome, effects, CONFIG.model_copy(update={"scores": 2, "null_scores": 0.0}))
    num_europeans = (genome.population == "EUR").sum()
    for score in real:
        own = genetic[:, TRAIT_NAMES.index(score.trait)]
        assert r2(genome, score, own, "EUR") * num_europeans > 100
