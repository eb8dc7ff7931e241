"""What scenarios answer, beside forecasts of worlds in which they are true."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

import known_law
from proband.core.schema import PLAUSIBILITY, RISK, SCENARIO_SUMMARY, SCENARIOS
from proband.forecast import forecast
from proband.forecast.config import ForecastConfig
from proband.model.checkpoint import load_model, save_model
from proband.model.config import FOLDS
from proband.tokens import tokens
from proband.tokens.dataset import TokenStore

KEY = ["subject_id", "prediction_time", "outcome", "horizon_years"]
Run = Callable[..., pl.DataFrame]
TRAIN = ForecastConfig(split="train")


def merged(table: pl.DataFrame, risks: pl.DataFrame) -> pl.DataFrame:
    return table.join(risks.select(*KEY, pl.col("risk").alias("other")), on=KEY)


def test_who_is_not_changed_keeps_the_risk_to_the_bit(run: Run, tmp_path: Path) -> None:
    table = run({"remove": {"codes": "X//C", "days_before": 300}})
    same = table.filter(~pl.col("is_changed"))
    found = merged(same, RISK.read(tmp_path / "out" / "risk.parquet"))
    assert 0 < found.height == same.height < table.height
    assert (found["risk"] == found["other"]).all()
    assert (same["difference"] == 0).all()
    changed = table.filter("is_changed")
    assert (changed["difference"] != 0).all()
    assert (changed["risk_baseline"] + changed["difference"] - changed["risk"]).abs().max() < 1e-12


def test_a_code_removed_is_a_record_that_never_had_it(run: Run, world: Path, tmp_path: Path) -> None:
    table = run({"remove": {"codes": "X//C"}})
    events = pl.concat([pl.read_parquet(path) for path in sorted((world / "meds").rglob("*.parquet"))])
    known_law.write_meds(events.filter(pl.col("code") != "X//C"), tmp_path / "meds")
    tokens(tmp_path / "meds", tmp_path / "without", vocabulary=world / "tokens", workers=1)
    given = {"task": world / "d.yaml", "genome": world / "genome", "config": TRAIN, "workers": 1}
    forecast(world / "model_genome", tmp_path / "without", tmp_path / "risk", **given)
    found = merged(table, RISK.read(tmp_path / "risk" / "risk.parquet"))
    assert found.height == table.height > 50
    assert (found["risk"] - found["other"]).abs().max() < 1e-6


def test_an_event_added_and_removed_again_leaves_the_record(run: Run) -> None:
    add, remove = {"code": "X//C", "days_before": 30}, {"prefixes": "X//C", "days_before": 30}
    table = run({"add": add}, {"remove": remove})
    removed = run({"remove": remove}, out="removed")
    assert (table["risk"] - removed["risk"]).abs().max() < 1e-6
    assert (run({"add": add}, out="added")["risk"] - removed["risk"]).abs().max() > 1e-3


def test_an_added_event_of_the_outcome_leaves_no_row(run: Run) -> None:
    table = run(
        {"add": {"code": "X//D", "days_before": 1}},
        scenario={"subjects": [run({"remove": {"codes": "X//A"}}, out="first")["subject_id"][0]]},
    )
    assert not table["is_changed"].any()


def test_no_genome_is_the_answer_without_one(run: Run, world: Path, tmp_path: Path) -> None:
    table = run({"genome": {"absent": True}})
    given = {"task": world / "d.yaml", "config": TRAIN, "workers": 1}
    forecast(world / "model_genome", world / "tokens", tmp_path / "without", **given)
    found = merged(table, RISK.read(tmp_path / "without" / "risk.parquet"))
    assert found.height == table.height
    assert (found["risk"] - found["other"]).abs().max() < 1e-6
    assert found.filter("is_changed")["difference"].abs().max() > 1e-3
    assert PLAUSIBILITY.read(tmp_path / "out" / "plausibility.parquet").is_empty()


def test_anothers_genome_is_the_risk_with_these_scores(run: Run, world: Path, tmp_path: Path) -> None:
    scores = pl.read_parquet(world / "genome" / "scores.parquet")
    donor = scores["subject_id"][0]
    table = run({"genome": {"subject": donor}})
    one = scores.filter(subject_id=donor).drop("subject_id")
    everybody = pl.DataFrame({"subject_id": TokenStore(world / "tokens").subject_ids}).join(one, how="cross")
    (tmp_path / "same").mkdir()
    everybody.write_parquet(tmp_path / "same" / "scores.parquet")
    given = {"task": world / "d.yaml", "config": TRAIN, "workers": 1, "genome": tmp_path / "same"}
    forecast(world / "model_genome", world / "tokens", tmp_path / "risk", **given)
    found = merged(table, RISK.read(tmp_path / "risk" / "risk.parquet"))
    assert (found["risk"] - found["other"]).abs().max() < 1e-6


def test_a_score_at_a_percentile_changes_the_genotyped_in_one_direction(run: Run, world: Path) -> None:
    low = run({"genome": {"score": "PGS2", "percentile": 1}}, out="low")
    high = run({"genome": {"score": "PGS2", "percentile": 99}}, out="high")
    genotyped = pl.read_parquet(world / "genome" / "scores.parquet")["subject_id"]
    assert set(low.filter("is_changed")["subject_id"]) <= set(genotyped)
    gap = (high["risk"] - low["risk"]).filter(high["is_changed"])
    assert (gap > 0).all() or (gap < 0).all()


def test_values_shifted_move_with_the_aim(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    same = run({"shift": {"code": "X//B", "to": 3.0}}, out="to")
    assert "does not tell 3 from other values above" in capsys.readouterr().err
    by = run({"shift": {"code": "X//B", "by": 100.0}}, out="by")
    assert (same["risk"] == by["risk"]).all()
    down = run({"shift": {"code": "X//B", "by": -100.0, "days_before": 700}}, out="down")
    assert 0 < down.filter("is_changed").height < same.filter("is_changed").height


def test_the_summary_is_the_mean_over_the_changed(run: Run, tmp_path: Path) -> None:
    table = run({"remove": {"codes": "X//C"}})
    summary = SCENARIO_SUMMARY.read(tmp_path / "out" / "scenario_summary.parquet")
    for row in summary.iter_rows(named=True):
        own = table.filter(horizon_years=row["horizon_years"], outcome=row["outcome"])
        changed = own.filter("is_changed")["difference"].to_numpy()
        assert (row["num_predictions"], row["num_changed"]) == (own.height, len(changed))
        assert row["difference"] == pytest.approx(changed.mean())
        # one prediction a subject
        assert row["standard_error"] == pytest.approx(changed.std(ddof=1) / np.sqrt(len(changed)))


def test_paths_of_one_number_are_paired(run: Run, tmp_path: Path) -> None:
    config = ForecastConfig(split="held_out", estimator="scope", onsets="events", paths=16, max_events=60)
    table = run({"genome": {"score": "PGS1", "percentile": 50}}, config=config)
    risk = RISK.read(tmp_path / "out" / "risk.parquet")
    found = table.join(risk.select(*KEY, pl.col("standard_error").alias("alone")), on=KEY)
    changed = found.filter("is_changed", pl.col("alone") > 0)
    assert changed.height > 0
    assert (changed["standard_error"] > 0).all()
    unpaired = 2 * (changed["alone"] ** 2).sum()
    assert (changed["standard_error"] ** 2).sum() < 0.7 * unpaired
    same = found.filter(~pl.col("is_changed"))
    assert (same["difference"] == 0).all()
    assert (same["standard_error"] == 0).all()


def test_differences_have_the_error_of_the_fit_of_both_risks(run: Run, world: Path, tmp_path: Path) -> None:
    """By models that have the effects without a fold; of whom nothing changes 0; of paths not known."""
    change, vocabulary = (
        {"genome": {"score": "PGS1", "percentile": 90}},
        TokenStore(world / "tokens").vocabulary,
    )
    folds = torch.tensor([0.1, -0.2, 0.0, 0.3, -0.2])

    def changed(name: str, by_fold: float) -> pl.DataFrame:
        """Risks by effects of scores that a fold changes."""
        model = load_model(world / "model_genome")
        assert model.onset is not None
        genome = model.onset.linear_of("genome")
        genome.beta_folds[:] = folds[:, None, None]
        genome.beta[:, : genome.beta_folds.shape[2]] += by_fold
        (tmp_path / f"model_{name}").mkdir()
        save_model(model, tmp_path / f"model_{name}", vocabulary.hash)
        return run(change, model=str(tmp_path / f"model_{name}"), genome=world / "genome", out=name)

    table = changed("whole", 0.0)
    differences = [
        changed(f"fold{at}", by_fold)["difference"].to_numpy() for at, by_fold in enumerate(folds.tolist())
    ]
    expected = np.sqrt((FOLDS - 1) * np.var(differences, axis=0))
    assert table["fit_error"].to_numpy() == pytest.approx(expected, abs=1e-6)
    is_changed = table["is_changed"].to_numpy()
    assert (expected[is_changed] > 1e-4).mean() > 0.9
    assert not table["fit_error"].to_numpy()[~is_changed].any()
    summary = SCENARIO_SUMMARY.read(tmp_path / "whole" / "scenario_summary.parquet")
    for outcome, horizon, error in summary.select("outcome", "horizon_years", "fit_error").rows():
        rows = ((table["outcome"] == outcome) & (table["horizon_years"] == horizon)).to_numpy() & is_changed
        means = [difference[rows].mean() for difference in differences]
        assert error == pytest.approx(np.sqrt((FOLDS - 1) * np.var(means)), abs=1e-6)
    sampled = ForecastConfig(split="train", estimator="scope", onsets="events", paths=2, max_events=5)
    assert run(change, config=sampled, out="paths")["fit_error"].null_count() == table.height


@pytest.mark.parametrize("estimator", ["scope", "reach"])
def test_sampled_estimators_give_onset_tasks_the_risks_of_closed_form(
    run: Run, tmp_path: Path, estimator: str
) -> None:
    change = {"genome": {"score": "PGS1", "percentile": 50}}
    sampled = ForecastConfig(split="train", estimator=estimator, paths=2, max_events=5)
    tables = [run(change, config=config, out=config.estimator) for config in (TRAIN, sampled)]
    risks = [RISK.read(tmp_path / name / "risk.parquet") for name in ("closed_form", estimator)]
    assert np.abs(risks[0]["risk"] - risks[1]["risk"]).max() < 1e-6
    assert risks[1]["standard_error"].max() == 0
    assert risks[1]["unresolved"].max() == 0
    assert np.abs(tables[0]["difference"] - tables[1]["difference"]).max() < 1e-6


def test_paths_have_onsets_at_the_risks_of_closed_form(run: Run, tmp_path: Path) -> None:
    change = {"genome": {"score": "PGS1", "percentile": 50}}
    counted = ForecastConfig(split="train", estimator="mc", paths=200, max_events=200)
    run(change, out="exact")
    run(change, config=counted, out="counted")
    exact, found = (
        RISK.read(tmp_path / name / "risk.parquet")["risk"].to_numpy() for name in ("exact", "counted")
    )
    error = np.sqrt((exact * (1 - exact) / 200).sum())
    assert exact.mean() > 0.05
    assert abs((found - exact).sum()) < 4 * error
    assert np.corrcoef(found, exact)[0, 1] > 0.7


def test_records_far_from_those_of_training_are_warned_of(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = [{"add": {"code": "X//C", "days_before": days}} for days in range(60)]
    run(*odd)
    table = PLAUSIBILITY.read(tmp_path / "out" / "plausibility.parquet")
    assert (table["distance"] > table["distance_baseline"]).all()
    assert table["share_beyond_baseline"].mean() > 0.2
    assert "warning: the model has hardly seen" in capsys.readouterr().err
    run({"remove": {"codes": "X//A", "days_before": 60}}, out="mild")
    assert "warning" not in capsys.readouterr().err


def test_subjects_of_a_list_are_asked_whatever_their_split(run: Run, world: Path, tmp_path: Path) -> None:
    ids = run({"remove": {"codes": "X//A"}}, out="all")["subject_id"].unique().sort().head(3)
    (tmp_path / "some.txt").write_text("\n".join(map(str, ids)))
    held_out = ForecastConfig()
    table = run({"remove": {"codes": "X//A"}}, config=held_out, subjects=tmp_path / "some.txt")
    assert table["subject_id"].unique().sort().to_list() == ids.to_list()


def test_one_subject_is_drawn_with_and_without_scenarios(run: Run, world: Path, tmp_path: Path) -> None:
    changed = run({"genome": {"score": "PGS2", "percentile": 99}}, out="all").filter("is_changed")
    (tmp_path / "one.txt").write_text(str(changed["subject_id"][0]))
    one = {"subjects": tmp_path / "one.txt"}
    config = ForecastConfig(curve_points=10)
    table = run({"genome": {"score": "PGS2", "percentile": 99}}, config=config, out="one", **one)
    curves = SCENARIOS.read(tmp_path / "one" / "scenario_curves.parquet")
    assert curves["horizon_years"].n_unique() == 10
    assert curves.filter(pl.col("horizon_years").is_in([1.0, 5.0])).equals(table)
    assert (curves["difference"].abs() > 0).all()
    assert not (tmp_path / "all" / "twin.png").exists()
    assert not (tmp_path / "all" / "scenario_curves.parquet").exists()
    width, height = (
        int.from_bytes((tmp_path / "one" / "twin.png").read_bytes()[at : at + 4]) for at in (16, 20)
    )
    assert (width, height) == (1100, 792)


def test_the_picture_shows_the_risks_of_the_tables(run: Run, world: Path, tmp_path: Path) -> None:
    from matplotlib import pyplot as plt

    from proband.forecast.scenario.picture import draw_differences, draw_risks

    sampled = ForecastConfig(split="train", estimator="scope", onsets="events", paths=8, max_events=40)
    table = run({"genome": {"score": "PGS2", "percentile": 99}}, config=sampled)
    key = table.filter("is_changed", pl.col("standard_error") > 0).select("subject_id", "prediction_time")[0]
    mine = table.join(key, on=key.columns).sort("horizon_years")
    risk = RISK.read(tmp_path / "out" / "risk.parquet").join(key, on=key.columns)
    figure, (curves, changes) = plt.subplots(1, 2)
    draw_risks(curves, risk, mine, {"other": "#0b5394"})
    as_it_is, other = (line.get_ydata().tolist() for line in curves.lines)
    assert as_it_is == [0.0, *mine["risk_baseline"]]
    assert other == [0.0, *mine["risk"]]
    draw_differences(changes, mine.filter(horizon_years=5.0), ["d"], {"other": "#0b5394"})
    assert changes.lines[0].get_ydata()[0] == pytest.approx(100 * mine["difference"][-1])
    low, high = changes.collections[0].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(196 * mine["standard_error"][-1])
    plt.close(figure)


def test_sampled_curves_stand_beside_those_in_closed_form(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = run({"genome": {"score": "PGS2", "percentile": 99}}, out="all").filter("is_changed")
    one = {"subjects": tmp_path / "one.txt"}
    one["subjects"].write_text(str(changed["subject_id"][0]))
    drawn: list[pl.DataFrame] = []
    monkeypatch.setattr("proband.forecast.output.compared.plot_twin", lambda *given: drawn.append(given[-1]))
    config = ForecastConfig(estimator="scope", onsets="events", paths=4, max_events=20)
    sampled = run({"genome": {"score": "PGS2", "percentile": 99}}, config=config, out="paths", **one)
    summary = SCENARIO_SUMMARY.read(tmp_path / "paths" / "scenario_summary.parquet")
    errors = sampled.sort("horizon_years")["standard_error"].to_list()
    assert summary.sort("horizon_years")["standard_error"].to_list() == pytest.approx(errors)
    exact = drawn[0].filter(outcome="d").sort("horizon_years")
    expected = changed.filter(subject_id=changed["subject_id"][0]).sort("horizon_years")
    for name, column in ((None, "risk_baseline"), ("other", "risk")):
        found = exact.filter(pl.col("scenario").eq_missing(pl.lit(name)))["risk"].to_list()
        assert found == pytest.approx(expected[column].to_list(), abs=1e-6)
    run({"genome": {"score": "PGS2", "percentile": 99}}, out="exact", **one)
    assert drawn[1] is None
    assert (
        SCENARIO_SUMMARY.read(tmp_path / "exact" / "scenario_summary.parquet")["standard_error"]
        .is_null()
        .all()
    )
