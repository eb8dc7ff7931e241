"""Risks from onset hazards: the integral, and the whole stage with a head of random weights."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import known_law
from onset_world import head_of, query_of, random_rates, randomise
from proband.core.errors import ConfigError
from proband.core.files.manifest import read_manifest
from proband.core.schema import RISK
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from proband.forecast.estimators.closed_form import cumulative_incidence
from proband.model.checkpoint import load_model, save_model
from proband.model.config import FOLDS, OnsetConfig, OnsetTask
from proband.tokens import tokens
from proband.tokens.dataset import TokenStore
from proband.tokens.history.summary import SummaryLayout
from proband.train.onset.incidence import log_rates
from small_world import random_model

RATES = (0.02, 0.3, 0.05)
HORIZONS = (0.1, 1.0, 2.3, 5.0, 12.0)
DEATH = 2


def constant(death: int | None, tasks: list[int], log_ratio: float = 0.0) -> torch.Tensor:
    head = head_of([2], [3], [7])
    head.log_rate.copy_(torch.tensor(RATES).log()[:, None, None].expand_as(head.log_rate))
    query = query_of([0.0, 40.3, 99.0], [0.0, 1.0, np.nan])
    ratio = torch.zeros(3, 3, len(head.bias[0]))
    ratio[:, :DEATH] = log_ratio
    return cumulative_incidence(head, ratio, query.age, query.female, tasks, death, HORIZONS)


@pytest.mark.parametrize("log_ratio", [0.0, 0.7])
def test_constant_hazards_have_a_closed_form(log_ratio: float) -> None:
    found, years = constant(DEATH, [0, 1], log_ratio), np.array(HORIZONS)
    for at in (0, 1):
        rate = RATES[at] * np.exp(log_ratio)
        total = rate + RATES[DEATH]
        for row in range(3):
            assert found[row, at].numpy() == pytest.approx(rate / total * -np.expm1(-total * years), abs=1e-6)


def test_without_death_competing_risks_are_higher() -> None:
    found, years = constant(None, [0, 1]), np.array(HORIZONS)
    for at in (0, 1):
        assert found[0, at].numpy() == pytest.approx(-np.expm1(-RATES[at] * years), abs=1e-6)
    assert (found > constant(DEATH, [0, 1])).all()


def test_death_does_not_compete_with_itself() -> None:
    found = constant(DEATH, [DEATH, 0])
    assert found[0, 0].numpy() == pytest.approx(-np.expm1(-RATES[DEATH] * np.array(HORIZONS)), abs=1e-6)
    assert torch.equal(found[:, 1], constant(DEATH, [0])[:, 0])


def test_each_bin_of_the_time_ahead_has_its_own_hazard() -> None:
    head = head_of([2], [7])
    head.log_rate.fill_(np.log(0.1))
    ratio = torch.zeros(1, 2, 8)
    ratio[:, 0, 2] = 1.0  # years 1 to 2
    found = cumulative_incidence(
        head, ratio, torch.tensor([50.0]), torch.tensor([0.0]), [0], None, (1.0, 2.0, 3.0)
    )
    hazard = np.cumsum([0.1, 0.1 * np.e, 0.1])
    assert found[0, 0].numpy() == pytest.approx(-np.expm1(-hazard), abs=1e-6)


def test_risks_rise_with_the_horizon_and_causes_share_what_there_is() -> None:
    head = randomise(head_of([2], [3], [7]))
    random_rates(head)
    query = query_of(np.linspace(1, 110, 30).tolist(), [0.0, 1.0, np.nan] * 10)
    with torch.no_grad():
        found = cumulative_incidence(
            head, head(query), query.age, query.female, [0, DEATH], DEATH, tuple(np.arange(1, 61) / 4)
        )
    assert (found.diff(dim=-1) >= 0).all()
    assert (found.diff(dim=-1) > 0).double().mean() > 0.9
    assert ((found >= 0) & (found <= 1)).all()


@pytest.fixture(scope="module")
def model(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("onset") / "model"
    store = TokenStore(world / "tokens")
    codes = store.vocabulary.base_codes()
    tasks = tuple(
        OnsetTask(name="_".join(some), tokens=tuple(np.flatnonzero(np.isin(codes, some)).tolist()))
        for some in (["X//D"], ["MEDS_DEATH"], ["X//D", "MEDS_DEATH"])
    )
    made = random_model(
        vocabulary_size=len(store.vocabulary), once=store.once.nonzero()[0].tolist(), context=32
    )
    size = SummaryLayout.of(store.vocabulary).num_features
    head = made.attach_onset(OnsetConfig(tasks=tasks, num_named=2, num_features=size))
    head.log_rate.copy_(log_rates(store, tasks))
    randomise(head, 0.1)
    head.state_linear_folds[:] = 0.02 * torch.arange(FOLDS)[:, None, None]
    head.intercept[:2] = 0.4
    folder.mkdir()
    save_model(made, folder, store.vocabulary.hash)
    return folder


@pytest.fixture
def run(world: Path, model: Path, tmp_path: Path) -> Callable[..., pl.DataFrame]:
    def one(
        name: str = "out", task: str = known_law.TASK, config: dict[str, Any] | None = None, **options: Any
    ) -> pl.DataFrame:
        path = tmp_path / f"{name}.yaml"
        path.write_text(task)
        where = options.pop("tokens_folder", world / "tokens")
        settings = ForecastConfig(**(config or {}))
        given = options.pop("of", model), where, tmp_path / name
        forecast(*given, task=path, config=settings, workers=1, **options)
        return RISK.read(tmp_path / name / "risk.parquet")

    return one


def test_the_stage_reads_risks_without_sampling(run: Callable[..., pl.DataFrame]) -> None:
    table = run()
    for name in ("standard_error", "unresolved", "num_paths"):
        assert table[name].unique().to_list() == [0]
    assert table["risk_low"].equals(table["risk"])
    assert set(table["outcome"]) == {"d", "death"}
    wide = table.pivot("horizon_years", index=["subject_id", "outcome"], values="risk")
    assert (wide["5.0"] > wide["1.0"]).all()
    assert table["risk"].n_unique() > table.height / 2
    raw = run("raw", config={"raw": True})
    assert (raw["risk"] < table["risk"]).mean() > 0.9  # type: ignore[operator]


def test_the_error_of_the_fit_is_that_of_risks_without_each_fold(
    run: Callable[..., pl.DataFrame], model: Path, world: Path, tmp_path: Path
) -> None:
    """By models that have the coefficients without a fold; a task that is not named has no error."""
    task = known_law.TASK.replace("  death:", "  either: {codes: [X//D, MEDS_DEATH]}\n  death:")
    table, risks = run("whole", task), []
    for fold in range(FOLDS):
        changed = load_model(model)
        assert changed.onset is not None
        changed.onset.state_linear.add_(changed.onset.state_linear_folds[fold])
        (tmp_path / f"without{fold}").mkdir()
        save_model(changed, tmp_path / f"without{fold}", TokenStore(world / "tokens").vocabulary.hash)
        risks.append(run(f"fold{fold}", task, of=tmp_path / f"without{fold}")["risk"].to_numpy())
    expected = np.sqrt((FOLDS - 1) / FOLDS) * np.std(risks, axis=0) * np.sqrt(FOLDS)
    named = (table["outcome"] != "either").to_numpy()
    assert table["fit_error"].to_numpy()[named] == pytest.approx(expected[named], abs=1e-7)
    assert (expected[named] > 1e-4).all()
    assert table.filter(outcome="either")["fit_error"].null_count() == (~named).sum() > 0
    notes = read_manifest(tmp_path / "whole")["notes"]
    last = table.filter(horizon_years=5.0).drop_nulls("fit_error")
    assert notes["median_fit_error"] == pytest.approx(last["fit_error"].median())


def test_curves_pass_through_the_risks(run: Callable[..., pl.DataFrame], tmp_path: Path) -> None:
    table = run("curves", config={"curve_points": 20})
    plain, error = run("plain"), table["fit_error"].to_numpy()
    assert table.drop("fit_error").equals(plain.drop("fit_error"))
    assert error == pytest.approx(plain["fit_error"].to_numpy(), abs=1e-12)
    curves = RISK.read(tmp_path / "curves" / "curves.parquet")
    key = ["subject_id", "prediction_time", "outcome"]
    assert curves.join(table, on=[*key, "horizon_years", "risk"], how="semi").height == table.height
    assert curves.select(pl.col("risk").diff().over(key)).drop_nulls().to_series().min() >= 0  # type: ignore[operator]


def test_net_risks_are_higher(run: Callable[..., pl.DataFrame]) -> None:
    alone = known_law.TASK.replace("  death: {codes: MEDS_DEATH}\n", "")
    net = run("net", alone, {"net": True})
    assert (net["risk"] > run("competing", alone)["risk"]).all()
    assert net["model"].unique().to_list() == ["model (net)"]


def test_after_a_blanking_gap_risks_are_of_those_who_are_free_then(
    run: Callable[..., pl.DataFrame],
) -> None:
    """Who has the outcome within the gap is not asked about: (F(h) - F(g)) / (1 - F(g))."""
    gap = 0.25
    before = run("before", known_law.TASK.replace("[5, 1]", f"[{gap}]"))
    plain, after = run("plain"), run("after", known_law.TASK + f"gap_days: {gap * 365.25}\n")
    key = ["subject_id", "prediction_time", "outcome"]
    joined = (
        after.select(*key, "horizon_years", pl.col("risk").alias("after"))
        .join(plain.select(*key, "horizon_years", "risk"), on=[*key, "horizon_years"])
        .join(before.select(*key, pl.col("risk").alias("early")), on=key)
    )
    assert joined.height == after.height
    expected = (joined["risk"] - joined["early"]) / (1 - joined["early"])
    assert joined["after"].to_list() == pytest.approx(expected.to_list(), abs=1e-6)
    assert (joined["after"] < joined["risk"]).all()


def test_an_outcome_that_is_no_task_names_the_remedy(
    run: Callable[..., pl.DataFrame], world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = known_law.TASK.replace("  d:", "  b: {codes: X//B}\n  d:")
    message = r"^an outcome is no onset task of the model; in outcome b; .*--task and this task file"
    with pytest.raises(ConfigError, match=rf"{message}.*--estimator scope$"):
        run("other", other)
    both = known_law.TASK.replace("  d:", "  two: {steps: [{codes: X//D}, {codes: X//D}]}\n  d:")
    with pytest.raises(ConfigError, match=r"in outcome two; found .*a pattern of several events"):
        run("pattern", both)
    left_out = both.replace("{codes: X//D}]}", "{codes: X//D}], may_be_absent: true}")
    assert set(run("left_out", left_out)["outcome"]) == {"d", "death"}
    assert not (tmp_path / "other").exists()
    absent = run("absent", other.replace("X//B}", "X//B, may_be_absent: true}"))
    assert absent.equals(run())
    assert "b is no onset task of the model and is left out" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"no onset hazards.*train it with --task TASK, or .*scope"):
        forecast(world / "model", world / "tokens", tmp_path / "none", task=world / "task.yaml")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"trajectories": True}, r"closed_form samples none; in --trajectories; .*--estimator scope"),
        ({"precision": "5%"}, r"closed_form has no sampling error; in --precision; .*--estimator scope"),
    ],
)
def test_what_only_sampling_gives_is_refused(
    run: Callable[..., pl.DataFrame], tmp_path: Path, config: dict[str, Any], message: str
) -> None:
    asked = {"trajectories": tmp_path / "futures"} if config.pop("trajectories", False) else {}
    with pytest.raises(ConfigError, match=message):
        run(config=config, **asked)
    assert [path.name for path in tmp_path.iterdir()] == ["out.yaml"]


def test_nothing_after_the_prediction_time_changes_a_risk(
    run: Callable[..., pl.DataFrame], world: Path, tmp_path: Path
) -> None:
    events = pl.concat([pl.read_parquet(path) for path in sorted((world / "meds").rglob("*.parquet"))])
    events = events.sort("subject_id", "time", nulls_last=False, maintain_order=True)
    cut = known_law.START + timedelta(days=4 * 365.25)
    past = pl.col("time").is_null() | (pl.col("time") <= cut)
    kept = past | pl.col("code").is_in(["OBSERVATION_PERIOD//END", "MEDS_DEATH"])
    future = pl.when(kept).then("code").otherwise(pl.lit("X//D")).alias("code")
    swapped = pl.when(past & (pl.col("code") == "X//A")).then(pl.lit("X//B")).otherwise("code").alias("code")
    tables = {}
    for name, edit in (("future", future), ("past", swapped)):
        known_law.write_meds(events.with_columns(edit), tmp_path / name / "meds")
        where = tmp_path / name / "tokens"
        tokens(tmp_path / name / "meds", where, vocabulary=world / "tokens", workers=1)
        tables[name] = run(f"risk_{name}", tokens_folder=where)
    assert not events.with_columns(future).equals(events)
    assert tables["future"].equals(run())
    assert not tables["past"]["risk"].equals(tables["future"]["risk"])
