from datetime import datetime

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from proband.core.errors import ConfigError
from proband.evaluate.baselines import age_sex, tuning
from proband.evaluate.baselines.features import Features
from proband.evaluate.baselines.records import boosting
from proband.evaluate.metrics.discrimination import auroc

SPLITS = ("train", "tuning", "held_out")
FOLLOWED_YEARS = 5.0
CUT, RATIO = 0.8, 6.0


class World:
    """Hazards go with age and a value's being above a cut; one column is that value, ten are noise."""

    def __init__(self, size: int = 9000, ratio: float = RATIO, censored: float = 0.0, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.values = rng.random((size, 11))
        age = rng.uniform(40, 70, size)
        self.hazard = 0.01 * np.exp(0.04 * (age - 55)) * np.where(self.values[:, 0] > CUT, ratio, 1.0)
        time = rng.exponential(1 / self.hazard)
        leave = np.minimum(FOLLOWED_YEARS + 1, rng.exponential(1 / censored, size) if censored else np.inf)
        self.happened = time < FOLLOWED_YEARS
        self.rows = pl.DataFrame(
            {
                "subject_id": np.arange(size),
                "prediction_time": [datetime(2000, 1, 1)] * size,
                "outcome": "gout",
                "split": rng.choice(SPLITS, size, p=(0.5, 0.15, 0.35)),
                "time_years": np.minimum(time, leave),
                "event": (time < leave).astype(np.int8),
                "age_years": age,
                "female": rng.integers(0, 2, size).astype(float),
            }
        )

    def features(self, columns: slice = slice(None)):
        return lambda moments: Features.of_moments(
            csr_matrix(self.values[moments["subject_id"].to_numpy()][:, columns])
        )

    def fit_rows(self) -> pl.DataFrame:
        rows = self.rows.filter(pl.col("split") != "held_out")
        return rows.with_columns(pl.lit(False).alias("is_extra"))

    @property
    def wanted(self) -> pl.DataFrame:
        return self.rows.filter(split="held_out")

    def risks(self, columns: slice = slice(None)) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Risks of boosting and of age and sex, and who truly is a case, in the held-out split."""
        found = boosting.boosting(
            "lightgbm", self.fit_rows(), self.wanted, [FOLLOWED_YEARS], self.features(columns)
        ).risks
        plain = age_sex.age_sex(self.rows.filter(split="train"), self.wanted, [FOLLOWED_YEARS])
        return found["risk"].to_numpy(), plain["risk"].to_numpy(), self.happened[self.wanted["subject_id"]]


def test_finds_the_threshold_that_age_and_sex_do_not_see():
    world = World(18_000)  # fewer people end a fit sooner, and leave effects smaller
    risk, plain, case = world.risks()
    truth = world.hazard[world.wanted["subject_id"]]
    assert auroc(risk, case) > auroc(plain, case) + 0.1
    assert auroc(risk, case) > auroc(truth, case) - 0.03
    high = world.values[world.wanted["subject_id"], 0] > CUT
    ratio = np.log1p(-risk[high]).mean() / np.log1p(-risk[~high]).mean()
    assert ratio == pytest.approx(RATIO, rel=0.25)
    assert case.sum() / risk.sum() == pytest.approx(1, abs=0.15)


def test_noise_gains_nothing():
    world = World(ratio=1.0)
    risk, plain, case = world.risks()
    assert abs(auroc(risk, case) - auroc(plain, case)) < 0.015
    assert np.abs(risk - plain).mean() < 0.01


def test_the_column_that_matters_left_out_gains_nothing():
    risk, plain, case = World().risks(columns=slice(1, None))
    assert abs(auroc(risk, case) - auroc(plain, case)) < 0.015


def test_censoring_is_weighted_for():
    risk, _, case = World(censored=0.15).risks()
    assert case.sum() / risk.sum() == pytest.approx(1, abs=0.15)


def risks_without_tuning_cases(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    is_case = (pl.col("split") == "train") & (pl.col("event") == 1)
    rows = world.fit_rows().with_columns(is_case.cast(pl.Int8).alias("event"))
    found = boosting.boosting("lightgbm", rows, world.wanted, [5.0], world.features()).risks
    plain = age_sex.age_sex(rows.filter(split="train"), world.wanted, [5.0])
    return found["risk"].to_numpy(), plain["risk"].to_numpy(), world.happened[world.wanted["subject_id"]]


def test_without_tuning_cases_folds_of_train_judge():
    world = World(4500)
    risk, plain, case = risks_without_tuning_cases(world)
    by_tuning, _, _ = world.risks()
    assert auroc(risk, case) > auroc(plain, case) + 0.1
    assert auroc(risk, case) > auroc(by_tuning, case) - 0.02


def test_noise_gains_nothing_by_folds_either():
    risk, plain, case = risks_without_tuning_cases(World(ratio=1.0))
    assert abs(auroc(risk, case) - auroc(plain, case)) < 0.015
    assert np.abs(risk - plain).mean() < 0.01


@pytest.mark.parametrize(("num_cases", "num_folds"), [(19, 0), (20, 2), (49, 4), (500, 5)])
def test_with_too_few_cases_there_are_no_folds(num_cases, num_folds):
    case = np.arange(1000) < num_cases
    rows = tuning.Examples(np.arange(1000), np.arange(1000), case, np.ones(1000), np.zeros(1000))
    assert len(np.unique(tuning.folds(rows))) == num_folds
    question = tuning.Question("gout", 5.0, age_sex.rates_of(World(400).fit_rows()), rows, rows.where(~case))
    assert len(question.by_folds) == num_folds
    assert question.by_tuning == []


def test_each_fold_has_cases_and_others_and_no_subject_lies_in_two():
    rng = np.random.default_rng(3)
    subject = np.sort(rng.integers(0, 400, 1000))
    case = (subject % 10 == 0) & (rng.random(1000) < 0.7)
    rows = tuning.Examples(np.arange(1000), subject, case, np.ones(1000), np.zeros(1000))
    fold = tuning.folds(rows)
    assert sorted(set(fold)) == list(range(rows.num_case_subjects // 10))
    for one in range(fold.max() + 1):
        assert len(set(subject[case & (fold == one)])) >= 10
        assert not set(subject[fold == one]) & set(subject[fold != one])
    question = tuning.Question("gout", 5.0, age_sex.rates_of(World(400).fit_rows()), rows, rows.where(~case))
    assert [len(judge.case) for _, judge in question.by_folds] == np.bincount(fold).tolist()
    assert all(len(train.case) + len(judge.case) == 1000 for train, judge in question.by_folds)


def test_too_few_cases_is_left_out():
    world = World(600)
    few = world.fit_rows().with_columns(
        ((pl.col("event") == 1) & (pl.col("event").cum_sum() < 5)).cast(pl.Int8).alias("event")
    )
    assert boosting.boosting("lightgbm", few, world.wanted, [1.0, 5.0], world.features()).risks.is_empty()


def test_runs_are_the_same_and_what_followed_is_not_looked_at():
    world = World(2500)
    blind = world.wanted.with_columns(pl.lit(1.0).alias("time_years"), pl.lit(0, pl.Int8).alias("event"))
    first, again, unseen = (
        boosting.boosting("lightgbm", world.fit_rows(), wanted, [1.0, 5.0], world.features()).risks
        for wanted in (world.wanted, world.wanted, blind)
    )
    assert first.height == 2 * world.wanted.height
    assert first.equals(again)
    assert first.equals(unseen)


def test_further_dates_have_weights_of_their_own():
    """Rows at further dates are followed through; pooled weights would make the task's own cases too many."""
    world = World(400, censored=0.3)
    own = world.fit_rows()
    extra = own.with_columns(pl.lit(True).alias("is_extra"), pl.lit(9.0).alias("time_years"))
    extra = extra.with_columns(
        pl.lit(0, pl.Int8).alias("event"), pl.col("prediction_time") - pl.duration(days=365)
    )
    both = pl.concat([own, extra]).with_row_index("moment")
    rates = age_sex.rates_of(own)
    alone = tuning.examples_of(own.with_row_index("moment"), rates, 5.0, 0.0)
    together = tuning.examples_of(both, rates, 5.0, 0.0)
    assert together.weight[: len(alone.weight)] == pytest.approx(alone.weight)
    assert (together.weight[len(alone.weight) :] == 1).all()


def test_missing_library(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)
    with pytest.raises(ConfigError, match=r"LightGBM does not load.*libgomp1"):
        boosting.load_lightgbm()


def test_the_setting_is_chosen_among_those_given():
    world = World(3000)
    weak, strong = boosting.Setting(0.1, 2, 2900, 1.0), boosting.Setting(0.1, 4, 20, 1.0)
    arguments = ("lightgbm", world.fit_rows(), world.wanted, [5.0], world.features())
    found = boosting.boosting(*arguments, settings=(weak, strong))
    assert found.setting == strong  # no leaf holds as many rows as the other wants
    alone = boosting.boosting(*arguments, settings=(strong,))
    assert alone.risks.equals(found.risks)
