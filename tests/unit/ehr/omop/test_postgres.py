from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import postgres_server
from engine_rows import as_text, content, frames_of, in_types, odd_tables, odd_texts
from proband.core.errors import CheckpointError, ConfigError, DataError
from proband.core.files.atomic import whole_file
from proband.core.files.resume import partial_folder
from proband.ehr import ehr
from proband.ehr.config import EhrConfig
from proband.ehr.omop import export as exporting
from proband.ehr.omop import sources

Tables = dict[str, Any]
pytestmark = pytest.mark.skipif(bool(postgres_server.why_not()), reason=postgres_server.why_not())


@pytest.fixture(scope="module")
def server() -> Iterator[postgres_server.Server]:
    with postgres_server.server() as started:
        yield started


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", postgres_server.PASSWORD)
    monkeypatch.setenv("TZ", "America/New_York")


@pytest.mark.parametrize("change", [dict, in_types, pytest.param(as_text, marks=pytest.mark.slow)])
def test_the_bytes_are_those_of_files(
    tables: Tables,
    omop: Callable,
    tmp_path: Path,
    server: postgres_server.Server,
    change: Callable,
    conflicts: tuple[Callable, dict[str, int]],
) -> None:
    add, added = conflicts
    frames = change(frames_of(omop(add(odd_tables(tables)), name="plain")))
    ehr(omop(frames), tmp_path / "of_files", workers=1)
    server.load("cdm", frames)
    ehr(server.url("cdm"), tmp_path / "of_postgres", workers=1)
    assert content(tmp_path / "of_postgres") == content(tmp_path / "of_files")
    manifests = [
        json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("of_files", "of_postgres")
    ]
    assert manifests[0]["counts"] == manifests[1]["counts"]
    assert manifests[0]["counts"]["num_subjects"] == 6
    assert {name: manifests[0]["counts"][name] for name in added} == added
    assert manifests[0]["notes"]["left_out"] == manifests[1]["notes"]["left_out"]


def test_a_synthetic_biobank_gives_the_bytes_of_its_files(
    tiny: Path, tmp_path: Path, server: postgres_server.Server
) -> None:
    server.load("biobank", frames_of(tiny / "biobank" / "omop"))
    config = EhrConfig(splits=(0.6, 0.1, 0.3))
    ehr(server.url("biobank"), tmp_path / "out", workers=1, config=config)
    assert content(tmp_path / "out") == content(tiny / "meds")


def test_odd_texts_are_read_as_from_files(
    tables: Tables, omop: Callable, tmp_path: Path, server: postgres_server.Server
) -> None:
    frames = frames_of(omop(odd_texts(tables), name="plain"))
    config = EhrConfig(drop_before_birth=True)
    ehr(omop(frames), tmp_path / "of_files", workers=1, config=config)
    server.load("cdm", frames)
    ehr(server.url("cdm"), tmp_path / "of_postgres", workers=1, config=config)
    assert content(tmp_path / "of_postgres") == content(tmp_path / "of_files")
    read = pl.read_parquet(tmp_path / "of_postgres" / "data" / "*" / "*.parquet")
    assert read.filter(code="CONDITION//xyz").height == 12


def test_times_that_files_cannot_hold_come_to_the_latest_year(
    tables: Tables, omop: Callable, read_out: Callable, tmp_path: Path, server: postgres_server.Server
) -> None:
    server.load("cdm", frames_of(omop(tables)))
    with server.connect() as connection:
        connection.execute("update cdm.observation_period set observation_period_end_date = 'infinity'")
        connection.execute("update cdm.drug_exposure set drug_exposure_start_date = '4000-01-01 BC'")
    config = EhrConfig(follow_up_end=date(2012, 1, 1))
    ehr(server.url("cdm"), tmp_path / "out", workers=1, config=config)
    ends = read_out(tmp_path / "out").filter(code="OBSERVATION_PERIOD//END")["time"].to_list()
    assert ends == [datetime(2012, 1, 1, 23, 59, 59)] * 2
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["counts"]["num_impossible_date"] == 1


def test_bytes_where_text_is_due_are_refused(
    tables: Tables, omop: Callable, tmp_path: Path, server: postgres_server.Server
) -> None:
    server.load("cdm", frames_of(omop(tables)))
    with server.connect() as connection:
        column = "condition_source_value"
        connection.execute(
            f"alter table cdm.condition_occurrence alter {column} type bytea using {column}::bytea"
        )
    message = (
        r"wrong type of condition_source_value; in table condition_occurrence; found bytes; expected text"
    )
    with pytest.raises(DataError, match=message):
        ehr(server.url("cdm"), tmp_path / "out", workers=1)


def test_nothing_is_written_and_nothing_told_of_the_login(
    tables: Tables,
    omop: Callable,
    tmp_path: Path,
    server: postgres_server.Server,
    capfd: pytest.CaptureFixture,
) -> None:
    server.load("cdm", frames_of(omop(tables)))
    everything = "select count(*), max(oid) from pg_class"
    with server.connect() as connection:
        before = connection.execute(everything).fetchall()
        ehr(server.url("cdm"), tmp_path / "out", workers=1)
        assert connection.execute(everything).fetchall() == before
    manifest = (tmp_path / "out" / "manifest.json").read_text()
    told = manifest + "".join(capfd.readouterr())
    assert postgres_server.PASSWORD not in told
    assert "admin" not in told
    notes = json.loads(manifest)["notes"]
    assert (notes["database"], notes["schemas"]) == ("postgres", ["cdm"])
    assert notes["engine"].startswith("PostgreSQL ")


def test_a_finished_export_is_of_one_database(
    tables: Tables,
    omop: Callable,
    tmp_path: Path,
    server: postgres_server.Server,
    capfd: pytest.CaptureFixture,
) -> None:
    for schema in ("cdm", "another"):
        server.load(schema, frames_of(omop(tables)))
    ehr(server.url("cdm"), tmp_path / "out", workers=1)
    ehr(server.url("cdm"), tmp_path / "out", workers=1)
    assert "already finished" in capfd.readouterr().err
    with pytest.raises(ConfigError, match=r"finished with other settings.*schema=cdm.*now .*schema=another"):
        ehr(server.url("another"), tmp_path / "out", workers=1)


def test_an_export_cut_off_goes_on(
    tables: Tables,
    omop: Callable,
    tmp_path: Path,
    server: postgres_server.Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frames = frames_of(omop(odd_tables(tables)))
    server.load("cdm", frames)
    config = EhrConfig(rows_per_shard=5)
    ehr(omop(frames), tmp_path / "whole", workers=1, config=config)
    written = exporting.in_pieces

    def cut_off(batches: Any, rows: int) -> Iterator[pl.DataFrame]:
        for number, piece in enumerate(written(batches, rows)):
            if number == 2:
                with server.connect() as connection:
                    others = "pid <> pg_backend_pid() and backend_type = 'client backend'"
                    connection.execute(
                        f"select pg_terminate_backend(pid) from pg_stat_activity where {others}"
                    )
            yield piece

    monkeypatch.setattr(exporting, "in_pieces", cut_off)
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"the database broke off; .*remedy: run the same command again"):
        ehr(server.url("cdm"), out, workers=1, config=config)
    parts = sorted((partial_folder(out) / ".work" / "events").glob("*.parquet"))
    assert len(parts) >= 2
    seen: list[str] = []
    monkeypatch.setattr(exporting, "in_pieces", written)
    monkeypatch.setattr(exporting, "whole_file", lambda path: seen.append(path.name) or whole_file(path))
    ehr(server.url("cdm"), out, workers=1, config=config)
    assert seen[0] == f"{len(parts):06d}.parquet"
    assert content(out) == content(tmp_path / "whole")
    assert not partial_folder(out).exists()


def test_an_export_is_not_lost_with_a_setting(
    tables: Tables,
    omop: Callable,
    new_condition: Callable,
    tmp_path: Path,
    server: postgres_server.Server,
    capfd: pytest.CaptureFixture,
) -> None:
    tables["condition_occurrence"].append(new_condition(2, 201826, date(1959, 12, 31)))
    server.load("cdm", frames_of(omop(tables)))
    with pytest.raises(DataError, match=r"events before birth.*--drop-before-birth"):
        ehr(server.url("cdm"), tmp_path / "out", workers=1)
    (part,) = (partial_folder(tmp_path / "out") / ".work" / "events").iterdir()
    written = part.stat().st_mtime_ns
    with pytest.raises(CheckpointError, match=r"other settings is there.*rows_per_shard.*--overwrite"):
        ehr(server.url("cdm"), tmp_path / "out", workers=1, config=EhrConfig(rows_per_shard=3))
    assert part.stat().st_mtime_ns == written
    ehr(server.url("cdm"), tmp_path / "out", workers=1, config=EhrConfig(drop_before_birth=True))
    assert "going on with the interrupted run" in capfd.readouterr().err
    assert not partial_folder(tmp_path / "out").exists()


def test_tables_that_changed_meanwhile_are_read_anew(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    assert exporting.parts_of(tmp_path, {"person": 2}) == []
    (tmp_path / "events" / "000000.parquet").touch()
    assert [path.name for path in exporting.parts_of(tmp_path, {"person": 2})] == ["000000.parquet"]
    assert exporting.parts_of(tmp_path, {"person": 3}) == []
    assert "begins anew" in capfd.readouterr().err


def test_schemas_and_rights(
    tables: Tables, omop: Callable, tmp_path: Path, server: postgres_server.Server
) -> None:
    frames = frames_of(omop(tables))
    vocabulary = {"concept": frames.pop("concept")}
    server.load("cdm", frames)
    server.load("vocabulary", vocabulary)
    with server.connect() as connection:
        connection.execute("drop schema if exists another, biobank cascade")
        connection.execute("drop role if exists reader")
        connection.execute(f"create role reader login password '{postgres_server.PASSWORD}'")
        connection.execute("grant usage on schema cdm, vocabulary to reader")
        connection.execute("grant select on all tables in schema cdm to reader")
    out = tmp_path / "out"
    with pytest.raises(DataError, match=r"no right to read a table; .*vocabulary.concept; remedy.*grant"):
        ehr(server.url("cdm,vocabulary", "reader"), out, workers=1)
    with server.connect() as connection:
        connection.execute("grant select on vocabulary.concept to reader")
    ehr(server.url(user="reader"), out, workers=1)
    assert "SNOMED//44054006" in pl.read_parquet(out / "metadata" / "codes.parquet")["code"]
    server.load("another", frames)
    with pytest.raises(DataError, match=r"is there twice; .*cdm\..*, remedy|is there twice.*\?schema=NAME"):
        ehr(server.url(), tmp_path / "two", workers=1)
    with pytest.raises(DataError, match=r"missing table; .*found no OMOP table; expected person"):
        ehr(server.url("none"), tmp_path / "two", workers=1)
    del frames["person"]
    server.load("another", frames)
    with pytest.raises(DataError, match=r"missing table; .*expected person$"):
        ehr(server.url("another"), tmp_path / "two", workers=1)
    assert not list(tmp_path.glob("two*"))


def test_another_version_of_the_model_is_named(
    tables: Tables, omop: Callable, tmp_path: Path, server: postgres_server.Server
) -> None:
    for row in tables["visit_occurrence"]:
        del row["visit_start_date"]
    server.load("cdm", frames_of(omop(tables)))
    with pytest.raises(
        DataError, match=r"missing column; in table visit_occurrence; expected visit_start_date"
    ):
        ehr(server.url("cdm"), tmp_path / "out", workers=1)
    assert not list(tmp_path.glob("out*"))


def test_a_login_that_is_refused(
    tmp_path: Path, server: postgres_server.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    with pytest.raises(ConfigError, match=r"refused the login; .*no password supplied; remedy: .*PGPASSWORD"):
        ehr(server.url(), tmp_path / "out")
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(ConfigError, match=r"refused the login.*authentication failed") as caught:
        ehr(server.url(), tmp_path / "out")
    assert "wrong" not in str(caught.value)
    passfile = tmp_path / "passfile"
    passfile.write_text(f"*:*:*:*:{postgres_server.PASSWORD}\n")
    passfile.chmod(0o600)
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    with pytest.raises(DataError, match="missing table"):
        ehr(server.url("none"), tmp_path / "out")
    assert os.listdir(tmp_path) == ["passfile"]


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"out of reach; in postgres://127.0.0.1:1/x; .*refused.*; remedy"):
        ehr("postgres://me@127.0.0.1:1/x", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_without_a_client_one_line_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setitem(sys.modules, "ibis.backends.postgres", None)
    address = sources.Address("postgres", host="h")
    with pytest.raises(ConfigError, match=r"client is lacking.*pip install 'proband\[postgres\]'"):
        sources.open_source(address, tmp_path)
