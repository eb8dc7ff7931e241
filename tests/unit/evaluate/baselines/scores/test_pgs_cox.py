"""Scores in a Cox model, and joined with the risk of a model that knows the rest."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from proband.evaluate.baselines.scores.late_fusion import late_fusion
from proband.evaluate.baselines.scores.pgs_cox import PENALTIES, fit_pgs_cox
from proband.evaluate.baselines.table import risk_table
from proband.evaluate.metrics.discrimination import auroc

HORIZON = 5.0


class World:
    """Hazards of two known parts: the first of eight scores, and what a record tells."""

    def __init__(self, size=3000, effect=0.8, seed=0):
        rng = np.random.default_rng(seed)
        pgs, record, pc = rng.normal(3, 2, (size, 8)), rng.normal(size=size), rng.normal(size=size)
        of_score = effect * (pgs[:, 0] - 3) / 2
        hazard, death = 0.04 * np.exp(of_score + 0.8 * record + 0.5 * pc), np.full(size, 0.02)
        onset, died = rng.exponential(1 / hazard), rng.exponential(1 / death)
        leave = rng.uniform(5, 9, size)
        time = np.minimum(np.minimum(onset, died), leave)
        self.case = (onset < HORIZON) & (onset < died)
        self.risk_of_record = 1 - np.exp(-0.04 * HORIZON * np.exp(0.8 * record + 0.5 * pc))
        self.rows = pl.DataFrame(
            {
                "subject_id": np.arange(size),
                "prediction_time": [datetime(2000, 1, 1)] * size,
                "outcome": "gout",
                "split": rng.choice(["train", "tuning", "held_out"], size, p=(0.5, 0.2, 0.3)),
                "time_years": time,
                "event": np.where(time == onset, 1, np.where(time == died, 2, 0)).astype(np.int8),
                "age_years": rng.uniform(40, 60, size),
                "female": rng.integers(0, 2, size).astype(float),
            }
        )
        ids = pl.DataFrame({"subject_id": np.arange(size)})
        self.scores = ids.with_columns(
            *(pl.Series(f"PGS{n}", pgs[:, n].astype(np.float32)) for n in range(8))
        )
        self.components = ids.with_columns(pl.Series("PC1", pc.astype(np.float32)))

    @property
    def wanted(self):
        return self.rows.filter(split="held_out")

    def auroc_of(self, frame):
        return auroc(frame["risk"].to_numpy(), self.case[frame["subject_id"].to_numpy()])


@pytest.fixture(scope="module")
def world():
    return World()


@pytest.fixture(scope="module")
def cox(world):
    return fit_pgs_cox(world.rows, [1.0, HORIZON], world.scores, world.components)


def test_finds_the_score_and_the_component_and_is_calibrated(world, cox):
    age_and_sex_and_component, scored = (
        cox.hazards["gout"].outcome.beta[:4],
        cox.hazards["gout"].outcome.beta[4:],
    )
    assert scored[0] == pytest.approx(0.7, abs=0.15)  # 0.8, less what the unread record dilutes
    assert np.abs(scored[1:]).max() < 0.15
    assert age_and_sex_and_component[3] == pytest.approx(0.43, abs=0.12)
    found = cox.risks(world.wanted, [1.0, HORIZON])
    assert found.height == 2 * world.wanted.height
    longest = found.filter(horizon_years=HORIZON)
    assert world.auroc_of(longest) > 0.65
    assert longest["risk"].mean() == pytest.approx(world.case[world.wanted["subject_id"]].mean(), abs=0.03)
    without = fit_pgs_cox(world.rows, [HORIZON], world.scores).risks(world.wanted, [HORIZON])
    assert world.auroc_of(longest) > world.auroc_of(without) + 0.01


def test_the_tuning_split_chooses_the_penalty():
    assert fit_pgs_cox(World(1500).rows, [HORIZON], World(1500).scores).penalty in PENALTIES[2:]
    nothing = World(1500, effect=0.0)
    assert fit_pgs_cox(nothing.rows, [HORIZON], nothing.scores).penalty in PENALTIES[:2]
    alone = nothing.rows.filter(pl.col("split") != "tuning")
    assert fit_pgs_cox(alone, [HORIZON], nothing.scores).penalty == PENALTIES[0]


def test_what_followed_is_not_looked_at_and_too_few_cases_are_left_out(world, cox):
    blind = world.wanted.with_columns(pl.lit(0.5).alias("time_years"), pl.lit(0, pl.Int8).alias("event"))
    assert cox.risks(blind, [HORIZON]).equals(cox.risks(world.wanted, [HORIZON]))
    few = world.rows.with_columns(
        pl.when(pl.col("event") == 1).then(0).otherwise("event").cast(pl.Int8).alias("event")
    )
    assert fit_pgs_cox(few, [HORIZON], world.scores).risks(world.wanted, [HORIZON]).is_empty()


def test_late_fusion_is_better_than_either_part_and_calibrated(world, cox):
    split = {
        name: risk_table(rows, "ehr", HORIZON, world.risk_of_record[rows["subject_id"].to_numpy()])
        for name, rows in (("tuning", world.rows.filter(split="tuning")), ("held_out", world.wanted))
    }
    tuning = world.rows.filter(split="tuning")
    fused = late_fusion(cox, tuning, world.wanted, split["tuning"], split["held_out"])
    parts = split["held_out"], cox.risks(world.wanted, [HORIZON])
    assert world.auroc_of(fused) > max(world.auroc_of(part) for part in parts) + 0.03
    assert fused["risk"].mean() == pytest.approx(world.case[world.wanted["subject_id"]].mean(), abs=0.04)
    few = tuning.head(9)
    assert late_fusion(cox, few, world.wanted, split["tuning"], split["held_out"]).is_empty()
    other = split["held_out"].with_columns(pl.lit("another").alias("model"))
    assert late_fusion(cox, tuning, world.wanted, split["tuning"], other).is_empty()


def test_late_fusion_of_a_dozen_cases_is_no_worse_than_the_record_alone():
    world = World(effect=0.3)
    cox = fit_pgs_cox(world.rows, [HORIZON], world.scores, world.components)
    tuning = world.rows.filter(split="tuning")
    of_tuning, of_held_out = (
        risk_table(rows, "ehr", HORIZON, world.risk_of_record[rows["subject_id"].to_numpy()])
        for rows in (tuning, world.wanted)
    )
    fused = [late_fusion(cox, part, world.wanted, of_tuning, of_held_out) for part in tuning.iter_slices(110)]
    areas = [world.auroc_of(one) for one in fused if one.height]
    assert len(areas) >= 4
    assert min(areas) > world.auroc_of(of_held_out)
