"""Simulated futures as MEDS: valid by the standard, and the same futures when read back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import meds as meds_standard
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

import known_law
from proband.core.errors import ConfigError
from proband.core.files.manifest import read_manifest
from proband.core.schema import TRAJECTORIES
from proband.ehr.labels import labels
from proband.ehr.meds.dataset import read_shard
from proband.forecast.engine.request import Trajectory
from proband.forecast.output.trajectories import code_table, refuse_folder
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import TokenStore
from simulated_futures import TASK, law_paths, points_of, write_futures

PATHS = 3


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    """The known world, with values on one of its codes."""
    root = tmp_path_factory.mktemp("world")
    events = known_law.simulate(150, 0)
    value = pl.when(pl.col("code") == "X//B").then(pl.int_range(pl.len()).shuffle(1).cast(pl.Float32) / 3)
    known_law.write_meds(events.with_columns(value.alias("numeric_value")), root / "meds")
    config = TokensConfig(min_subjects=1, num_bins=4, min_values=10)
    tokens(root / "meds", root / "tokens", config=config, workers=1)
    return TokenStore(root / "tokens")


def any_paths(store: TokenStore, start: int, rng: np.random.Generator) -> list[Trajectory]:
    """Paths of every end and of any codes, several at one time among them; one without events."""
    death = store.vocabulary.death
    found = []
    for path in range(PATHS):
        end = ("horizon", "death", "budget")[path]
        number = int(rng.integers(0, 9)) if end == "horizon" else int(rng.integers(1, 9))
        drawn = rng.integers(2, death, number).astype(np.int32)
        ages = start + np.sort(rng.integers(1, 1800, number)).astype(np.int64) * 1440
        if end == "death":
            drawn[-1] = death
        found.append(Trajectory(path, drawn, ages, end))
    return found


@pytest.fixture(scope="module")
def written(store: TokenStore, tmp_path_factory: pytest.TempPathFactory) -> dict:
    rng = np.random.default_rng(3)
    points = points_of(store)
    paths = [any_paths(store, int(start), rng) for start in points.start]
    root = tmp_path_factory.mktemp("out")
    out = write_futures(store, points, paths, root / "trajectories")
    whole = write_futures(store, points, paths, root / "whole", with_history=True)
    return {"points": points, "paths": paths, "out": out, "whole": whole, "root": root}


def test_the_dataset_is_valid_by_the_standard(written: dict) -> None:
    for out in (written["out"], written["whole"]):
        shards = sorted((out / "data" / "held_out").glob("*.parquet"))
        assert len(shards) == 2
        for shard in shards:
            meds_standard.DataSchema.validate(pq.read_table(shard))
            read_shard(shard)  # sorted, subjects together
        meds_standard.CodeMetadataSchema.validate(pq.read_table(out / meds_standard.code_metadata_filepath))
        splits = pq.read_table(out / meds_standard.subject_splits_filepath)
        meds_standard.SubjectSplitSchema.validate(splits)
        assert splits["split"].unique().to_pylist() == ["held_out"]
        about = json.loads((out / meds_standard.dataset_metadata_filepath).read_text())
        meds_standard.DatasetMetadataSchema.validate(about)
        assert about["etl_name"] == "proband forecast"
        assert read_manifest(out)["stage"] == "trajectories"


def test_every_simulated_subject_is_traced_to_its_source(store: TokenStore, written: dict) -> None:
    whose = TRAJECTORIES.read(written["out"] / "trajectories.parquet")
    num_points = len(written["points"].rows)
    assert whose["subject_id"].to_list() == list(range(1, PATHS * num_points + 1))
    assert whose["path"].to_list() == list(range(PATHS)) * num_points
    assert whose["end"].to_list() == ["horizon", "death", "budget"] * num_points
    frame = written["points"].frame.sort("subject_id")
    assert whose["source_subject_id"][::PATHS].to_list() == frame["subject_id"].to_list()
    assert read_manifest(written["out"])["counts"]["num_trajectories"] == whose.height
    events = pl.read_parquet(written["out"] / "data" / "held_out" / "*.parquet")
    ends = events.filter(code="OBSERVATION_PERIOD//END").select("subject_id", "time")
    joined = whose.join(ends, on="subject_id", how="left")
    assert joined.filter(end="death")["time"].null_count() == num_points
    alive = joined.filter(pl.col("end") != "death")
    assert alive["time"].equals(alive["end_time"])
    assert whose.filter(end="horizon").select((pl.col("end_time") == pl.col("horizon_time")).all()).item()
    starts = events.filter(code="OBSERVATION_PERIOD//START").select("subject_id", begin="time")
    assert (
        whose.join(starts, on="subject_id")
        .select((pl.col("begin") == pl.col("prediction_time")).all())
        .item()
    )


@pytest.mark.parametrize("which", ["out", "whole"])
def test_tokenised_again_the_futures_are_those_that_were_drawn(
    store: TokenStore, written: dict, tmp_path: Path, which: str
) -> None:
    tokens(written[which], tmp_path / "tokens", vocabulary=store.folder, workers=1)
    again = TokenStore(tmp_path / "tokens")
    order = np.argsort(written["points"].frame["subject_id"].to_numpy())
    simulated = 0
    for point in order:
        row, start = written["points"].rows[point], written["points"].start[point]
        record, ages = store.record(int(row))
        for path in written["paths"][point]:
            mine, minutes = again.record(simulated)
            future = np.lexsort((path.tokens, path.minutes))  # within a minute tokens ascend
            assert mine[minutes > start].tolist() == path.tokens[future].tolist()
            assert minutes[minutes > start].tolist() == path.minutes[future].tolist()
            before = (record[ages <= start], ages[ages <= start]) if which == "whole" else ([1], [0])
            assert mine[minutes <= start].tolist() == list(before[0])
            assert minutes[minutes <= start].tolist() == list(before[1])
            assert again.statics[simulated].tolist() == store.statics[row].tolist()
            assert again.died[simulated] == (path.end == "death")
            assert again.entry[simulated] == start
            simulated += 1
    assert simulated == len(again)


def test_labels_of_simulated_futures_are_what_happened_on_them(store: TokenStore, tmp_path: Path) -> None:
    points = points_of(store)
    paths = law_paths(store, points, 2)
    out = write_futures(store, points, paths, tmp_path / "trajectories")
    at_start = TASK.model_copy(
        update={"prediction": TASK.prediction.model_copy(update={"years_after_entry": (0.0,)})}
    )
    found = labels(out, at_start).sort("subject_id")
    outcome = store.vocabulary.index["X//D"]
    assert found["subject_id"].n_unique() == 2 * len(points.rows)
    order = np.argsort(points.frame["subject_id"].to_numpy())
    expected = [
        1 if outcome in path.tokens else 2 * int(path.end == "death") for at in order for path in paths[at]
    ]
    assert found["event"].to_list() == expected
    assert {0, 1, 2} == set(expected)


def test_es_aces_extracts_the_same_labels(store: TokenStore, written: dict, tmp_path: Path) -> None:
    pytest.importorskip("aces")
    omegaconf = pytest.importorskip("omegaconf")
    from aces import config, predicates, query

    (tmp_path / "task.yaml").write_text(
        """
predicates: {a: {code: X//A}, begin: {code: OBSERVATION_PERIOD//START}}
trigger: begin
windows:
  target: {start: trigger, end: start + 400d, start_inclusive: False, end_inclusive: True, label: a}
"""
    )
    task = config.TaskExtractorConfig.load(tmp_path / "task.yaml")
    frames = []
    for shard in sorted((written["out"] / "data" / "held_out").glob("*.parquet")):
        data = omegaconf.DictConfig({"path": str(shard), "standard": "meds", "ts_format": None})
        frames.append(query.query(task, predicates.get_predicates_df(task, data)))
    found = pl.concat(frames).sort("subject_id")
    code, until = store.vocabulary.index["X//A"], 400 * 1440
    expected = [
        int(((path.tokens == code) & (path.minutes <= written["points"].start[at] + until)).sum())
        for at in np.argsort(written["points"].frame["subject_id"].to_numpy())
        for path in written["paths"][at]
    ]
    assert found["label"].to_list() == expected
    assert max(expected) > 0


def test_values_stand_for_their_bins(store: TokenStore, written: dict) -> None:
    codes, values, _ = code_table(store.vocabulary)
    at = store.vocabulary.bin_index["X//B", 2]
    edges = store.vocabulary.edges["X//B"]
    assert codes[at] == "X//B"
    assert values[at] == pytest.approx((edges[0] + edges[1]) / 2)
    assert values[store.vocabulary.index["X//A"]] is None
    events = pl.read_parquet(written["out"] / "data" / "held_out" / "*.parquet")
    assert not events["code"].str.contains("//Q").any()
    assert events.filter(code="X//B")["numeric_value"].n_unique() > 3


def test_folders_within_each_other_are_refused(tmp_path: Path) -> None:
    for inner, outer in (("risk", "risk"), ("risk/trajectories", "risk"), ("all", "all/risk")):
        with pytest.raises(ConfigError, match=r"one output folder holds the other.*side by side"):
            refuse_folder(tmp_path / inner, tmp_path / outer)
    refuse_folder(tmp_path / "trajectories", tmp_path / "risk")


def test_another_disk_gets_a_copy(
    store: TokenStore, written: dict, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("cross-device link")

    monkeypatch.setattr("os.link", refuse)
    out = write_futures(store, written["points"], written["paths"], tmp_path / "trajectories")
    name = Path("data") / "held_out" / "0.parquet"
    assert (out / name).read_bytes() == (written["out"] / name).read_bytes()
    shutil.rmtree(tmp_path / "trajectories.parts")
    assert pl.read_parquet(out / name).height
