"""The synthetic biobank against its own law: hazards and true risks, with negative controls."""

from __future__ import annotations

import itertools

import numpy as np
import polars as pl
import pytest

from proband.core.seeds import generator
from proband.synth import SynthConfig
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
