"""Arms of the experiments on transfer, scores, fusions, estimators and people without genomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from biobank import EHR, ONE_STEP, ORACLE, SIZES, Biobank
from estimators import HORIZON, MEANS, OUTCOMES, per_thousand, rows_of
from few_labels import METHODS, Explained, drawn_once, explained
from few_labels import rows_of as few_rows
from fusion import KINDS, NARROWEST, WIDEST, model_of, nearest_width, reshaped
from number_of_scores import models_of
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
        assert model_of(fusion, encoder, 12).settings["encoders"]["genome"].hidden == 12


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
    subjects = {seed: {0.5: 200, 1: 400} for seed in areas}
    sampled = {0: {name_at(GENERATIVE, 1): 0.2}, 1: {name_at(GENERATIVE, 1): 0.4}}
    found = pl.DataFrame(
        list(objective_rows((0.5, 1), areas, 50, subjects, sampled)), infer_schema_length=None
    )
    mean = found.filter(seed="mean")
    assert mean.filter(subjects="200/200")["metric"].to_list() == ["AUROC"] * 3 + [
        "AUROC less generative", "AUROC less onset",
    ]  # fmt: skip
    whole = mean.filter(subjects="400/400")
    assert whole.height == 4 + 3 + 2
    assert whole.filter(objective=GENERATIVE, metric="AUROC")["noise"][0] == pytest.approx(0.3)
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
