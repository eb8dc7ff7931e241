from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proband.core.errors import DataError
from proband.ehr.meds.splits import assign_splits, folder_splits, read_splits

SHARES = (0.8, 0.1, 0.1)
IDS = st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=50, unique=True)


@given(IDS, st.randoms(), st.integers(0, 2**31))
def test_a_subject_keeps_its_split_whoever_else_is_there(ids: list[int], random: object, seed: int) -> None:
    together = dict(zip(ids, assign_splits(np.array(ids), SHARES, seed), strict=True))
    some = random.sample(ids, random.randint(1, len(ids)))
    assert assign_splits(np.array(some), SHARES, seed).to_list() == [together[one] for one in some]


@given(
    IDS,
    st.sampled_from([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.9, 0.1, 0.0), (0.5, 0.0, 0.5)]),
)
def test_a_share_of_zero_is_empty(ids: list[int], shares: tuple[float, float, float]) -> None:
    allowed = {name for name, share in zip(("train", "tuning", "held_out"), shares, strict=True) if share > 0}
    assert set(assign_splits(np.array(ids), shares, 0)) <= allowed


def test_shares_are_met_on_average_and_for_consecutive_ids() -> None:
    number = 200_000
    drawn = assign_splits(np.arange(number), (0.7, 0.2, 0.1), 3)
    for name, share in {"train": 0.7, "tuning": 0.2, "held_out": 0.1}.items():
        # Five standard errors of a binomial share.
        tolerance = 5 * np.sqrt(share * (1 - share) / number)
        assert (drawn == name).mean() == pytest.approx(share, abs=tolerance)


def test_another_seed_draws_another_split_independently() -> None:
    ids = np.arange(20_000)
    one, two = (assign_splits(ids, (0.5, 0.25, 0.25), seed) for seed in (0, 1))
    agree = (one == two).mean()
    expected = 0.5**2 + 2 * 0.25**2
    assert agree == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / len(ids)))


def write_splits(folder: Path, frame: pl.DataFrame) -> Path:
    (folder / "metadata").mkdir()
    frame.write_parquet(folder / "metadata" / "subject_splits.parquet")
    return folder


def test_given_splits_are_read(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {"subject_id": [2, 1], "split": ["train", "held_out"]}, schema_overrides={"subject_id": pl.Int32}
    )
    found = read_splits(write_splits(tmp_path, frame))
    assert found is not None
    assert dict(found.rows()) == {2: "train", 1: "held_out"}
    assert read_splits(tmp_path / "metadata") is None


@pytest.mark.parametrize("key", ["patient_id", "subject_id"])
def test_splits_of_older_versions_are_read(tmp_path: Path, key: str) -> None:
    frame = pl.DataFrame({key: [2, 1], "split": ["train", "held_out"]})
    (tmp_path / "metadata").mkdir()
    frame.write_parquet(tmp_path / "metadata" / "patient_splits.parquet")
    found = read_splits(tmp_path)
    assert found is not None
    assert dict(found.select("subject_id", "split").rows()) == {2: "train", 1: "held_out"}
    newer = pl.DataFrame({"subject_id": [1], "split": ["tuning"]})
    newer.write_parquet(tmp_path / "metadata" / "subject_splits.parquet")
    assert read_splits(tmp_path).rows() == [(1, "tuning")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"subject_id": [1, 1], "split": ["train", "tuning"]}, "subject in two splits; .*subject 1"),
        ({"subject_id": [1], "split": ["validation"]}, "unknown split; .*found validation"),
        ({"subject_id": [1, 2], "split": ["train", None]}, "missing column or values of split"),
        ({"subject_id": [1]}, "missing column or values of split"),
        ({"subject_id": ["a"], "split": ["train"]}, "wrong type"),
    ],
)
def test_unusable_splits(tmp_path: Path, rows: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_splits(write_splits(tmp_path, pl.DataFrame(rows)))


def test_folders_are_splits_all_or_none() -> None:
    assert folder_splits({"train", "tuning"}, "data")
    assert not folder_splits({"a", None}, "data")
    with pytest.raises(DataError, match=r"unknown split; .*found validation"):
        folder_splits({"train", "validation"}, "data")
