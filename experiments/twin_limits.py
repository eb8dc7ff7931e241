"""What keeps a model's answer to another genome from the true one, one thing after another.

    python experiments/twin_limits.py OUT --demo DEMO --model MODEL

Everybody gets the genome of another subject drawn at random, as in twin_against_truth.py. Between the model's
answer and the truth stand answers that put right one thing each:

    learnt         the model: learnt effects of scores in its hazards
    marginal       effects that the same train subjects would teach if their true risks were known, not just
                   what befell them: a regression of the true risk on all scores, the model's risk without
                   genome as offset
    conditional    the true log hazard ratio of the genome, which holds for a person of given unobserved risk,
                   in the model's hazards, which are means over it
    true_hazards   the same in the true risk of each life
    true_onset     the same in the true risk of onset: who has the disease already, not yet recorded, or is
                   never diagnosed keeps the risk, and of the others the share of onsets recorded stays
    held           lives lived on with the diseases' genetic values exchanged
    truth          and with those of biomarkers

Columns are means over subjects of the difference in risk by the last horizon, in percentage points, each
times the sign of the model's answer, so that neighbours may be subtracted. `monte_carlo` is the error
of the truth by the number of futures alone. OUT gets twin_limits.md and its .csv files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
import torch
from replicates import write
from twin_worlds import KEY, World, moved_lives, open_world

from proband.core.seeds import generator
from proband.core.statistics.intervals import NORMAL_975
from proband.forecast.estimators.closed_form import cumulative_incidence
from proband.forecast.job import one_thread
from proband.model.onset.queries import Queries
from proband.synth.lives.output.truth import Risks, true_risks
from proband.synth.traits import DISEASE_NAMES
from proband.tokens.history.queries import known_at, query_batches
from proband.tokens.modalities.modality import GENOME, modality_files

STEPS = ("learnt", "marginal", "conditional", "true_hazards", "true_onset", "held", "truth")
_LEAST_RISK = 1e-6
_PASSES, _STEP = 50, 0.5
_RIDGE = 1.0
_EVERYBODY = 1_000_000


class Hazards:
    """The model's calibrated log hazards of all points, to which log hazard ratios may be added."""

    def __init__(self, world: World) -> None:
        model, store, tables = world.given
        assert model.onset is not None
        self.world, self.head = world, model.onset
        points = world.points
        with torch.no_grad():
            batches = query_batches(store, {}, points.rows, points.start, model.config.context)
            state = model.states(batches, len(points.rows))
            linear = {name: tables[name] for name in self.head.modalities if name in tables}
            known = known_at(store, points.rows, points.start)
            self.query = Queries(state=state, tables=linear, **known).batch(np.arange(len(points.rows)))
            self.log_ratio = self.head.calibrated(self.query)
        self.as_they_are = self.risk(np.zeros((len(points.rows), len(world.plan.job.tasks))))

    @torch.no_grad()
    def risk(self, shift: np.ndarray) -> np.ndarray:
        """Risks by the last horizon, (points, outcomes), with log hazard ratios of the outcomes added."""
        job = self.world.plan.job
        ratio = self.log_ratio.clone()
        ratio[:, list(job.tasks)] += torch.from_numpy(shift).to(ratio)[:, :, None]
        age, female, horizons = self.query.age, self.query.female, (self.world.horizon,)
        found = cumulative_incidence(self.head, ratio, age, female, job.tasks, job.death_task, horizons)
        return found[..., 0].double().numpy()

    def scores(self) -> np.ndarray:
        """Standardised scores of all points."""
        linear = self.head.linear_of(GENOME)
        return linear.standardised(self.query.modalities[GENOME]).double().numpy()

    def effects(self) -> np.ndarray:
        """Learnt log hazard ratios after calibration, at factor 1, (scores, outcomes)."""
        tasks = list(self.world.plan.job.tasks)
        slope = self.head.slope[tasks].double().numpy()
        return slope * self.head.linear_of(GENOME).beta[:, tasks].double().numpy()

    def factors(self) -> np.ndarray:
        """By what effects are multiplied at the ages of all points, (points, outcomes)."""
        tasks = list(self.world.plan.job.tasks)
        return self.head.linear_of(GENOME).factor(self.query.age)[:, tasks].double().numpy()

    def of_genome(self) -> np.ndarray:
        """What scores and their level by age add to log hazards after calibration, (points, outcomes)."""
        tasks = list(self.world.plan.job.tasks)
        part = self.head.linear_of(GENOME)(self.query.modalities[GENOME], self.query.age)[:, tasks]
        return (self.head.slope[tasks] * part).double().numpy()

    def difference(self, shift: np.ndarray) -> np.ndarray:
        """What the log hazard ratios change."""
        return self.risk(shift) - self.as_they_are


def true_effect(world: World, rows: np.ndarray) -> np.ndarray:
    """Log hazard ratio per genetic value in the middle of the horizon, (rows, diseases)."""
    law = world.lives.law
    return law.genetic[law.step_of(world.lives.at.age[rows] + world.horizon / 2)].astype(np.float64)


def marginal_effects(world: World, train: World, biobank: Path) -> np.ndarray:
    """Log hazard ratios per SD of every score that true risks of train subjects teach, (scores, outcomes).

    At the learnt factors by age: they alone differ from the learnt ones.
    """
    hazards, job = Hazards(train), train.plan.job
    z, factors = hazards.scores(), hazards.factors()
    without = np.clip(hazards.risk(-hazards.of_genome()), _LEAST_RISK, 1 - _LEAST_RISK)
    oracle = pl.read_parquet(biobank / "truth" / "risk.parquet").filter(horizon_years=train.horizon)
    wide = oracle.pivot(on="outcome", index=KEY, values="risk")
    true = train.points.frame.select(KEY).join(wide, on=KEY, how="left", maintain_order="left")
    found = []
    for at, outcome in enumerate(job.outcomes):
        free = ~train.points.prevalent[:, at] & true[outcome].is_not_null().to_numpy()
        offset = np.log(-np.log1p(-without[free, at]))
        found.append(regressed(true[outcome].to_numpy()[free], factors[free, at, None] * z[free], offset))
    return np.stack(found, axis=1)


def regressed(risk: np.ndarray, z: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Slopes of a regression of risks on scores: log(-log(1 - risk)) = offset + level + slopes z.

    Weighted least squares of binomial quasi-likelihood, iterated, with a ridge of weight 1 on the slopes.

    >>> z = np.random.default_rng(0).normal(size=(20_000, 2))
    >>> risk = 1 - np.exp(-np.exp(-2 + z @ [0.5, -0.2]))
    >>> [round(float(slope), 2) for slope in regressed(risk, z, np.full(20_000, -1.0))]
    [0.5, -0.2]
    """
    design = np.column_stack([np.ones(len(z)), z])
    ridge = _RIDGE * np.eye(design.shape[1])
    ridge[0, 0] = 0.0
    slopes = np.zeros(design.shape[1])
    slopes[0] = np.log(risk.mean() / -np.expm1(-np.exp(offset)).mean())
    for _ in range(_PASSES):
        hazard = np.exp(np.clip(offset + design @ slopes, -20, 3))
        mean = -np.expm1(-hazard)
        rate = hazard * np.exp(-hazard)
        weight = rate**2 / np.maximum(mean * (1 - mean), 1e-12)
        target = design @ slopes + (risk - mean) / np.maximum(rate, 1e-12)
        newer = np.linalg.solve((design.T * weight) @ design + ridge, (design.T * weight) @ target)
        slopes = slopes + np.clip(newer - slopes, -_STEP, _STEP)
    return slopes[1:]


def answers(
    world: World, train: World, base: Risks, biobank: Path
) -> tuple[dict[str, np.ndarray], pl.DataFrame]:
    """Differences in risk, (points, outcomes), of each step; and how far learnt effects are shrunk."""
    number = len(world.points.rows)
    place = [DISEASE_NAMES.index(name) for name in world.plan.job.outcomes]
    donor = generator(world.seed, "donors").permutation(number)
    hazards = Hazards(world)
    z, beta, factors = hazards.scores(), hazards.effects(), hazards.factors()
    effect = true_effect(world, np.arange(number))[:, place]
    marginal = marginal_effects(world, train, biobank)
    at = world.lives.at
    genetic = effect * (at.people.genetic[donor] - at.people.genetic)[:, place]
    recorded, onset = base.recorded[:, place, 0], base.onset[:, place, 0]
    begun = np.isfinite(at.now.onset[:, place])
    kept = begun | at.people.missed[:, place] | (onset <= 0)
    share = np.divide(recorded, onset, out=np.zeros_like(onset), where=~kept)
    direct, whole = moved_lives(world, biobank, donor)
    found = {
        "learnt": hazards.difference(factors * ((z[donor] - z) @ beta)),
        "marginal": hazards.difference(factors * ((z[donor] - z) @ marginal)),
        "conditional": hazards.difference(genetic),
        "true_hazards": _multiplied(recorded, genetic),
        "true_onset": share * _multiplied(onset, genetic),
        "held": world.true_risk(direct) - recorded,
        "truth": world.true_risk(whole) - recorded,
    }
    return found, shrinkage(world, factors * (z @ beta), factors * (z @ marginal), begun)


def _multiplied(risk: np.ndarray, log_ratio: np.ndarray) -> np.ndarray:
    """What risks change by if their cumulative hazards are multiplied.

    >>> _multiplied(np.array([0.5]), np.log([2.0])).round(3).tolist()
    [0.25]
    """
    risk = np.minimum(risk, 1 - 1e-9)
    return -np.expm1(np.log1p(-risk) * np.exp(log_ratio)) - risk


def shrinkage(world: World, learnt: np.ndarray, marginal: np.ndarray, begun: np.ndarray) -> pl.DataFrame:
    """By outcome: learnt on marginal log hazard ratios, their spread, and the share of cases begun."""
    risk, rows = world.truth_as_they_are, []
    for at, outcome in enumerate(world.plan.job.outcomes):
        free = ~world.points.prevalent[:, at]
        covariance = np.cov(learnt[free, at], marginal[free, at])
        spread = np.sqrt(np.diag(covariance))
        rows.append(
            {
                "outcome": outcome,
                "sd_learnt": spread[0],
                "sd_marginal": spread[1],
                "slope_on_marginal": covariance[0, 1] / covariance[1, 1],
                "correlation": covariance[0, 1] / max(1e-12, spread[0] * spread[1]),
                "true_cases_begun": float((risk * begun)[free, at].sum() / risk[free, at].sum()),
            }
        )
    return pl.DataFrame(rows)


def steps_table(world: World, found: dict[str, np.ndarray], monte_carlo: np.ndarray) -> pl.DataFrame:
    """Mean of each step by outcome in percentage points, signed by the model's answer."""
    rows = []
    for at, outcome in enumerate(world.plan.job.outcomes):
        free = ~world.points.prevalent[:, at]
        sign = np.sign(found["learnt"][free, at])
        means = {name: 100 * float((sign * found[name][free, at]).mean()) for name in STEPS}
        error = 100 * float(np.sqrt((monte_carlo[free, at] ** 2).sum())) / free.sum()
        rows.append({"outcome": outcome} | means | {"monte_carlo": error})
    return pl.DataFrame(rows).sort("truth", descending=True)


def agreements(world: World, found: dict[str, np.ndarray]) -> pl.DataFrame:
    """Of each step, signed by itself: outcomes that agree with lives lived on, and the slope on these."""
    rows = []
    for name in STEPS[:-2]:
        row: dict[str, object] = {"answer": name}
        for target in ("held", "truth"):
            agree, total = 0, [0.0, 0.0]
            for at in range(len(world.plan.job.outcomes)):
                free = ~world.points.prevalent[:, at]
                own, other = found[name][free, at], found[target][free, at]
                apart = np.sign(own) * (other - own)
                agree += abs(apart.mean()) <= NORMAL_975 * apart.std(ddof=1) / np.sqrt(len(apart))
                total[0] += float((np.sign(own) * own).mean())
                total[1] += float((np.sign(own) * other).mean())
            row |= {f"agree_with_{target}": agree, f"size_over_{target}": total[0] / total[1]}
        rows.append(row)
    return pl.DataFrame(rows)


def base_risks(world: World) -> Risks:
    """True risks of the points as they are, with the futures that all others have."""
    random = generator(world.seed, "twin")
    return true_risks(world.lives.law, world.lives.at, (world.horizon,), world.replicates, random)


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--demo", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--replicates", type=int, default=100, help="futures of a life")
    parser.add_argument("--subjects", type=int, default=_EVERYBODY, help="at most")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with one_thread():
        files = modality_files(given.demo / "genome")
        asked = given.demo, given.model, files, given.replicates, given.seed, given.subjects
        world = open_world(*asked)
        train, base = open_world(*asked[:-1], _EVERYBODY, split="train"), base_risks(world)
        found, shrunk = answers(world, train, base, given.demo / "biobank")
    error = base.recorded_error[:, [DISEASE_NAMES.index(name) for name in world.plan.job.outcomes], 0]
    tables = {
        "One thing after another": steps_table(world, found, error),
        "Agreement": agreements(world, found),
        "Learnt effects on marginal ones": shrunk.sort("sd_marginal", descending=True),
    }
    write(given.out, "twin_limits", tables, f"of the demo, {len(world.points.rows):,} predictions")


if __name__ == "__main__":
    main()
