from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.schema import RISK
from proband.ehr.meds.kinship import Families
from proband.evaluate.panel.gain import PairedRisks

NUM = 400


def table(path: Path, model: str, risk: np.ndarray, subjects: np.ndarray) -> Path:
    frame = pl.DataFrame({"subject_id": subjects, "risk": risk}).with_columns(
        pl.lit(datetime(2010, 1, 1)).cast(RISK.columns["prediction_time"]).alias("prediction_time"),
        outcome=pl.lit("gout"), horizon_years=pl.lit(10.0), model=pl.lit(model),
        standard_error=pl.lit(0.0), unresolved=pl.lit(0.0),
    )  # fmt: skip
    RISK.write(frame.select(*RISK.columns), path)
    return path


def write_labels(risks: Path, case: np.ndarray) -> None:
    """Labels beside a RiskTable, of its rows: cases after five years, others followed for eleven."""
    labels = pl.read_parquet(risks, columns=["subject_id", "prediction_time", "outcome"])
    labels = labels.with_columns(
        pl.Series("event", case.astype(np.int8)),
        split=pl.lit("held_out"),
        time_years=pl.Series(np.where(case, 5.0, 11.0)),
    )
    labels.write_parquet(risks.with_name("labels.parquet"))


@pytest.fixture
def paired(tmp_path: Path) -> PairedRisks:
    rng = np.random.default_rng(0)
    subjects = np.arange(2 * NUM)  # the second half is of another split
    case = rng.random(2 * NUM) < 0.3
    good = 1 / (1 + np.exp(-1.0 * case - rng.normal(size=2 * NUM)))
    files = [
        table(tmp_path / "good.parquet", "good", good[:NUM], subjects[:NUM]),
        table(tmp_path / "noise.parquet", "noise", rng.random(NUM), subjects[:NUM]),
        table(tmp_path / "oracle.parquet", "oracle", case.astype(float), subjects),
    ]
    write_labels(files[2], case)
    return PairedRisks.read(tmp_path, files, 10.0, 200, 0)


def test_people_of_other_splits_whom_only_the_oracle_knows_are_left_out(paired: PairedRisks) -> None:
    assert paired.rows["gout"].height == NUM
    assert paired.with_cases(50, ["good", "noise", "oracle"]) == ["gout"]
    assert paired.with_cases(NUM, ["good"]) == []


def test_a_better_model_gains_and_a_model_gains_nothing_on_itself(paired: PairedRisks) -> None:
    gain = paired.gain(["gout"], "good", "noise")
    assert 0 < gain.low < gain.value < gain.high
    assert paired.gain(["gout"], "noise", "noise")[:3] == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("absent", [None, float("nan"), float("inf")])
def test_who_has_no_finite_risk_cannot_be_ranked(paired: PairedRisks, absent: float | None) -> None:
    some = (
        pl.when(pl.int_range(pl.len()) >= 3).then("good").otherwise(pl.lit(absent, pl.Float64)).alias("good")
    )
    lacking = replace(paired, rows={"gout": paired.rows["gout"].with_columns(some)})
    assert lacking.with_cases(1, ["good"]) == []
    assert lacking.with_cases(1, ["noise"]) == ["gout"]
    message = (
        "a model without a risk for everybody; in gout at 10 years, model good; found 3 of 400 rows without "
        "a finite risk; expected a finite risk in each row; remedy: forecast for the same people, or leave"
    )
    for judge in (lambda: lacking.areas("gout", "good"), lambda: lacking.gain(["gout"], "noise", "good")):
        with pytest.raises(DataError, match=message):
            judge()
    assert np.isfinite(lacking.areas("gout", "noise")[0]).all()


def test_a_model_that_is_not_there_has_no_risks(paired: PairedRisks) -> None:
    assert not paired.is_complete("gout", "nobody")
    assert not paired.is_complete("asthma", "good")
    with pytest.raises(DataError, match="model nobody; found 400 of 400 rows"):
        paired.areas("gout", "nobody")


def test_no_outcome_is_an_error(paired: PairedRisks) -> None:
    with pytest.raises(DataError, match="no outcome to compare"):
        paired.gain([], "good", "noise")


def test_families_are_drawn_as_one(tmp_path: Path) -> None:
    """Everybody has a twin with the same risks and fate: drawn one by one, the interval is too narrow by a
    root of 2."""
    rng = np.random.default_rng(1)
    case = np.repeat(rng.random(NUM) < 0.3, 2)
    risk = np.repeat(1 / (1 + np.exp(-1.0 * case[::2] - rng.normal(size=NUM))), 2)
    subjects = np.arange(2 * NUM)
    files = [
        table(tmp_path / "good.parquet", "good", risk, subjects),
        table(tmp_path / "noise.parquet", "noise", np.repeat(rng.random(NUM), 2), subjects),
    ]
    write_labels(files[0], case)
    twins = Families(pl.DataFrame({"subject_id": subjects, "cluster": subjects // 2 * 2}), NUM, 0)
    alone, together = (
        PairedRisks.read(tmp_path, files, 10.0, 1000, 0, families).gain(["gout"], "good", "noise")
        for families in (None, twins)
    )
    assert alone.value == together.value
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(2**0.5, rel=0.1)
