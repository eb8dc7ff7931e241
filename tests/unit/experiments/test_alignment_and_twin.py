"""Tables of learnt effects beside the truth, and of scenarios beside lives lived on by their law."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from alignment import by_population, covariance
from twin_against_truth import agreement, in_points
from twin_limits import _multiplied, regressed
from twin_worlds import signed

from proband.explain import tables

SCORES, OUTCOMES = 12, ("gout", "asthma", "copd")


def effects(noise: float) -> pl.DataFrame:
    """Learnt effects that are the truth and noise, for everybody and one population."""
    rng = np.random.default_rng(1)
    rows = []
    for label in ("all", "EUR"):
        for outcome in OUTCOMES:
            for at in range(SCORES):
                truth = float(rng.normal())
                learnt = (1 - noise) * truth + noise * float(rng.normal())
                own = (at == OUTCOMES.index(outcome), False)
                cox = (truth, 0.1, 0.01, 0.01, 100)
                rows.append(
                    (outcome, f"s{at}", None, label, *own, learnt, learnt, *cox, truth, None, "truth")
                )
    return pl.DataFrame(rows, schema=dict(tables.EFFECTS.columns), orient="row")


def test_agreement_with_the_truth_by_population() -> None:
    values = np.random.default_rng(2).normal(size=(500, SCORES))
    scores = pl.DataFrame(values, schema=[f"s{at}" for at in range(SCORES)])
    found = by_population(effects(0.0), scores, 0)
    assert found["population"].unique(maintain_order=True).to_list() == ["all", "EUR"]
    truth = found.filter(statistic="correlation with truth")
    assert truth["value"].to_list() == pytest.approx([1.0, 1.0])
    assert (truth["p"] < 0.01).all()
    assert found.filter(statistic="ratio of own to truth")["value"].to_list() == pytest.approx([1.0, 1.0])
    assert found.filter(statistic="ratio of own to truth")["low"].null_count() == 2  # of 3 outcomes
    nothing = by_population(effects(1.0), scores, 0).filter(statistic="correlation with truth")
    assert (nothing["low"] < 0).all()
    assert (nothing["high"] > 0).all()


def test_covariance_with_genetic_values() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(3.0, 5.0, (4000, 2))
    genetic = np.stack([0.1 * scores[:, 0], rng.normal(size=4000)], axis=1)
    found = covariance(scores, genetic)
    assert found[0, 0] == pytest.approx(0.5, rel=0.05)
    assert np.abs(found[[0, 1, 1], [1, 0, 1]]).max() < 0.06


def test_scenarios_summed_up_by_seed() -> None:
    table = pl.DataFrame(
        {"outcome": ["a", "b", "c"], "model": [0.02, 0.01, -0.01], "truth": [0.04, -0.01, -0.03],
         "agrees": [True, False, False]}
    )  # fmt: skip
    tables_ = {"Genome exchanged": pl.concat([in_points(table, 0), in_points(table, 1)])}
    found = agreement(tables_)
    assert found["seed"].to_list() == ["0", "1"]
    assert found.row(0)[2:5] == (3, 2, 1)
    assert found["slope_of_truth"][0] == pytest.approx((8 - 1 + 3) / (4 + 1 + 1))
    assert tables_["Genome exchanged"]["truth"][0] == pytest.approx(4.0)


@pytest.mark.parametrize(("size", "noise", "slope"), [(1.0, 0.0, 1.0), (0.5, 0.0, 2.0), (0.0, 1.0, 0.0)])
def test_slope_of_the_truth_is_right_for_half_the_size_and_for_noise(
    size: float, noise: float, slope: float
) -> None:
    """Of 20 outcomes whose true differences raise some risks and lower others."""
    rng = np.random.default_rng(3)
    rows = []
    for at in range(20):
        truth = 0.01 * (1 + at) * rng.normal(size=5000)
        model = size * truth + 0.05 * noise * rng.normal(size=5000)
        by_fit = np.stack([model] * 6)
        rows.append(signed(f"outcome {at}", by_fit, truth, truth))
    found = agreement({"Genome exchanged": in_points(pl.DataFrame(rows), 0)})
    assert found["slope_of_truth"][0] == pytest.approx(slope, abs=0.03)


def test_no_slope_where_the_model_sees_no_difference() -> None:
    table = pl.DataFrame({"model": [0.0, 0.0], "truth": [0.1, -0.2], "agrees": [True, False]})
    assert agreement({"Metformin begun": in_points(table, 0)})["slope_of_truth"].to_list() == [None]


def test_true_risks_teach_the_effects_they_were_made_with() -> None:
    rng = np.random.default_rng(0)
    z, offset = rng.normal(size=(3000, 3)), rng.normal(-2, 1, 3000)
    effects = np.array([0.4, 0.0, -0.3])
    risk = -np.expm1(-np.exp(offset + 0.2 + z @ effects))
    assert regressed(risk, z, offset) == pytest.approx(effects, abs=0.01)
    assert _multiplied(np.array([0.5, 0.0]), np.log([2.0, 2.0])) == pytest.approx([0.25, 0.0])
