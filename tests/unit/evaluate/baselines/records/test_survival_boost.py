from datetime import datetime
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix

from proband.core.errors import ConfigError
from proband.evaluate import evaluate
from proband.evaluate.baselines import age_sex, registry
from proband.evaluate.baselines.features import Features
from proband.evaluate.baselines.records import survival_boost
from proband.evaluate.baselines.records.survival_boost import LEVELS, NAME, Setting, levelled
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.metrics.discrimination import auroc

HORIZONS = (2.0, 5.0)
FOLLOWED_YEARS = 8.0
FEW, ENOUGH = Setting(4, 0.1, 4, 100), Setting(40, 0.1, 4, 100)


class Law:
    """Constant hazards: one value triples that of the outcome, another that of death; the rest are noise."""

    def __init__(self, size=2500, seed=0):
        rng = np.random.default_rng(seed)
        self.values = rng.integers(0, 3, (size, 5)).astype(float)
        age = rng.integers(40, 70, size).astype(float)
        self.outcome = 0.05 * 3 ** (self.values[:, 0] - 1) * np.exp(0.03 * (age - 55))
        self.death = 0.03 * 3 ** (self.values[:, 1] - 1)
        times = rng.exponential(1 / np.stack([self.outcome, self.death, np.full(size, 0.05)], axis=1))
        self.time, self.cause = times[:, :2].min(axis=1), 1 + times[:, :2].argmin(axis=1)
        leaves = np.minimum(times[:, 2], FOLLOWED_YEARS)
        self.rows = pl.DataFrame(
            {
                "subject_id": np.arange(size),
                "prediction_time": [datetime(2000, 1, 1)] * size,
                "outcome": "gout",
                "split": rng.choice(["train", "tuning", "held_out"], size, p=(0.5, 0.2, 0.3)),
                "time_years": np.minimum(self.time, leaves),
                "event": np.where(self.time < leaves, self.cause, 0).astype(np.int8),
                "age_years": age,
                "female": rng.integers(0, 2, size).astype(float),
            }
        )

    def features(self, moments):
        return Features.of_moments(csr_matrix(self.values[moments["subject_id"].to_numpy()]))

    def fit_rows(self):
        return self.rows.filter(pl.col("split") != "held_out").with_columns(is_extra=pl.lit(False))

    @property
    def wanted(self):
        return self.rows.filter(split="held_out")

    def risks(self, fit=None, settings=(FEW,)):
        fit = self.fit_rows() if fit is None else fit
        found = survival_boost.survival_boost(
            NAME, fit, self.wanted, HORIZONS, self.features, settings=settings
        )
        return {horizon: found.filter(horizon_years=horizon)["risk"].to_numpy() for horizon in HORIZONS}

    def truth(self, horizon):
        outcome, total = self.outcome, self.outcome + self.death
        return (outcome / total * -np.expm1(-total * horizon))[self.wanted["subject_id"]]


@pytest.fixture(scope="module")
def hazardous():
    return pytest.importorskip("hazardous", reason="pip install 'proband[hazardous]'")


@pytest.fixture(scope="module")
def law():
    return Law()


def test_risks_are_the_packages_cumulative_incidences(hazardous, law):
    """The values are levels already."""
    risks = law.risks()
    train = law.rows.filter(split="train")
    beyond = train["time_years"].to_numpy() > max(HORIZONS)
    target = {
        "event": np.where(beyond, 0, train["event"].to_numpy()).astype(np.int64),
        "duration": np.minimum(train["time_years"].to_numpy(), max(HORIZONS)),
    }
    columns = np.hstack([law.rows.select("age_years", "female").to_numpy(), law.values])
    model = hazardous.SurvivalBoost(
        n_iter=4, learning_rate=0.1, max_leaf_nodes=4, min_samples_leaf=100,
        ipcw_strategy="kaplan-meier", random_state=0, show_progressbar=False,
    ).fit(columns[train["subject_id"]], target)  # fmt: skip
    curves = model.predict_cumulative_incidence(columns[law.wanted["subject_id"]], times=list(HORIZONS))
    for number, horizon in enumerate(HORIZONS):
        assert risks[horizon] == pytest.approx(curves[:, 1, number], abs=1e-12)


def test_risks_are_those_of_the_law_within_sampling_error(hazardous, law):
    risks = law.risks(settings=(ENOUGH,))
    for horizon in HORIZONS:
        truth, risk = law.truth(horizon), risks[horizon]
        cases = law.rows.filter(pl.col("time_years") < horizon, split="train", event=1).height
        assert abs(np.log(truth.sum() / risk.sum())) < 2.5 / np.sqrt(cases)
        assert np.corrcoef(risk, truth)[0, 1] > 0.9
        happened = ((law.time < horizon) & (law.cause == 1))[law.wanted["subject_id"]]
        assert auroc(risk, happened) > auroc(truth, happened) - 0.03
        dying = law.values[law.wanted["subject_id"], 1] == 2
        ratio = (risk[dying].mean() / risk[~dying].mean()) / (truth[dying].mean() / truth[~dying].mean())
        assert ratio == pytest.approx(1, abs=0.15)


def test_without_tuning_cases_risks_are_of_age_and_sex(hazardous, law):
    fit = law.fit_rows()
    quiet = fit.with_columns(
        pl.when(pl.col("split") == "tuning").then(0).otherwise("event").cast(pl.Int8).alias("event")
    )
    found = law.risks(quiet)
    for horizon in HORIZONS:
        plain = age_sex.age_sex(law.rows.filter(split="train"), law.wanted, [horizon])["risk"].to_numpy()
        assert found[horizon] == pytest.approx(plain, abs=1e-9)


def test_a_setting_that_learns_is_chosen_and_seeds_outside_are_left_alone(hazardous, law):
    np.random.seed(5)
    before = np.random.get_state()[1].tolist()
    found = law.risks(settings=(Setting(4, 0.001, 2, 100), FEW))
    assert np.random.get_state()[1].tolist() == before
    alone = law.risks()
    for horizon in HORIZONS:
        assert found[horizon].tolist() == alone[horizon].tolist()


def test_a_seed_longer_than_32_bits_is_no_reason_to_learn_nothing(monkeypatch, capsys):
    """The package refuses such a seed by the error with which it says that there is nothing to learn."""

    class Package:
        def __init__(self, random_state, **settings):
            self.drawn = np.random.RandomState(random_state).randint(100)

        def fit(self, values, target):
            return self

    monkeypatch.setattr(survival_boost, "load_hazardous", lambda: SimpleNamespace(SurvivalBoost=Package))
    rows = pl.DataFrame({"moment": [0, 1], "time_years": [1.0, 2.0], "event": [1, 0]})
    of = {"values": np.zeros((2, 1)), "rows": rows, "question": SimpleNamespace(outcome="gout")}
    short, long = (
        survival_boost._Boosted._fitted(SimpleNamespace(seed=seed, **of), FEW)
        for seed in (5, 20261130235959 << 32 | 5)
    )
    assert long.drawn == short.drawn
    assert not capsys.readouterr().err


def test_levels_keep_few_values_and_the_order_of_many():
    few = np.array([3.0, np.nan, 1.0, 2.0, 2.5])
    assert levelled(few, np.array([0, 1, 2, 3])).tolist() == pytest.approx([2, np.nan, 0, 1, 1], nan_ok=True)
    many = np.random.default_rng(0).normal(size=500)
    level = levelled(many, np.arange(500))
    assert set(level) == set(range(LEVELS))
    assert (np.diff(level[np.argsort(many)]) >= 0).all()


def test_without_the_package_the_extra_is_named(world, tokens_folder, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    arguments = [world.risk_folder("lacking")], world.meds
    needs = r"the baseline survival_boost needs the package hazardous \(pip install 'proband\[hazardous\]'\)"
    named = EvaluateConfig(bootstrap=0, baselines=(NAME,))
    with pytest.raises(ConfigError, match=needs):
        evaluate(*arguments, tmp_path / "named", tokens=tokens_folder, config=named)
    monkeypatch.setitem(__import__("sys").modules, "hazardous", None)
    with pytest.raises(ConfigError, match=r"hazardous does not load.*proband\[hazardous\]"):
        survival_boost.load_hazardous()
