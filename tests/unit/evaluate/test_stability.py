from dataclasses import replace
from datetime import datetime

import numpy as np
import polars as pl
import pytest

from proband.core.errors import ConfigError, DataError
from proband.core.schema import RISK
from proband.evaluate import evaluate
from proband.evaluate.config import EvaluateConfig
from proband.evaluate.stability import (
    FILE,
    STABILITY,
    classification_changed,
    instability,
    measures,
    read_refits,
    stability,
)

ORIGINAL = np.array([0.1, 0.25, 0.31])
REFITS = np.array([[0.1, 0.45, 0.31], [0.3, 0.2, 0.31]])
SUBJECTS = np.array([1, 2, 3])


def test_by_hand():
    found = instability(ORIGINAL, REFITS)
    assert found.difference == pytest.approx([0.1, 0.125, 0])
    assert found.low == pytest.approx([0.105, 0.20625, 0.31])
    assert found.high == pytest.approx([0.295, 0.44375, 0.31])
    rows = {(name, at): value for name, at, value in measures(ORIGINAL, REFITS, SUBJECTS)}
    assert rows["mean_absolute_difference", None] == pytest.approx(0.225 / 3)
    assert rows["interval_width", None] == pytest.approx(0.4275 / 3)
    # At the mean risk 0.22 the second refit flags the first subject and not the second: two of six.
    changed = {round(at, 6): value for (name, at), value in rows.items() if name == "classification_changed"}
    assert changed[0.22] == pytest.approx(2 / 6)
    assert [rows["group_original", at] for at in (1, 2, 3)] == pytest.approx(ORIGINAL)
    assert [rows["group_high", at] for at in (1, 2, 3)] == pytest.approx(found.high)
    assert [rows["group_subjects", at] for at in (1, 2, 3)] == [1, 1, 1]


def test_subjects_of_a_group_are_counted_once():
    risk = np.full(4, 0.2)  # one group: ties stay together
    rows = {name: value for name, _, value in measures(risk, np.array([risk] * 2), np.array([7, 7, 8, 8]))}
    assert rows["group_subjects"] == 2


def test_a_threshold_is_met_by_a_risk_equal_to_it():
    assert classification_changed(np.array([0.5]), np.array([[0.5], [0.49]]), 0.5) == 0.5


def test_refits_that_agree_show_nothing():
    rows = measures(ORIGINAL, np.array([ORIGINAL] * 3), SUBJECTS)
    assert all(value == 0 for name, _, value in rows if not name.startswith("group"))


def table(risk, model="m", subjects=(1, 2, 3)):
    number = len(subjects)
    columns = {
        "subject_id": list(subjects), "prediction_time": [datetime(2010, 1, 1)] * number, "outcome": "x",
        "horizon_years": 5.0, "model": model, "risk": list(risk), "standard_error": 0.0, "unresolved": 0.0,
    }  # fmt: skip
    return pl.DataFrame(columns, schema=dict(RISK.columns))


def test_rows_are_set_side_by_side_whatever_their_order(tmp_path):
    files = [tmp_path / f"{number}.parquet" for number in range(2)]
    RISK.write(table(REFITS[0]), files[0])
    RISK.write(table(REFITS[1][::-1], subjects=(3, 2, 1)), files[1])
    found = stability(table(ORIGINAL), read_refits(files, ["m", "other"]))
    STABILITY.check(found, "stability")
    value = found.filter(measure="mean_absolute_difference")["value"][0]
    assert value == pytest.approx(0.225 / 3)
    assert found["num_refits"].unique().to_list() == [2]


def test_an_outcome_that_a_refit_has_not_learnt_is_left_out_and_said(capsys):
    rare = pl.lit("rare").alias("outcome")
    risks = pl.concat([table(ORIGINAL), table(ORIGINAL).with_columns(rare)])
    refits = [pl.concat([table(REFITS[0]), table(REFITS[0]).with_columns(rare)]), table(REFITS[1])]
    found = stability(risks, refits)
    assert found.equals(stability(table(ORIGINAL), [table(each) for each in REFITS[:2]]))
    assert "no stability of rare: a refit of m has no risks of them" in capsys.readouterr().err
    with pytest.raises(DataError, match="refits share no outcome with their models; in m; remedy"):
        stability(risks.filter(outcome="rare"), refits)


def test_refits_that_do_not_fit_are_refused_in_a_line(tmp_path):
    one, few = tmp_path / "one.parquet", tmp_path / "few.parquet"
    RISK.write(table(ORIGINAL), one)
    RISK.write(table(ORIGINAL[:2], subjects=(1, 2)), few)
    with pytest.raises(ConfigError, match=r"refit of no model given: m; in .*one.parquet.*did you mean mm"):
        read_refits([one, one], ["mm"])
    with pytest.raises(ConfigError, match=r"two refits with the same risks; in .*name each refit once"):
        read_refits([one, one], ["m"])
    with pytest.raises(ConfigError, match="too few refits of m; found 1; expected at least 2"):
        read_refits([one], ["m"])
    with pytest.raises(DataError, match="refit lacks predictions; in m, x; found 1 of 3; remedy: forecast"):
        stability(table(ORIGINAL), read_refits([one, few], ["m"]))


def test_the_stage_writes_them(world, tmp_path):
    original = world.risk_folder("steady", noise=0.1)
    refits = []
    for seed in (2, 3):
        here = replace(world, folder=tmp_path / str(seed))
        here.folder.mkdir()
        refits.append(here.risk_folder("steady", noise=0.1, seed=seed))
    config = EvaluateConfig(bootstrap=0, baselines=("none",))
    evaluate([original], world.meds, tmp_path / "out", refits=refits, config=config)
    found = STABILITY.read(tmp_path / "out" / FILE)
    assert set(found["outcome"]) == {"type_2_diabetes", "stroke"}
    mean = found.filter(measure="mean_absolute_difference", outcome="type_2_diabetes", horizon_years=5.0)
    assert 0.001 < mean["value"][0] < 0.05
