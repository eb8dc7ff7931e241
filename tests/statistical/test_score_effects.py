"""Effects of polygenic scores in simulated people against the published ones, with negative controls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import PoissonRegressor

from proband.core.seeds import generator
from proband.synth.config import POPULATIONS, SynthConfig
from proband.synth.genomes.polygenic.plans import plan_scores
from proband.synth.genomes.polygenic.scores import make_scores
from proband.synth.genomes.relatives.families import ENTRY_AGE_BETA, OLDEST, YOUNGEST
from proband.synth.genomes.relatives.pedigree import subjects_of
from proband.synth.lives.law import table_law
from proband.synth.lives.people import draw_people
from proband.synth.lives.score_effects import FOLLOW_UP_YEARS, RecordCounts, share_followed
from proband.synth.lives.state import healthy
from proband.synth.traits import BEST_SCORE_R2, BIOMARKERS, DISEASE_NAMES, DISEASES, OURS
from synthetic_genomes import make_genomes, read_scorefile, weights_by_alt
from synthetic_lives import LivedCohort, lived, lived_cohort

pytestmark = pytest.mark.slow

COHORT = 200_000
AGES = np.arange(20, 95, 5)
"""Lower ends of the age groups, years."""
SCORE_GROUPS = 60


@dataclass(frozen=True)
class Study:
    """Exposure and first records by sex, age and group of the score: what a Poisson regression reads."""

    years: np.ndarray
    records: np.ndarray
    score: np.ndarray

    @classmethod
    def of(cls, cohort: LivedCohort, disease: int, score: np.ndarray) -> Study:
        order = np.argsort(np.argsort(score))
        group = order * SCORE_GROUPS // len(score)
        cell = cohort.people.male * SCORE_GROUPS + group
        mean = np.bincount(group, score) / np.bincount(group)
        recorded = cohort.state.recorded[:, disease]
        leaves = np.minimum(recorded, cohort.ends)
        years, records = [], []
        for low in AGES:
            spent = np.clip(leaves - low, 0, 5)
            inside = (recorded >= low) & (recorded < low + 5) & (recorded <= cohort.ends)
            years.append(np.bincount(cell, spent, 2 * SCORE_GROUPS))
            records.append(np.bincount(cell[inside], minlength=2 * SCORE_GROUPS))
        return cls(np.array(years), np.array(records), mean)

    @cached_property
    def weight(self) -> np.ndarray:
        """What an age weighs in a biobank's follow-up."""
        return share_followed(AGES + 2.5)

    def fit(self, youngest: float = 0, oldest: float = 120) -> tuple[float, float]:
        """Log rate ratio per unit of the score, adjusted for age and sex, and its standard error."""
        inside = (youngest <= AGES) & (oldest > AGES)
        weight = np.where(inside, self.weight, 0)[:, None] * np.ones(2 * SCORE_GROUPS)
        age, sex = np.broadcast_arrays(
            np.arange(len(AGES))[:, None], np.arange(2 * SCORE_GROUPS) // SCORE_GROUPS
        )
        stratum = np.eye(2 * len(AGES))[(2 * age + sex).ravel()]
        score = np.tile(self.score, 2 * len(AGES))[:, None]
        exposed = (self.years.ravel() > 0) & (weight.ravel() > 0)
        # Strata without any record, such as prostate cancer in women, have no finite rate.
        total = stratum.T @ (self.records.ravel() * exposed)
        exposed &= (stratum @ total) > 0
        years, records, weights = (part.ravel()[exposed] for part in (self.years, self.records, weight))
        model = PoissonRegressor(
            alpha=0, fit_intercept=False, solver="newton-cholesky", max_iter=500, tol=1e-8
        )
        kept = stratum[:, total > 0]
        model.fit(np.hstack([score, kept])[exposed], records / years, sample_weight=weights * years)
        error = np.sqrt((weights**2 * records).sum()) / (weights * records).sum()
        return float(model.coef_[0]), float(error)


def best_score(genetic: np.ndarray, random: np.random.Generator) -> np.ndarray:
    noise = random.standard_normal(len(genetic))
    return np.sqrt(BEST_SCORE_R2) * genetic + np.sqrt(1 - BEST_SCORE_R2) * noise


@pytest.fixture(scope="module")
def cohort() -> LivedCohort:
    return lived_cohort(table_law(), COHORT, 71)


@pytest.fixture(scope="module")
def studies(cohort: LivedCohort) -> list[Study]:
    random = generator(72, "scores")
    return [
        Study.of(cohort, k, best_score(cohort.people.genetic[:, k], random)) for k in range(len(DISEASES))
    ]


def test_the_best_score_has_its_published_hazard_ratio(studies: list[Study]) -> None:
    fitted, error = np.array([study.fit() for study in studies]).T
    published = np.log([disease.score_ratio for disease in DISEASES])
    apart = np.abs(fitted / published - 1)
    for row in zip(DISEASE_NAMES, np.exp(published), np.exp(fitted), apart, error, strict=True):
        print("{:28s} published {:.2f} fitted {:.2f} apart {:.2f} error {:.3f}".format(*row))
    assert (apart < 0.15).sum() >= 20
    assert (apart < 0.30).all()


def test_a_null_score_has_no_effect(cohort: LivedCohort) -> None:
    random = generator(73, "null")
    z = []
    for k in range(0, len(DISEASES), 3):
        value, error = Study.of(cohort, k, random.permutation(cohort.people.genetic[:, k])).fit()
        z.append(value / error)
    assert np.abs(z).max() < 4


def test_where_publications_say_so_the_effect_falls_with_age(studies: list[Study]) -> None:
    said = [k for k, disease in enumerate(DISEASES) if disease.sources["age_slope"] != OURS]
    assert len(said) == 4
    for k in said:
        young, young_error = studies[k].fit(oldest=55)
        old, old_error = studies[k].fit(youngest=65)
        assert young - old > 4 * np.hypot(young_error, old_error), DISEASES[k].name
        assert old > 0.05


def test_an_independent_program_finds_the_ratio_in_follow_up(cohort: LivedCohort) -> None:
    """Cox regression by lifelines on the follow-up of a biobank, age as its time; permuted, nothing."""
    from lifelines import CoxPHFitter

    random = generator(74, "follow-up")
    entry = YOUNGEST + (OLDEST - YOUNGEST) * random.beta(*ENTRY_AGE_BETA, COHORT)
    for name in ("type_2_diabetes", "coronary_artery_disease", "osteoporosis"):
        k = DISEASE_NAMES.index(name)
        recorded = cohort.state.recorded[:, k]
        leaves = np.minimum(np.minimum(recorded, cohort.ends), entry + FOLLOW_UP_YEARS)
        score = best_score(cohort.people.genetic[:, k], random)
        columns = {"entry": entry, "age": leaves, "event": recorded <= leaves, "x": score}
        frame = pd.DataFrame(columns | {"male": cohort.people.male.astype(float)})
        frame = frame[frame["age"] > frame["entry"]].iloc[:60_000]
        permuted = frame.assign(x=random.permutation(frame["x"]))
        for data, expected in ((frame, np.log(DISEASES[k].score_ratio)), (permuted, 0.0)):
            fitted = CoxPHFitter().fit(data, "age", "event", entry_col="entry", strata=["male"])
            error = float(fitted.standard_errors_["x"])
            assert float(fitted.params_["x"]) == pytest.approx(expected, abs=4 * error + 0.1 * expected)
            assert error < 0.05


def test_the_closed_form_agrees_with_the_poisson_regression(
    cohort: LivedCohort, studies: list[Study]
) -> None:
    """What calibration uses against an independent program with scores drawn, on the same lives."""
    counts = RecordCounts(cohort.people.male, cohort.people.genetic)
    for age in np.arange(18.0, 95.0):
        now = []
        for limit in (age, age + 1):
            state = healthy(COHORT)
            state.recorded = np.where(cohort.state.recorded <= limit, cohort.state.recorded, np.inf)
            state.death = np.where(cohort.ends <= limit, cohort.ends, np.inf)
            now.append(state)
        counts.begin_year(now[0])
        counts.end_year(now[1])
    closed = counts.fit(np.sqrt(BEST_SCORE_R2)).log_ratio
    for k, study in enumerate(studies):
        value, error = study.fit()
        assert closed[k] == pytest.approx(value, abs=2.5 * error + 0.04 * value), DISEASE_NAMES[k]


FILES = SynthConfig(
    subjects=20_000,
    seed=75,
    scores=40,
    null_scores=0.0,
    related=0.0,
    variants=13_200,
    piece_megabases=0.8,
    population_shares=(0.2, 0.2, 0.2, 0.2, 0.2),
    discovery_panel=1000,
    discovery_sizes=(200_000,),
    reference_panel=5,
    causal_variants=300,
    missing_calls=0.0,
    ungenotyped=0.0,
)


def test_through_the_files_effects_are_smaller_in_other_ancestries(tmp_path: Path) -> None:
    """Scoring files as written, of whole lives in each population: EUR > AMR, EAS > AFA > AFR."""
    genomes = make_genomes(FILES, tmp_path)
    make_scores(FILES, genomes.work, genomes.genetics, genomes.out)
    typed, calls = genomes.typed(), genomes.calls()
    subjects, random, law = subjects_of(genomes.pedigree), generator(76, "lives"), table_law()
    genetic = genomes.genetics.values
    people = draw_people(
        law, subjects.male, genetic, random.standard_normal(genetic.shape),
        random.standard_normal(FILES.subjects), random,
    )  # fmt: skip
    cohort = lived(law, people, random)
    effects = {name: [] for name in POPULATIONS}
    for plan in plan_scores(FILES)[len(BIOMARKERS) :]:
        path = genomes.out / "scorefiles" / f"{plan.pgs_id}_hmPOS_GRCh38.txt.gz"
        score = weights_by_alt(read_scorefile(path)[1], typed).astype(np.float32) @ calls.astype(np.float32)
        for name in POPULATIONS:
            inside = np.flatnonzero(subjects.population == name)
            standard = (score[inside] - score[inside].mean()) / score[inside].std()
            of_population = LivedCohort(people.take(inside), cohort.state.take(inside), cohort.ends[inside])
            effects[name].append(Study.of(of_population, plan.trait - len(BIOMARKERS), standard).fit())
    weights = (
        np.array(effects["EUR"])[:, 1] ** -2
    )  # the same of every population, so that diseases count alike
    pooled = {name: np.average(np.array(found)[:, 0], weights=weights) for name, found in effects.items()}
    print({name: round(float(value / pooled["EUR"]), 3) for name, value in pooled.items()})
    published = np.average(np.log([disease.score_ratio for disease in DISEASES]), weights=weights)
    assert pooled["EUR"] == pytest.approx(published, rel=0.15)
    assert pooled["EUR"] > 1.1 * max(pooled["AMR"], pooled["EAS"])
    assert min(pooled["AMR"], pooled["EAS"]) > 1.05 * pooled["AFA"]
    assert pooled["AFA"] > pooled["AFR"] > 0.3 * pooled["EUR"]
