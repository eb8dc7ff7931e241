from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from engine_rows import content, frames_of, in_types, odd_tables, odd_texts
from proband.core.errors import DataError
from proband.core.files.atomic import whole_file
from proband.core.files.resume import partial_folder
from proband.ehr import ehr
from proband.ehr.config import EhrConfig
from proband.ehr.omop import export as exporting

Tables = dict[str, Any]
pytestmark = [
    pytest.mark.skipif(
        not importlib.util.find_spec("pyspark") or not shutil.which("java"),
        reason="Spark: pip install 'proband[spark]', and Java (apt-get install default-jre-headless)",
    ),
    pytest.mark.slow,  # test_bigquery.py compiles the same expressions to Spark's SQL
]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session as a notebook has one, with a catalog of its own."""
    from pyspark.sql import SparkSession

    settings = {
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        "spark.sql.session.timeZone": "America/New_York",
        "spark.sql.shuffle.partitions": "2",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        # Tables of a few rows are not worth compiling for.
        "spark.sql.codegen.wholeStage": "false",
        "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    }
    builder = SparkSession.builder.master("local[2]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    started = builder.getOrCreate()
    yield started
    started.stop()


def load(session: Any, folder: Path, schema: str, frames: dict[str, pl.DataFrame]) -> None:
    """Make a schema anew, with the frames as its tables."""
    session.sql(f"drop schema if exists {schema} cascade")
    session.sql(f"create schema {schema}")
    for name, frame in frames.items():
        empty = [pl.col(column).cast(pl.String) for column, kind in frame.schema.items() if kind == pl.Null]
        path = folder / "to_spark" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        frame.with_columns(empty).write_parquet(path)
        session.sql(f"create table {schema}.{name} using parquet location '{path}'")


ADDRESS = "spark:local[2]?schema=cdm"


@pytest.mark.parametrize("change", [in_types, odd_texts])
def test_the_bytes_are_those_of_files(
    tables: Tables,
    omop: Callable,
    tmp_path: Path,
    session: Any,
    change: Callable,
    conflicts: tuple[Callable, dict[str, int]],
) -> None:
    add, added = conflicts
    tables = add(tables)
    made = odd_texts(tables) if change is odd_texts else odd_tables(tables)
    frames = frames_of(omop(made, name="plain"))
    frames = frames if change is odd_texts else change(frames)
    config = EhrConfig(drop_before_birth=True, rows_per_shard=15)
    ehr(omop(frames), tmp_path / "of_files", workers=1, config=config)
    load(session, tmp_path, "cdm", frames)
    ehr(ADDRESS, tmp_path / "of_spark", workers=1, config=config)
    assert content(tmp_path / "of_spark") == content(tmp_path / "of_files")
    manifests = [
        json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("of_files", "of_spark")
    ]
    assert manifests[0]["counts"] == manifests[1]["counts"]
    assert {name: manifests[0]["counts"][name] for name in added} == added
    assert manifests[1]["notes"]["engine"].startswith("Spark ")
    assert session.sql("select 1").count() == 1
    assert session.conf.get("spark.sql.session.timeZone") == "America/New_York"
    assert session.conf.get("spark.sql.parquet.outputTimestampType") == "INT96"


def test_an_export_cut_off_goes_on_and_another_is_kept_out(
    tables: Tables, omop: Callable, tmp_path: Path, session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, out, config = frames_of(omop(tables)), tmp_path / "out", EhrConfig(rows_per_shard=5)
    ehr(omop(frames), tmp_path / "whole", workers=1, config=config)
    load(session, tmp_path, "cdm", frames)
    written = exporting.in_pieces

    def cut_off(batches: Any, rows: int) -> Iterator[pl.DataFrame]:
        for number, piece in enumerate(written(batches, rows)):
            if number == 1:
                other = [sys.executable, "-m", "proband", "ehr", ADDRESS, str(out)]
                second = subprocess.run(other, capture_output=True, text=True, check=False)
                assert second.returncode == 2
                assert re.fullmatch(r"proband: .* is being written.*\n", second.stderr), second.stderr
                raise KeyboardInterrupt
            yield piece

    monkeypatch.setattr(exporting, "in_pieces", cut_off)
    with pytest.raises(KeyboardInterrupt):
        ehr(ADDRESS, out, workers=1, config=config)
    assert len(list((partial_folder(out) / ".work" / "events").glob("*.parquet"))) == 1
    monkeypatch.setattr(exporting, "in_pieces", written)
    seen: list[str] = []
    monkeypatch.setattr(exporting, "whole_file", lambda path: seen.append(path.name) or whole_file(path))
    ehr(ADDRESS, out, workers=1, config=config)
    assert seen[0] == "000001.parquet"
    assert content(out) == content(tmp_path / "whole")


def test_a_schema_that_is_not_there(tmp_path: Path, session: Any) -> None:
    with pytest.raises(DataError, match=r"no such table or schema; in spark:local\[2\]\?schema=none"):
        ehr("spark:local[2]?schema=none", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_bytes_are_text_in_utf_8(
    tables: Tables, omop: Callable, read_out: Callable, tmp_path: Path, session: Any
) -> None:
    tables["condition_occurrence"][1]["condition_source_value"] = "Ménière"
    frames = frames_of(omop(tables))
    source = pl.col("condition_source_value").cast(pl.Binary)
    frames["condition_occurrence"] = frames["condition_occurrence"].with_columns(source)
    load(session, tmp_path, "bytes", frames)
    ehr("spark:local[2]?schema=bytes", tmp_path / "out", workers=1)
    assert "CONDITION//Ménière" in read_out(tmp_path / "out")["code"].to_list()
