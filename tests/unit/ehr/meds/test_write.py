from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from proband.core.errors import DataError
from proband.core.files.provenance import StageRun
from proband.ehr.config import EhrConfig
from proband.ehr.meds.dataset import BIRTH, Shard, list_shards
from proband.ehr.meds.write import conform_codes, write_events

BORN = datetime(1950, 1, 1)


def run(shards: dict[str, pl.DataFrame], meds: Callable, tmp_path: Path, rows_per_shard: int) -> Path:
    out = tmp_path / f"out{rows_per_shard}"
    out.mkdir()
    config = EhrConfig(rows_per_shard=rows_per_shard)
    found = [Shard(shard.path, None) for shard in list_shards(meds(shards))]
    write_events(Path("source"), found, None, config, StageRun(out), workers=1)
    return out


def test_shards_are_bounded_but_for_one_subject(events: Callable, meds: Callable, tmp_path: Path) -> None:
    sizes = dict.fromkeys(range(1, 60), 4) | {60: 500}
    frame = events(
        *(
            (subject, BORN, BIRTH if i == 0 else "A", float(i))
            for subject, n in sizes.items()
            for i in range(n)
        )
    )
    out = run({"0": frame}, meds, tmp_path, rows_per_shard=20)
    shards = [pl.read_parquet(shard.path) for shard in list_shards(out)]
    assert sum(shard.height for shard in shards) == frame.height
    assert sorted(shard["subject_id"].max() for shard in shards if shard.height > 40) == [60]
    subjects = [subject for shard in shards for subject in shard["subject_id"].unique()]
    assert len(subjects) == len(set(subjects)) == 60
    names = sorted(int(shard.path.stem) for shard in list_shards(out) if shard.split == "train")
    assert names == list(range(len(names)))


def test_splits_do_not_depend_on_the_shards(events: Callable, meds: Callable, tmp_path: Path) -> None:
    frame = events(*((subject, BORN, BIRTH) for subject in range(1, 60)))
    one, other = (run({"0": frame}, meds, tmp_path, rows) for rows in (7, 1000))
    name = Path("metadata") / "subject_splits.parquet"
    assert pl.read_parquet(one / name).equals(pl.read_parquet(other / name))


def test_a_subject_that_comes_again_later(events: Callable, meds: Callable, tmp_path: Path) -> None:
    frame = events(*((subject, BORN, BIRTH) for subject in [*range(1, 30), 2]))
    with pytest.raises(DataError, match=r"not sorted; .*subject 2 in two places; .*--sort"):
        run({"0": frame}, meds, tmp_path, rows_per_shard=5)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pl.DataFrame({"codes": ["A"]}), "missing column code"),
        (pl.DataFrame({"code": ["A"], "parent_codes": [[[1]]]}), "wrong type"),
    ],
)
def test_unusable_codes_metadata(frame: pl.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        conform_codes(frame, Path("codes.parquet"))


def test_metadata_of_birth_and_death_are_of_the_bare_codes() -> None:
    codes = ["MEDS_DEATH//ICU", "A", "MEDS_DEATH", "MEDS_BIRTH//year", "MEDS_BIRTH//day"]
    frame = pl.DataFrame({"code": codes, "description": ["in the ICU", "a", "any", "by year", "by day"]})
    found = dict(conform_codes(frame, Path("codes.parquet")).select("code", "description").rows())
    assert found == {"A": "a", "MEDS_DEATH": "any", "MEDS_BIRTH": "by year"}
