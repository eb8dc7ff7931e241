"""What a user's mistake gets: one clear line, exit status 2, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from manifests import forget_digests
from proband.cli.main import main
from proband.core.files import provenance


@pytest.fixture
def world(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private copy of the tiny run, as the working folder."""
    folder = tmp_path / "world"
    shutil.copytree(tiny, folder)
    for manifest in folder.glob("*/manifest.json"):
        forget_digests(manifest.parent)  # damage is to be found by what it is, not by its digest
    monkeypatch.chdir(folder)
    return folder


def proband(monkeypatch: pytest.MonkeyPatch, command: str) -> int:
    monkeypatch.setattr(sys, "argv", ["proband", *command.split()])
    monkeypatch.setattr("proband.cli.main._leave", sys.exit)  # it ends the process
    with pytest.raises(SystemExit) as ended:
        main()
    return int(ended.value.code or 0)


def change(path: str, edit: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    edit(pl.read_parquet(path)).write_parquet(path)


def first_shard() -> str:
    return str(sorted(Path("meds/data/train").glob("*.parquet"))[0])


def missing_table() -> None:
    os.remove("biobank/omop/person.parquet")


def missing_column() -> None:
    change("biobank/omop/person.parquet", lambda frame: frame.drop("gender_concept_id"))


def wrong_type() -> None:
    change(first_shard(), lambda frame: frame.with_columns(pl.col("subject_id").cast(pl.String)))


def duplicate_subject() -> None:
    change("biobank/omop/person.parquet", lambda frame: pl.concat([frame, frame.head(1)]))


def unsorted_events() -> None:
    change(first_shard(), lambda frame: frame.reverse())


def event_before_birth() -> None:
    early = pl.col("condition_start_date").dt.offset_by("-150y")
    change(
        "biobank/omop/condition_occurrence.parquet",
        lambda frame: frame.with_columns(condition_start_date=early).drop("condition_start_datetime"),
    )


def unknown_task_code() -> None:
    Path("task.yaml").write_text(
        "outcomes: {x: {codes: [SNOMED//59621001]}}\nprediction: {age_years: 50}\nhorizons_years: [5]\n"
    )


def bad_line_of_a_panel() -> None:
    Path("panel.csv").write_text("outcome,code\nx,SNOMED//59621000\ny,\n")
    Path("task.yaml").write_text("outcomes: panel.csv\nprediction: {age_years: 50}\nhorizons_years: [5]\n")


def no_whole_bin() -> None:
    Path("task.yaml").write_text(
        "outcomes: {x: {codes: LOINC//4548-4, above: 1000}}\nprediction: {age_years: 50}\nhorizons_years: 5\n"
    )


def strangers_genome() -> None:
    change("genome/scores.parquet", lambda frame: frame.with_columns(pl.col("subject_id") + 1_000_000))


def no_positions() -> None:
    for path in Path("biobank/scorefiles").glob("*"):
        path.unlink()
    Path("biobank/scorefiles/PGS1.txt").write_text(
        "#pgs_id=PGS1\nrsID\teffect_allele\teffect_weight\nrs1\tA\t1\n"
    )


def wrong_build() -> None:
    for path in Path("biobank/scorefiles").glob("*"):
        path.unlink()
    rows = "\n".join(f"1\t{900_000_001 + at}\tA\tC\t1" for at in range(50))
    columns = "chr_name\tchr_position\teffect_allele\tother_allele\teffect_weight"
    header = f"#pgs_id=PGS1\n#genome_build=GRCh37\n{columns}\n"
    Path("biobank/scorefiles/PGS1.txt").write_text(header + rows + "\n")


def truncated_shard() -> None:
    path = Path(first_shard())
    path.write_bytes(path.read_bytes()[:-100])


def truncated_genotypes() -> None:
    path = Path("biobank/genotypes/biobank_chr7.pgen")
    path.write_bytes(path.read_bytes()[:2000])


def other_checkpoint_version() -> None:
    path = Path("model/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))


def other_vocabulary() -> None:
    path = Path("model/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocabulary_hash": "0" * 64}))


def risk_out_of_range() -> None:
    change("risk/risk.parquet", lambda frame: frame.with_columns(pl.col("risk") + 1))


FORECAST = "forecast model tokens out --task task.yaml --genome genome --paths 2"
GENOME = "genome biobank/genotypes biobank/scorefiles out"
CASES = [
    (missing_table, "ehr biobank/omop out", "person"),
    (missing_column, "ehr biobank/omop out", "gender_concept_id"),
    (wrong_type, "ehr meds out", "wrong type of subject_id"),
    (duplicate_subject, "ehr biobank/omop out", "person"),
    (unsorted_events, "ehr meds out", "--sort"),
    (unsorted_events, "tokens meds out", "not sorted"),
    (event_before_birth, "ehr biobank/omop out", "--drop-before-birth"),
    (unknown_task_code, FORECAST, "did you mean SNOMED//59621000"),
    (bad_line_of_a_panel, FORECAST, "panel.csv line 3"),
    (no_whole_bin, FORECAST, "no value bin"),
    (strangers_genome, FORECAST, "no subject in common"),
    (strangers_genome, "train tokens out --genome genome", "no subject in common"),
    (no_positions, GENOME, "position"),
    (wrong_build, GENOME, "GRCh37"),
    (truncated_shard, "tokens meds out", "unreadable Parquet"),
    (truncated_genotypes, GENOME, "biobank_chr7.pgen"),
    (other_checkpoint_version, FORECAST, "unknown checkpoint version"),
    (other_vocabulary, FORECAST, "different vocabularies"),
    (risk_out_of_range, "evaluate risk --meds meds --out out", "risk out of range"),
]


DAMAGED = [
    ("biobank/omop/person.parquet", "ehr biobank/omop out"),
    ("biobank/genotypes/biobank_chr7.pgen", GENOME),
    ("meds/data/train/0.parquet", "tokens meds out"),
    ("tokens/minutes.npy", "train tokens out --genome genome"),
    ("tokens/subjects.parquet", FORECAST),
    ("genome/scores.parquet", FORECAST),
    ("model/model.safetensors", FORECAST),
    ("model/vocabulary.json", FORECAST),
    ("model/vocabulary.json", "tokens meds out --vocabulary model"),
    ("model/README.md", FORECAST),
    ("risk/risk.parquet", "evaluate risk --meds meds --out out"),
    ("results/metrics.parquet", "report results out"),
]


@pytest.mark.parametrize(("name", "command"), DAMAGED)
def test_one_flipped_bit_of_any_output_is_named_and_nothing_written(
    name: str,
    command: str,
    tiny: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in tiny.iterdir():  # links but for the one folder: what is not damaged need not be copied
        top = name.split("/")[0]
        shutil.copytree(path, path.name) if path.name == top else os.symlink(path, path.name)
    content = bytearray(Path(name).read_bytes())
    content[len(content) // 2] ^= 16
    Path(name).write_bytes(content)
    before = sorted(os.listdir("."))
    assert proband(monkeypatch, command) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("proband:")]
    assert len(lines) == 1
    assert "not as it was written" in lines[0]
    assert Path(name).name in lines[0]
    assert "remedy: copy the folder again" in lines[0]
    assert sorted(os.listdir(".")) == before


@pytest.mark.parametrize(
    ("damage", "command", "says"), CASES, ids=lambda value: getattr(value, "__name__", None)
)
def test_one_line_exit_2_and_nothing_written(
    damage: Callable[[], None],
    command: str,
    says: str,
    world: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    damage()
    before = sorted(os.listdir("."))
    assert proband(monkeypatch, command) == 2
    printed = capfd.readouterr()
    lines = [line for line in printed.err.splitlines() if line.startswith("proband:")]
    assert len(lines) == 1
    assert says in lines[0]
    assert "Traceback" not in printed.err
    assert sorted(os.listdir(".")) == before


def test_unusable_options(
    world: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert proband(monkeypatch, "forecast model tokens out --task task.yaml --estimator topk") == 2
    assert "unusable --estimator; found 'topk'" in capfd.readouterr().err
    assert proband(monkeypatch, "train tokens out --fusion prefix") == 2
    assert "give --genome" in capfd.readouterr().err


def test_a_full_disk(world: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out/file")

    monkeypatch.setattr(provenance, "publish", full)
    before = sorted(os.listdir("."))
    assert proband(monkeypatch, "tokens meds out") == 2
    assert "No space left on device" in capfd.readouterr().err
    assert sorted(os.listdir(".")) == before


def test_ctrl_c(world: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(provenance, "publish", interrupted)
    before = sorted(os.listdir("."))
    assert proband(monkeypatch, "tokens meds out") == 130
    assert "interrupted" in capfd.readouterr().err
    assert sorted(os.listdir(".")) == before


def test_a_finished_stage_says_so_and_does_nothing(
    world: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert proband(monkeypatch, "tokens meds out") == 0
    stamp = os.stat("out/tokens.npy").st_mtime_ns
    assert proband(monkeypatch, "tokens meds out") == 0
    assert "already finished; nothing to do" in capfd.readouterr().err
    assert os.stat("out/tokens.npy").st_mtime_ns == stamp
    assert proband(monkeypatch, "tokens meds out --num-bins 5") == 2
    assert "finished with other settings" in capfd.readouterr().err
    assert proband(monkeypatch, "tokens meds out --num-bins 5 --overwrite") == 0
    assert os.stat("out/tokens.npy").st_mtime_ns != stamp
