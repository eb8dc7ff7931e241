"""Choices and measures of the experiments on what the genome adds, on people drawn by a known law."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from biobank import EHR, EHR_PCS, ORACLE, T2D
from controls import CONTROLS, TRUE, gains, verdict
from onset_panel import HORIZONS, LEAST_OUTCOMES, MODELS, WITH_PGS, complete, gains_at, panel, wide
from own_cohort import ridge_effects
from replicates import Areas
from when_genome_matters import by_horizon, by_subgroup, mean_deciles, mean_warning, within, years_of_warning

from paired_people import WHEN, drawn_people, paired, rows_of

NOISE = {EHR.name: 3.0, EHR_PCS.name: 3.0, ORACLE: 0.0} | {model.name: 1.0 for model in WITH_PGS}


def test_panel_begins_with_type_2_diabetes_and_then_the_commonest() -> None:
    outcomes = {f"x{number}": 0.1 + 0.05 * number for number in range(LEAST_OUTCOMES)} | {T2D: 0.12}
    people = drawn_people(outcomes, dict.fromkeys((model.name for model in MODELS), 1.0), number=300)
    names = [model.name for model in MODELS]
    chosen = panel([people], 5, names)
    assert chosen[:2] == [T2D, f"x{LEAST_OUTCOMES - 1}"]
    assert len(chosen) == LEAST_OUTCOMES + 1
    assert len(panel([people], 10**6, names)) == LEAST_OUTCOMES  # too few cases: the commonest


@pytest.mark.parametrize("absent", [None, float("nan"), float("inf")])
def test_a_panel_has_the_outcomes_of_which_all_that_is_compared_has_risks(
    absent: float | None, capsys: pytest.CaptureFixture
) -> None:
    people = drawn_people({T2D: 0.3, "x": 0.3, "y": 0.2}, NOISE | {"age_sex": 2.0}, seed=1)
    some = pl.when(pl.int_range(pl.len()) > 0).then("age_sex").otherwise(pl.lit(absent, pl.Float64))
    lacking = replace(people, rows=people.rows | {"x": people.rows["x"].with_columns(age_sex=some)})
    models = [model.name for model in MODELS]
    assert panel([people, lacking], 5, models) == [T2D, "x", "y"]
    assert panel([people, lacking], 5, [*models, "age_sex", ORACLE]) == [T2D, "y"]
    assert complete([people], [T2D, "x"], ["age_sex"]) == [T2D, "x"]
    assert capsys.readouterr().out == ""
    assert complete([people, lacking], [T2D, "x"], ["age_sex"]) == [T2D]
    assert "10 years: 1 of 2 outcomes are left out" in capsys.readouterr().out
    assert complete([people], [T2D], ["nobody"]) == []


def test_a_cell_is_a_mean_of_all_seeds_or_empty() -> None:
    rows = [
        ("x", 1.0, model, "auroc", value, seed)
        for model, values in {"EHR": (0.6, 0.8), "rare": (0.9, None), "odd": (float("nan"), 0.5)}.items()
        for seed, value in enumerate(values)
    ]
    rows.append(("x", 1.0, "once", "auroc", 0.7, 0))
    schema = ["outcome", "horizon_years", "model", "metric", "value", "seed"]
    table = pl.DataFrame(rows, schema=schema, orient="row")
    found = wide(table, ["x"])
    assert found.columns == ["outcome", "horizon_years", "EHR", "rare", "odd", "once"]
    assert found.row(0)[2:] == (pytest.approx(0.7), None, None, None)
    one = wide(table.filter(seed=0), ["x"])
    assert one.row(0)[2:] == (0.6, 0.9, 0.7)


def test_gains_by_horizon_leave_out_outcomes_that_one_horizon_lacks() -> None:
    noise = {EHR_PCS.name: 2.0, WITH_PGS[0].name: 0.5}
    whole = drawn_people({"x": 0.3, "y": 0.3}, noise)
    lacking = pl.when(pl.int_range(pl.len()) > 0).then(pl.col(WITH_PGS[0].name)).alias(WITH_PGS[0].name)
    part = replace(whole, rows=whole.rows | {"y": whole.rows["y"].with_columns(lacking)})
    paired_at = {(horizon, 0): part if horizon == HORIZONS[0] else whole for horizon in HORIZONS}
    rows = by_horizon(paired_at, [0], ["x", "y"])
    assert [row["outcomes"] for row in rows] == [1, 1, 1]
    assert all(np.isfinite(row["value"]) for row in rows)  # type: ignore[call-overload]


def test_gains_of_a_panel_are_found_in_every_seed_and_their_mean() -> None:
    areas = {seed: Areas(drawn_people({T2D: 0.3, "x": 0.3}, NOISE, seed=seed)) for seed in (0, 1)}
    table = pl.DataFrame(gains_at(10.0, areas, [T2D, "x"]))
    name = f"{WITH_PGS[0].name} less {EHR_PCS.name}"
    mean = table.filter(seed="mean", difference=name, outcomes=T2D)
    assert mean["metric"].to_list() == ["auroc", "auprc", "share of distance to oracle"]
    assert (mean["low"] > 0).all()
    assert 0 < mean["value"][2] < 1
    same = table.filter(seed="mean", difference=f"{EHR_PCS.name} less {EHR.name}", metric="auroc")
    assert (same["low"] < 0.05).all()


def test_controls_are_told_from_true_scores() -> None:
    names = {model.name: 3.0 for model in CONTROLS.values()}
    people = drawn_people({"x": 0.3, "y": 0.3}, {EHR_PCS.name: 3.0, TRUE.name: 0.5} | names)
    table = pl.DataFrame(gains({0: Areas(people)}, {0: ["x", "y"]}))
    assert table.filter(model=TRUE.name)["found"].to_list() == ["more", "more"]
    rows = table.filter(pl.col("model") != TRUE.name)
    assert rows.select((pl.col("expected") == "nothing").all()).item()
    assert rows["found"].to_list().count("nothing") >= 5


def test_an_interval_that_touches_zero_shows_nothing() -> None:
    assert [verdict(0.0, 1.0), verdict(-1.0, 0.0)] == ["nothing", "nothing"]


def test_years_of_warning_by_hand() -> None:
    """Two of four are flagged; one of the two cases, with onset after 4 years, is among them."""
    risk, time = np.array([0.9, 0.8, 0.2, 0.1]), np.array([4.0, 10.0, 6.0, 10.0])
    case, ones = np.array([True, False, True, False]), np.ones((1, 4))
    assert years_of_warning(risk, time, case, ones, ones, 0.5) == pytest.approx(2.0)
    assert years_of_warning(risk, time, case, ones, ones, 1.0) == pytest.approx(5.0)
    twice = np.array([[1.0, 1.0, 2.0, 1.0]])  # the missed case is drawn twice
    assert years_of_warning(risk, time, case, twice, twice, 0.4) == pytest.approx(4 / 3)


def test_better_risks_warn_for_longer() -> None:
    people = drawn_people({"x": 0.1, "y": 0.2}, {"good": 0.0, "poor": 4.0})
    both = [mean_warning(people, ["x", "y"], model, 0.1) for model in ("good", "poor")]
    assert both[0].shape == (21,)
    assert both[0][0] > both[1][0] + 0.3


def members(number: int) -> pl.DataFrame:
    """Half of people in each of two groups."""
    return pl.DataFrame(
        {
            "subject_id": np.arange(number),
            "prediction_time": pl.Series([WHEN] * number, dtype=pl.Datetime("us")),
            "sex": np.where(np.arange(number) % 2, "male", "female"),
        }
    )


def test_a_gain_within_a_subgroup_is_of_its_people_alone() -> None:
    """Scores tell everything of women and nothing of men."""
    case = np.arange(200) // 2 % 4 == 0
    best, none = case + 0.0, np.full(200, 0.5)
    female = np.arange(200) % 2 == 0
    time = np.where(case, 5.0, 11.0)
    risks = {EHR_PCS.name: none, WITH_PGS[0].name: np.where(female, best, none)}
    people = paired({"x": rows_of("x", time, case.astype(int), risks)})
    assert within(people, members(200), "sex", "male").rows["x"].height == 100
    rows = by_subgroup({0: people}, {0: members(200)}, ["x"], 5)
    assert [(row["subgroup"], row["value"]) for row in rows] == [("female", 0.5), ("male", 0.0)]


def test_deciles_are_relative_to_their_outcome() -> None:
    frame = pl.DataFrame(
        {
            "outcome": ["x", "x", "y", "y"], "decile": [1, 2, 1, 2], "seed": [0] * 4,
            "observed": [0.1, 0.3, 0.01, 0.03], EHR_PCS.name: [0.2, 0.2, 0.02, 0.02],
            WITH_PGS[0].name: [0.1, 0.3, 0.02, 0.02],
        }
    )  # fmt: skip
    found = mean_deciles(frame, ["x", "y"])
    assert found["observed"].to_list() == pytest.approx([0.5, 1.5])
    assert found[WITH_PGS[0].name].to_list() == pytest.approx([0.75, 1.25])


def test_ridge_effects_are_those_of_the_trait_less_what_components_tell():
    rng = np.random.default_rng(0)
    components = rng.normal(size=(4000, 2))
    calls = rng.binomial(2, 0.4, (4000, 6)).astype(float)
    calls[:, 5] = 1.0  # nobody varies
    calls[:, 4] += 3 * components[:, 0]  # tells the component alone
    case = 0.5 * (calls[:, 0] - calls[:, 1]) + 2 * components[:, 0] + rng.normal(size=4000) > 0
    effects = ridge_effects(calls, case, components)
    assert effects[0] == pytest.approx(-effects[1], abs=0.02)
    assert effects[0] > 0.05
    assert np.abs(effects[2:5]).max() < 0.02
    assert effects[5] == 0
