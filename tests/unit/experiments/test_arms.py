"""Arms of the experiments on transfer, scores, fusions, estimators and people without genomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from biobank import EHR, EHR_PCS, ONE_STEP, ORACLE, SIZES, Biobank
from estimators import HORIZON, MEANS, OUTCOMES, per_thousand, rows_of, timed
from expected_auroc import ExpectedAreas
from few_labels import METHODS, Explained, drawn_once, explained
from few_labels import rows_of as few_rows
from fusion import KINDS, NARROWEST, WIDEST, nearest_width, reshaped
from fusion import model_of as model_of_kind
from number_of_scores import METRICS, model_of, models_of
from number_of_scores import rows_of as score_rows
from objectives import BOTH, GENERATIVE, ONSET
from objectives import model_of as model_at
from objectives import name_of as name_at
from objectives import rows_of as objective_rows
from replicates import Areas
from shares import BASELINES, BOOSTING
from transfer import EXPECTED, MODES, Arm, all_arms, base, draw, learning_curves
from transfer import OUTCOMES as NEW
from transfer import rows_of as transfer_rows
from ungenotyped import WITHHELD, differences

from paired_people import drawn_people
from proband.core.files.jsonfiles import write_json
from proband.model.config import ModalityConfig
from small_world import model_config


def test_equal_widths() -> None:
    assert nearest_width(lambda hidden: hidden**2, 10_000) == 100
    assert nearest_width(lambda hidden: hidden, 0) == NARROWEST
    assert nearest_width(lambda hidden: hidden, 10**9) == WIDEST


def test_reshaped_models_differ_in_fusion_and_encoder_alone() -> None:
    both = {"pcs": ModalityConfig(width=4), "genome": ModalityConfig(width=9)}
    shape = model_config(fusion="prefix", modalities=both)
    for fusion, encoder in KINDS:
        found = reshaped(shape, fusion, encoder, 12)
        assert (found.fusion, found.modalities["genome"].encoder) == (fusion, encoder)
        assert found.modalities["pcs"] == shape.modalities["pcs"]
        assert model_of_kind(fusion, encoder, 12).settings["encoders"]["genome"].hidden == 12


def test_fewer_scores_are_among_more(tmp_path: Path) -> None:
    bank = Biobank(tmp_path, SIZES["tiny"], 0)
    names = [f"s{number}" for number in range(8)]
    columns = {"subject_id": [1, 2]} | {name: [0.1, 0.2] for name in names}
    bank.genome.mkdir()
    pl.DataFrame(columns).write_parquet(bank.genome / "scores.parquet")
    models = models_of(bank, (2, 5, 20))
    assert list(models) == [2, 5, 8]  # 20 there are not: the same as all
    kept = [pl.read_parquet(tmp_path / model.scores / "scores.parquet").columns for model in models.values()]
    assert set(kept[0]) < set(kept[1]) < set(kept[2])
    assert set(kept[2]) == {"subject_id", *names}


def test_more_scores_gain_as_seen_and_expected_with_measures_of_each_seed() -> None:
    kinds = (10, "all")
    noise = {EHR_PCS.name: 3.0, ORACLE: 0.0} | dict(
        zip((model_of(k).name for k in kinds), (2.0, 0.3), strict=True)
    )
    paired = {seed: drawn_people({"x": 0.3, "y": 0.2}, noise, seed=seed) for seed in (0, 1)}
    costs = {
        seed: [
            {"num_scores": n, "weights": 100 * n, "train_cpu_seconds": 60.0 + seed}
            for n in (10, 80 + 2 * seed)
        ]
        for seed in paired
    }
    found = pl.DataFrame(score_rows(kinds, paired, {seed: ["x", "y"] for seed in paired}, costs))
    assert found["metric"].unique(maintain_order=True).to_list() == list(METRICS)
    whole = found.filter(scores="all", metric="expected AUROC")
    assert whole["num_scores"].to_list() == [80, 82, 81]
    assert whole["train_cpu_seconds"].to_list() == [60, 61, 60.5]
    few = found.filter(scores="10", metric="expected AUROC")
    assert (whole["value"] > few["value"]).all()
    expected = ExpectedAreas(paired[0]).gain(["x", "y"], model_of("all").name, EHR_PCS.name)
    assert whole["value"][0] == pytest.approx(expected[0])
    seen = found.filter(scores="all", metric="AUROC", seed="0")["value"][0]
    assert seen == pytest.approx(Areas(paired[0]).gain(["x", "y"], model_of("all").name, EHR_PCS.name)[0])
    nobody = score_rows(kinds, paired, {0: ["x"], 1: []}, costs)
    assert {str(row["seed"]) for row in nobody} == {"0"}


def test_arms_of_transfer_read_what_they_say() -> None:
    arms = list(all_arms((0.1, 1.0)))
    assert len(arms) == len(set(arms)) == 2 * (2 * len(MODES) + len(BASELINES))
    for arm in arms[: 2 * 2 * len(MODES)]:
        model = base(arm)
        assert model.left_out == NEW
        assert not model.settings["onset"].codes
        assert (model.fusion == "none") != arm.reads_scores


def test_objectives_are_compared_with_those_of_as_many_subjects() -> None:
    models = {one: model_at(one, 0.5) for one in (GENERATIVE, ONSET, BOTH)}
    assert models[GENERATIVE] == models[BOTH]
    assert models[ONSET].settings == {"subject_fraction": 0.5, "minutes": ONE_STEP}
    assert model_at(BOTH, 1) == EHR
    spread = {GENERATIVE: 3.0, ONSET: 1.0, BOTH: 0.2}
    noise = {name_at(one, share): value for one, value in spread.items() for share in (0.5, 1)}
    noise[name_at(BOOSTING, 1)] = 1.0  # too few labels for boosting at half
    outcomes = {"common": 0.3, "rare": 0.01}
    areas = {seed: Areas(drawn_people(outcomes, noise, seed=seed)) for seed in (0, 1)}
    subjects = {seed: {0.5: 200 + seed, 1: 400} for seed in areas}
    sampled = {0: {name_at(GENERATIVE, 1): 0.2}, 1: {name_at(GENERATIVE, 1): 0.4}}
    found = pl.DataFrame(
        list(objective_rows((0.5, 1), areas, 50, subjects, sampled)), infer_schema_length=None
    )
    mean = found.filter(seed="mean")
    assert mean.filter(share="50%")["metric"].to_list() == ["AUROC"] * 3 + [
        "AUROC less generative", "AUROC less onset",
    ]  # fmt: skip
    whole = mean.filter(share="100%")
    assert whole.height == 4 + 3 + 2
    of_generative = found.filter(share="100%", objective=GENERATIVE, metric="AUROC")
    assert of_generative.select("seed", "noise").rows() == [
        ("0", 0.2),
        ("1", 0.4),
        ("mean", pytest.approx(0.3)),
    ]
    assert found.filter(share="50%", seed="1")["num_subjects"].unique().to_list() == [201]
    assert (whole.filter(objective=BOTH).filter(pl.col("metric") != "AUROC")["low"] > 0).all()


def test_transfer_is_compared_with_boosting_of_the_same_labels(tmp_path: Path) -> None:
    arms = [Arm(method, False, share) for method in ("row", BOOSTING) for share in (0.1, 1.0)]
    noise = {arms[0].name: 3.0, arms[1].name: 0.5, arms[3].name: 3.0}  # too few labels for boosting at 10%
    areas = {seed: Areas(drawn_people(dict.fromkeys(NEW, 0.3), noise, seed=seed)) for seed in (0, 1)}
    table = pl.DataFrame(transfer_rows(arms, areas))
    assert table.filter(metric="AUROC", seed="mean")["labels"].to_list() == ["10%", "100%", "100%"]
    less = table.filter(metric="AUROC less LightGBM", seed="mean")
    assert less["labels"].to_list() == ["100%"]
    assert less["low"][0] > 0
    expected = pl.DataFrame(transfer_rows(arms, areas, EXPECTED))
    curves = learning_curves(expected)
    assert curves.select("method", "share").rows() == [(BOOSTING, 1.0), ("row", 0.1), ("row", 1.0)]
    assert (
        curves["value"].to_list()
        == expected.filter(metric=EXPECTED, seed="mean").sort("method")["value"].to_list()
    )
    draw(curves, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_risks_explain_most_where_they_are_the_true_ones() -> None:
    rng = np.random.default_rng(0)
    truth, one = rng.beta(0.5, 2, 4000), np.ones((1, 4000))
    order = rng.permutation(truth)
    assert explained(np.full(4000, truth.mean()), truth, one) == pytest.approx(0)
    assert explained(truth, truth, one)[0] > explained(truth**1.5, truth, one)[0] > 0
    assert explained(order, truth, one)[0] < 0


def test_few_labels_are_averaged_over_both_halves() -> None:
    names = {"a": 0.3, "b": 0.2, "rare": 0.001}
    noise = {"age and sex": 3.0, BOOSTING: 1.0, "row": 0.2, "oracle": 0.0}
    halves = [Explained(drawn_people({one: names[one]}, noise, seed=at)) for at, one in enumerate(names)]
    found = pl.DataFrame(few_rows({0.05: {0: halves}}, 50)).filter(metric="expected AUROC")
    assert found["outcomes"].to_list() == ["2"] * 5
    value = dict(found.select("method", "value").iter_rows())
    assert value["row less LightGBM"] == pytest.approx(value["row"] - value[BOOSTING])
    each = [half.of(name, "row")[0] for half, name in zip(halves[:2], "ab", strict=True)]
    assert value["row"] == pytest.approx(np.mean(each))
    assert (found.filter(pl.col("method").str.starts_with("row less"))["low"] > 0).all()
    assert set(METHODS) <= set(value)


@pytest.mark.parametrize(("noise", "equal"), [(0.0, True), (5.0, False)])
def test_people_without_genomes(noise: float, equal: bool) -> None:
    """The same risks are equivalent; much worse ones are not."""
    people = drawn_people({"x": 0.3, "y": 0.2}, {EHR.name: 0.0, WITHHELD: noise})
    rows = differences(10.0, {0: Areas(people)}, 5)
    assert [row["equivalent"] for row in rows] == [equal]


def test_estimators_stand_beside_closed_form(tmp_path: Path) -> None:
    people = drawn_people(dict.fromkeys(OUTCOMES, 0.3), {"EHR closed_form": 0.0, "EHR mc 8": 2.0})
    metrics = pl.DataFrame(
        [
            {"model": model, "horizon_years": HORIZON, "metric": metric, "value": 0.5 + at}
            for model in ("EHR closed_form", "EHR mc 8")
            for metric in ("auroc", *MEANS)
            for at in (0.0, 0.2)
        ]
    )
    seconds = {0: {"mc 8": 12.0, "closed_form": 1.0}}
    row = rows_of("mc 8", {0: Areas(people)}, {0: metrics}, seconds)[0]
    assert row["high"] < 0  # type: ignore[operator]
    assert row["auroc"] == pytest.approx(0.6)
    assert row["cpu_seconds_per_1000"] == 12.0
    assert rows_of("closed_form", {0: Areas(people)}, {0: metrics}, seconds)[0]["value"] == 0


def test_seconds_are_per_thousand_predictions(tmp_path: Path) -> None:
    (tmp_path / "risk").mkdir()
    points = {"subject_id": np.repeat(np.arange(50), 3), "prediction_time": [1] * 150}
    pl.DataFrame(points).write_parquet(tmp_path / "risk" / "risk.parquet")
    write_json(tmp_path / "risk_seconds.json", {"forecast_cpu_seconds": 2.0})
    assert per_thousand(tmp_path / "risk") == pytest.approx(40)


def test_an_interrupted_forecast_has_no_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = Biobank(tmp_path, SIZES["tiny"], 0)
    monkeypatch.setattr(Biobank, "model", lambda self, model: tmp_path / "model")
    monkeypatch.setattr(
        "proband.forecast.forecast", lambda model, tokens, out, **given: out.mkdir(exist_ok=True)
    )
    (tmp_path / "risk_ehr_mc_8.partial").mkdir()
    interrupted = timed(bank, "mc 8", tmp_path / "task.yaml", tmp_path / "people.tsv", {})
    whole = timed(bank, "mc 32", tmp_path / "task.yaml", tmp_path / "people.tsv", {})
    kept = tmp_path / "risk_ehr_mc_32_seconds.json"
    assert kept.is_file()
    kept.unlink()  # killed before it was written
    timed(bank, "mc 32", tmp_path / "task.yaml", tmp_path / "people.tsv", {})
    assert not list(tmp_path.glob("*_seconds.json"))
    for folder in (interrupted, whole):
        points = pl.DataFrame({"subject_id": [1], "prediction_time": [1]})
        points.write_parquet(folder / "risk.parquet")
        assert np.isnan(per_thousand(folder))


def test_halves_draw_the_same_people_though_not_all_are_in_both() -> None:
    whole = drawn_people({"one": 0.3}, {ORACLE: 0.0}, number=50)
    part = replace(
        whole,
        rows={"one": whole.rows["one"][3:]},
        subjects=whole.subjects[3:],
        replicates=whole.replicates[:, 3:],
    )
    bank = SimpleNamespace(families=None, size=SimpleNamespace(bootstrap=20), seed=0)
    first, second = drawn_once(bank, [whole, part])
    assert np.array_equal(first.weights("one")[:, 3:], second.weights("one"))
    assert (first.weights("one").sum(axis=1) == 50).all()
