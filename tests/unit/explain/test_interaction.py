"""Whether a score's effect differs between people."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proband.core.schema import RISK
from proband.explain import tables
from proband.explain.interaction import implied
from proband.forecast import forecast

Run = Callable[..., Path]


def read(out: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    return (
        tables.INTERACTION.read(out / "interaction.parquet"),
        tables.INTERACTION_EFFECTS.read(out / "interaction_effects.parquet"),
    )


def test_bands_hold_everybody_genotyped_once(run: Run) -> None:
    out = run()
    deciles, effects = read(out)
    asked = tables.GENOMES.read(out / "genomes.parquet").filter(horizon_years=5.0)
    assert set(deciles["by"]) == {"age", "sex", "record length", "value of X//B"}
    for by in ("age", "record length", "sex"):
        own = deciles.filter(by=by)
        assert own["num_predictions"].sum() == asked.height
        mean = (own["risk"] * own["num_predictions"]).sum() / own["num_predictions"].sum()
        assert mean == pytest.approx(asked["risk"].mean())
    totals = deciles.group_by("outcome", "by", "band").agg(pl.col("num_predictions", "num_cases").sum())
    joined = totals.join(effects, on=["outcome", "by", "band"], suffix="_effects")
    assert joined.height == effects.height > 5
    assert (joined["num_predictions"] == joined["num_predictions_effects"]).all()
    assert deciles["truth"].is_null().all()
    assert effects["cox"].null_count() == effects.filter(pl.col("num_cases") < 21).height
    assert (out / "interaction.png").read_bytes().startswith(b"\x89PNG")


def test_the_truth_of_risks_that_are_true(run: Run, world: Path, tmp_path: Path) -> None:
    given_ = {"task": world / "task.yaml", "genome": world / "genome", "workers": 1}
    forecast(world / "model_genome", world / "tokens", tmp_path / "risk", **given_)
    deciles, effects = read(run(truth=tmp_path / "risk" / "risk.parquet"))
    assert deciles["truth"].to_list() == pytest.approx(deciles["risk"].to_list(), abs=1e-6)
    both = effects.drop_nulls("log_hazard_ratio")
    assert both["truth"].to_list() == pytest.approx(both["log_hazard_ratio"].to_list(), abs=1e-4)
    assert both["log_hazard_ratio"].abs().max() > 0.01  # type: ignore[operator]


def test_truth_of_other_predictions_is_none(run: Run, tmp_path: Path) -> None:
    RISK.write(RISK.empty(), tmp_path / "none.parquet")
    assert read(run(truth=tmp_path / "none.parquet"))[0]["truth"].is_null().all()


def test_without_a_genome_there_is_none(run: Run) -> None:
    out = run(model="model", genome=None)
    assert not (out / "interaction.parquet").exists()


@settings(max_examples=20)
@given(slope=st.floats(-1, 1), level=st.floats(-6, -0.5), seed=st.integers(0, 100))
def test_the_effect_that_risks_imply(slope: float, level: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    z, age = rng.normal(3, 2, 300), rng.uniform(30, 60, 300)
    risk = -np.expm1(-np.exp(level + slope * (z - 3) / 2 + 0.04 * (age - 45)))
    found = implied(risk, z, np.column_stack([age, np.ones(300)]))
    assert found == pytest.approx(slope / 2, abs=1e-3)


def test_too_few_rows_imply_nothing() -> None:
    assert implied(np.full(3, 0.1), np.arange(3.0), np.ones((3, 1))) is None
    assert implied(np.full(30, 0.1), np.ones(30), np.ones((30, 1))) is None
    assert implied(np.zeros(0), np.zeros(0), np.zeros((0, 1))) is None
