"""Truth: futures by the law itself pass; gaps doubled, a code left out, and replayed subjects do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from proband.cli.main import app
from proband.core.errors import DataError
from proband.core.files.manifest import read_manifest
from proband.forecast.risk import Points
from proband.realism import realism
from proband.realism.compare import REALISM, summarise
from proband.realism.memorisation import MEMORISATION, NEARNESS
from proband.tokens.dataset import TokenStore
from simulated_futures import law_paths, points_of, write_futures

SURPRISING = 0.001
"""Adjusted p below which a world fails."""


@pytest.fixture(scope="module")
def results(
    store: TokenStore, trajectories: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("results")
    for name, folder in trajectories.items():
        realism(folder, store.folder, root / name, workers=1)
    return {name: root / name for name in trajectories}


def adjusted(results: dict[str, Path], name: str) -> dict[str, float]:
    summary = summarise(REALISM.read(results[name] / "realism.parquet"))
    return dict(summary.select("statistic", "adjusted_p").iter_rows())


def shares(results: dict[str, Path], name: str) -> dict[str, tuple[float, float]]:
    rows = MEMORISATION.read(results[name] / "memorisation.parquet").iter_rows(named=True)
    return {row["measure"]: (row["share_nearer"], row["standard_error"]) for row in rows}


def test_the_worlds_own_futures_pass(results: dict[str, Path]) -> None:
    found = adjusted(results, "law")
    assert set(found) == {"rate", "prevalence", "pair", "gap", "age_rate"}
    assert min(found.values()) > SURPRISING
    for share, error in shares(results, "law").values():
        assert abs(share - 0.5) < 4 * error


def test_doubled_gaps_fail(results: dict[str, Path]) -> None:
    found = adjusted(results, "double gaps")
    assert found["gap"] < SURPRISING
    assert found["rate"] < SURPRISING


def test_a_code_left_out_fails(results: dict[str, Path]) -> None:
    found = adjusted(results, "without B")
    assert found["prevalence"] < SURPRISING
    table = REALISM.read(results["without B"] / "realism.parquet")
    row = table.filter(statistic="prevalence", item="X//B").row(0, named=True)
    assert row["num_simulated"] == 0
    assert row["z"] < -5


def test_replayed_train_subjects_are_caught(results: dict[str, Path]) -> None:
    row = MEMORISATION.read(results["replay"] / "memorisation.parquet").row(
        by_predicate=pl.col("measure") == "longest_run", named=True
    )
    assert row["share_nearer"] - 0.5 > 5 * row["standard_error"]
    assert row["num_simulated_beyond"] > 5 * max(1, row["num_real_beyond"])
    # Of four codes everybody's bag is near to somebody's: distances need the richer world of test_nearness.


def test_the_output_is_counted_and_declared(results: dict[str, Path], trajectories: dict[str, Path]) -> None:
    manifest = read_manifest(results["law"])
    num_paths = read_manifest(trajectories["law"])["counts"]["num_trajectories"]
    assert manifest["counts"]["num_trajectories"] == num_paths
    assert manifest["counts"]["num_predictions"] == num_paths // 4
    bins = NEARNESS.read(results["law"] / "nearness.parquet")
    rows = MEMORISATION.read(results["law"] / "memorisation.parquet")
    for measure, number in rows.select("measure", "num_points").iter_rows():
        assert bins.filter(measure=measure)["num_real"].sum() == number


def test_processes_and_shards_change_nothing(
    store: TokenStore, points: Points, results: dict[str, Path], tmp_path: Path
) -> None:
    out = write_futures(store, points, law_paths(store, points, 4), tmp_path / "trajectories", num_shards=5)
    realism(out, store.folder, tmp_path / "out", workers=2)
    for name in ("realism", "memorisation", "nearness"):
        one, other = (
            pl.read_parquet(folder / f"{name}.parquet") for folder in (results["law"], tmp_path / "out")
        )
        for column in one.columns:
            if one.schema[column] == pl.Float64:
                assert np.allclose(one[column].fill_null(9), other[column].fill_null(9), rtol=1e-9)
            else:
                assert one[column].equals(other[column])


def test_the_history_before_changes_nothing(
    store: TokenStore, points: Points, results: dict[str, Path], tmp_path: Path
) -> None:
    paths = law_paths(store, points, 4)
    out = write_futures(store, points, paths, tmp_path / "trajectories", with_history=True)
    realism(out, store.folder, tmp_path / "out", workers=1)
    name = "realism.parquet"
    assert pl.read_parquet(tmp_path / "out" / name).equals(pl.read_parquet(results["law"] / name))


def test_futures_of_train_subjects_are_refused(store: TokenStore, tmp_path: Path) -> None:
    points = points_of(store, split="train").take(np.arange(4))
    out = write_futures(store, points, law_paths(store, points, 2), tmp_path / "trajectories", split="train")
    with pytest.raises(DataError, match=r"futures of train subjects.*4 prediction points.*another --split"):
        realism(out, store.folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_on_the_command_line(
    store: TokenStore, trajectories: dict[str, Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["realism", str(trajectories["without B"]), str(store.folder), str(tmp_path / "out")]
    for expected in ("differ by more than chance in", "already finished"):
        done = CliRunner().invoke(app, [*arguments, "--workers", "1"])
        assert done.exit_code == 0
        assert expected in done.output + capfd.readouterr().err
