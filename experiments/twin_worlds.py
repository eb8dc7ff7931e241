"""A model and the lives behind its predictions, on a synthetic biobank: the same change in both."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch

from proband.core.seeds import generator
from proband.core.statistics.intervals import NORMAL_975, STUDENT_975_4
from proband.core.units import DAYS_PER_YEAR
from proband.forecast.answers import closed_form_risks
from proband.forecast.config import ForecastConfig
from proband.forecast.estimators.risks import jackknife
from proband.forecast.job import Opened, opened
from proband.forecast.plan import Plan, make_plan
from proband.forecast.risk import Points
from proband.forecast.scenario.changes import AddToken, GenomeChange, When
from proband.forecast.scenario.made import make
from proband.forecast.scenario.resolve import Resolved
from proband.synth.lives.law import NUM_MARKERS
from proband.synth.lives.output.truth import Moments, true_risks
from proband.synth.lives.state import State
from proband.synth.oracle import Replayed, replayed
from proband.synth.traits import BIOMARKERS, DISEASE_NAMES, TREATMENT_NAMES
from proband.tokens.modalities.modality import GENOME

DAYS_BEFORE = 30.0
"""When a treatment begins."""
KEY = ["subject_id", "prediction_time"]


@dataclass(frozen=True)
class Exchange(GenomeChange):
    """The scores of another subject for each point."""

    donors: np.ndarray

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The donors' scores."""
        return self.donors


@dataclass(frozen=True)
class World:
    """A model, the points it is asked of, and the lives behind them, in one order."""

    given: Opened
    plan: Plan
    points: Points
    lives: Replayed
    replicates: int
    seed: int

    @property
    def horizon(self) -> float:
        """The last horizon, years."""
        return float(self.plan.job.horizons_years[-1])

    @functools.cached_property
    def as_they_are(self) -> np.ndarray:
        """Risks by the last horizon of the points as they are, as :meth:`model_risk` gives them."""
        return self._risk(self.given, self.points)

    @functools.cached_property
    def truth_as_they_are(self) -> np.ndarray:
        """True risks of the same."""
        return self.true_risk(self.lives.at)

    def model_risk(self, scenario: Resolved) -> np.ndarray:
        """Risks by the last horizon in a scenario, (1 + folds, points, outcomes): those of the model, then
        those of a fit without each fold of the train people."""
        made = make(scenario, self.given.store, self.given.tables, self.points)
        rows = made.points(self.points, self.points.prevalent[made.index])
        found = self.as_they_are.copy()
        found[:, made.index] = self._risk(Opened(self.given.model, made.store, made.tables), rows)
        return found

    def _risk(self, given: Opened, points: Points) -> np.ndarray:
        risk, by_fold = closed_form_risks(given, points, self.plan.job)
        return torch.cat([risk[None], by_fold])[..., -1].double().numpy()

    def true_risk(self, at: Moments) -> np.ndarray:
        """True risks of a first record by the last horizon, (points, outcomes)."""
        random = generator(self.seed, "twin")
        risks = true_risks(self.lives.law, at, (self.horizon,), self.replicates, random)
        places = [DISEASE_NAMES.index(name) for name in self.plan.job.outcomes]
        return risks.recorded[:, places, 0]


def open_world(
    demo: Path,
    model: Path,
    files: dict[str, Path],
    replicates: int,
    seed: int,
    limit: int,
    split: str = "held_out",
) -> World:
    """Genotyped subjects of a split, at the predictions of the biobank's task."""
    config = ForecastConfig(split=split)
    plan = make_plan(model, demo / "tokens", files, demo / "biobank" / "task.yaml", config)
    given = opened(model, demo / "tokens", files, torch.device("cpu"))
    known = np.flatnonzero(given.tables[GENOME].observed[plan.points.rows])
    known = generator(seed, "whom").permutation(known)[:limit]
    points = plan.points.take(np.sort(known))
    lives = replayed(demo / "biobank", points.frame)
    order = lives.asked.with_row_index("at").join(
        points.frame.with_row_index("place"), on=KEY, maintain_order="left"
    )
    return World(
        given, plan, points.take(order["place"].to_numpy().astype(np.int64)), lives, replicates, seed
    )


def genetic_values(biobank: Path, ids: pl.Series) -> np.ndarray:
    """Genetic values of the biomarkers, (subjects, markers)."""
    names = [marker.name for marker in BIOMARKERS]
    table = pl.read_parquet(biobank / "truth" / "liabilities.parquet").filter(pl.col("trait").is_in(names))
    wide = table.pivot(on="trait", index="subject_id", values="genetic")
    found = ids.to_frame("subject_id").join(wide, on="subject_id", maintain_order="left")
    return found.select(names).to_numpy()


def moved_lives(world: World, biobank: Path, donor: np.ndarray) -> tuple[Moments, Moments]:
    """Lives with the donors' genetic values of diseases, and with those of biomarkers too."""
    at = world.lives.at
    marker = genetic_values(biobank, world.points.frame["subject_id"])
    heritability = np.array([one.heritability for one in BIOMARKERS])
    direct = replace(at.people, genetic=at.people.genetic[donor])
    moved = at.people.stable + np.sqrt(heritability) * (marker[donor] - marker)
    assert moved.shape[1] == NUM_MARKERS
    return replace(at, people=direct), replace(at, people=replace(direct, stable=moved))


def genome_table(world: World, biobank: Path) -> pl.DataFrame:
    """Everybody with the genome of another, drawn at random; see :func:`signed`."""
    number = len(world.points.rows)
    donor = generator(world.seed, "donors").permutation(number)
    values = world.given.tables[GENOME].values_by(world.points.rows, world.points.start)
    exchanged = Resolved("exchanged", (Exchange(values[donor]),), None)
    model = world.model_risk(exchanged) - world.as_they_are
    direct, moved = moved_lives(world, biobank, donor)
    base = world.truth_as_they_are
    whole = world.true_risk(moved) - base
    held = world.true_risk(direct) - base
    rows = []
    for place, outcome in enumerate(world.plan.job.outcomes):
        free = ~world.points.prevalent[:, place]
        of_outcome = model[:, free, place], whole[free, place], held[free, place]
        rows.append(signed(outcome, *of_outcome))
    return pl.DataFrame(rows).sort("truth", descending=True)


def signed(outcome: str, by_fit: np.ndarray, truth: np.ndarray, held: np.ndarray) -> dict[str, object]:
    """Mean differences with the sign that the model gives each subject's.

    Exchanges of genomes raise one subject's risk and lower another's. The model's mean is that of absolute
    differences, E|m|, the truth's E[sign(m) t]. If the model's differences are noise the first is above 0
    all the same and the second is 0, so that the first alone says nothing of the size of true differences.

    Args:
        outcome: Its name.
        by_fit: Differences by the model, and by fits without each fold, (1 + folds, subjects).
        truth: True differences.
        held: The same with the levels of biomarkers held.
    """
    sign = np.sign(by_fit[0])
    found = _compared(outcome, sign * by_fit, sign * truth)
    return found | {"truth_levels_held": float((sign * held).mean())}


def _compared(outcome: str, by_fit: np.ndarray, truth: np.ndarray) -> dict[str, object]:
    """Mean differences with the error of the model's fit, and over subjects the standard errors of the
    truth's and of how far they are apart.

    Args:
        outcome: Its name.
        by_fit: Differences by the model, and by fits without each fold, (1 + folds, subjects).
        truth: True differences.
    """
    model = by_fit[0]
    of_fit = float(jackknife(torch.from_numpy(by_fit[1:].mean(axis=1))[:, None, None]))
    apart = truth - model
    error = float(apart.std(ddof=1) / np.sqrt(len(apart)))
    return {
        "outcome": outcome,
        "num_predictions": len(model),
        "model": float(model.mean()),
        "fit_error": of_fit,
        "truth": float(truth.mean()),
        "truth_error": float(truth.std(ddof=1) / np.sqrt(len(truth))),
        "apart": float(apart.mean()),
        "apart_error": error,
        "agrees": bool(abs(apart.mean()) <= np.hypot(NORMAL_975 * error, STUDENT_975_4 * of_fit)),
    }


def treatment_table(world: World, treatment: str, code: str) -> pl.DataFrame:
    """Everybody who has never taken it, treated from 30 days before the prediction on."""
    number = TREATMENT_NAMES.index(treatment)
    at = world.lives.at
    never = np.isinf(at.now.started[:, number])
    token = world.given.store.vocabulary.index[code]
    change = AddToken(When(days_before=DAYS_BEFORE), token, np.zeros(0, dtype=np.int64))
    model = world.model_risk(Resolved("treated", (change,), None)) - world.as_they_are
    truth = world.true_risk(_treated(at, number)) - world.truth_as_they_are
    rows = []
    for place, outcome in enumerate(world.plan.job.outcomes):
        free = ~world.points.prevalent[:, place] & never
        rows.append(_compared(outcome, model[:, free, place], truth[free, place]))
    return pl.DataFrame(rows).sort(pl.col("truth").abs(), descending=True)


def _treated(at: Moments, number: int) -> Moments:
    """Lives whose owners began a treatment just now."""

    def begun(state: State) -> State:
        started = state.started.copy()
        started[:, number] = np.minimum(started[:, number], at.age - DAYS_BEFORE / DAYS_PER_YEAR)
        return replace(state, started=started)

    return replace(at, start=begun(at.start), now=begun(at.now))
