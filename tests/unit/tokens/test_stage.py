from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from manifests import forget_digests
from proband.core.errors import CheckpointError, ConfigError, DataError
from proband.core.files.manifest import read_manifest
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.tokens.dataset import FILES, TokenStore
from proband.tokens.stage import read_parents
from small_world import DAY, ENTRY, EXIT, frame, write_splits

CONFIG = TokensConfig(num_bins=2, min_values=4, min_subjects=2)


def life(subject: int, *events: tuple) -> list[tuple]:
    return [
        (subject, None, "Gender//F"),
        (subject, "1950-01-01", "MEDS_BIRTH"),
        (subject, "1950-01-01", ENTRY),
        (subject, "1960-01-01", EXIT),
        *((subject, *event) for event in events),
    ]


def people(first: int, lab: float = 0.0, code: str = "A//1") -> pl.DataFrame:
    rows = []
    for subject in range(first, first + 4):
        rows += life(
            subject, ("1951-01-01", code), ("1952-01-01", "LAB//1", lab + subject), ("1953-01-01", code)
        )
    rows += life(first + 4, ("1954-01-01", "RARE//1"), ("1955-01-01", "MEDS_DEATH"))
    return frame(*rows)


@pytest.fixture
def meds(tmp_path: Path) -> Path:
    return write_splits(tmp_path / "meds", train=people(0), tuning=people(10), held_out=people(20))


def test_a_small_folder_end_to_end(meds: Path, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    tokens(meds, out, config=CONFIG, workers=1)
    store = TokenStore(out)
    vocabulary = store.vocabulary
    assert "A//1" in vocabulary.index
    assert vocabulary.edges == {"LAB//1": (1.5,)}
    assert vocabulary.rolled == {"RARE//1": "UNKNOWN"}  # its kind is as rare
    assert vocabulary.resolution_minutes == DAY
    assert vocabulary.statics == ("Gender//F",)
    once = {code for code, flag in zip(vocabulary.codes, vocabulary.once, strict=True) if flag}
    assert once == {"MEDS_BIRTH", "MEDS_DEATH", "LAB//1", "LAB//1//Q1", "LAB//1//Q2"}
    assert "A//1" not in once
    codes, _ = store.record(int(store.rows_of("train")[0]))
    assert [vocabulary.codes[code] for code in codes] == ["MEDS_BIRTH", "A//1", "LAB//1//Q1", "A//1"]
    held_out, _ = store.record(int(store.rows_of("held_out")[0]))
    assert vocabulary.codes[held_out[2]] == "LAB//1//Q2"
    manifest = read_manifest(out)
    counts = manifest["counts"]
    assert counts["num_subjects"] == 15
    assert counts["num_tokens"] == len(store.tokens)
    kept = counts["num_tokens"] - counts["num_subjects"]
    lost = counts["num_rows_outside_life_or_follow_up"] + counts["num_rows_subject_without_birth"]
    assert counts["num_rows"] == kept + lost + counts["num_rows_static_or_marker"]
    assert manifest["notes"]["vocabulary_hash"] == vocabulary.hash
    assert not (out / "parts").exists()
    tokens(meds, out, config=CONFIG, workers=1)  # nothing to do


@pytest.mark.slow
@pytest.mark.skipif(
    not importlib.util.find_spec("pyspark") or not shutil.which("java"),
    reason="Spark: pip install 'proband[spark]', and a Java runtime (apt-get install default-jre-headless)",
)
def test_spark_writes_the_same_bytes(meds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens(meds, tmp_path / "pool", config=CONFIG, workers=2)
    monkeypatch.chdir(tmp_path)  # workers of Spark have another folder
    tokens(Path("meds"), Path("spark"), config=CONFIG, spark="local[2]")
    for name in FILES:
        assert (tmp_path / "spark" / name).read_bytes() == (tmp_path / "pool" / name).read_bytes()


def test_the_vocabulary_is_fitted_on_train_alone(meds: Path, tmp_path: Path) -> None:
    tokens(meds, tmp_path / "a", config=CONFIG, workers=1)
    other = write_splits(
        tmp_path / "other", train=people(0), tuning=people(50, 900.0, "ODD//7"), held_out=people(90, -7.0)
    )
    tokens(other, tmp_path / "b", config=CONFIG, workers=1)
    first, second = TokenStore(tmp_path / "a").vocabulary, TokenStore(tmp_path / "b").vocabulary
    assert first.hash == second.hash
    changed = write_splits(tmp_path / "c", train=people(0, 900.0), tuning=people(10), held_out=people(20))
    tokens(changed, tmp_path / "d", config=CONFIG, workers=1)
    assert TokenStore(tmp_path / "d").vocabulary.hash != first.hash


def test_a_frozen_vocabulary_on_new_people(meds: Path, tmp_path: Path) -> None:
    tokens(meds, tmp_path / "a", config=CONFIG, workers=1)
    new = write_splits(tmp_path / "new", held_out=people(70, 900.0, "ODD//7"))
    with pytest.raises(DataError, match="no train split"):
        tokens(new, tmp_path / "b", config=CONFIG, workers=1)
    tokens(new, tmp_path / "b", vocabulary=tmp_path / "a", config=CONFIG, workers=1)
    first, second = TokenStore(tmp_path / "a").vocabulary, TokenStore(tmp_path / "b")
    assert second.vocabulary == first
    codes, _ = second.record(0)
    assert [first.codes[code] for code in codes] == ["MEDS_BIRTH", "UNKNOWN", "LAB//1//Q2", "UNKNOWN"]
    assert read_manifest(tmp_path / "b")["counts"]["num_rows_unknown"] == 9


def test_codes_that_a_frozen_vocabulary_does_not_know_are_said(
    meds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens(meds, tmp_path / "a", config=CONFIG, workers=1)
    assert "does not know" not in capsys.readouterr().err
    new = write_splits(tmp_path / "new", held_out=people(70, code="ODD//7"))
    tokens(new, tmp_path / "b", vocabulary=tmp_path / "a", workers=1)
    said = "tokens: 9 of 13 rows (69.2%) have a code that the vocabulary does not know"
    assert f"{said} and count as unknown, most often ODD//7 (8 rows)" in capsys.readouterr().err


def test_records_of_which_a_vocabulary_knows_no_code_are_refused(
    meds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens(meds, tmp_path / "a", config=CONFIG, workers=1)
    spelled = people(70).with_columns(pl.col("code").str.replace("A//1|LAB//1", "a:1"))
    few = write_splits(tmp_path / "few", held_out=spelled)
    tokens(few, tmp_path / "d", vocabulary=tmp_path / "a", workers=1)
    assert "tokens: 13 of 13 rows (100.0%) have a code" in capsys.readouterr().err
    new = write_splits(
        tmp_path / "new",
        held_out=pl.concat(spelled.with_columns(pl.col("subject_id") + 5 * number) for number in range(8)),
    )
    expected = (
        "no code of these records.*104 rows, most often a:1; expected codes such as A//1, LAB//1; remedy"
    )
    with pytest.raises(DataError, match=expected):
        tokens(new, tmp_path / "b", vocabulary=tmp_path / "a", workers=1)
    assert not (tmp_path / "b").exists()
    only_deaths = people(70).filter(pl.col("code").str.contains("MEDS|Gender|OBSERVATION"))
    nobody_ill = write_splits(tmp_path / "well", held_out=only_deaths)
    tokens(nobody_ill, tmp_path / "c", vocabulary=tmp_path / "a", workers=1)


def test_several_workers_give_the_same_files(meds: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        tokens(meds, tmp_path / f"w{number}", config=CONFIG, workers=number)
    for name in sorted(os.listdir(tmp_path / "w1")):
        if name != "manifest.json":
            assert (tmp_path / "w1" / name).read_bytes() == (tmp_path / "w2" / name).read_bytes(), name


def test_hours_make_the_resolution_a_minute(tmp_path: Path) -> None:
    rows = frame(*life(1, ("1951-01-01T08:30", "A//1")), *life(2, ("1951-01-01", "A//1")))
    tokens(write_splits(tmp_path / "m", train=rows), tmp_path / "t", config=CONFIG, workers=1)
    assert TokenStore(tmp_path / "t").vocabulary.resolution_minutes == 1


def test_unsplit_data_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m" / "data").mkdir(parents=True)
    people(0).write_parquet(tmp_path / "m" / "data" / "0.parquet")
    with pytest.raises(DataError, match=r"without a split.*proband ehr"):
        tokens(tmp_path / "m", tmp_path / "t", workers=1)
    assert sorted(os.listdir(tmp_path)) == ["m"]


def test_other_settings_and_a_damaged_vocabulary(meds: Path, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    tokens(meds, out, config=CONFIG, workers=1)
    with pytest.raises(ConfigError, match="min_subjects 2, now 3"):
        tokens(meds, out, config=CONFIG.model_copy(update={"min_subjects": 3}), workers=1)
    (out / "vocabulary.json").write_text((out / "vocabulary.json").read_text().replace("A//1", "A//2"))
    with pytest.raises(DataError, match=r"not as it was written.*vocabulary\.json"):
        tokens(meds, tmp_path / "again", vocabulary=out, config=CONFIG, workers=1)
    forget_digests(out)
    with pytest.raises(CheckpointError, match="changed after it was frozen"):
        tokens(meds, tmp_path / "again", vocabulary=out, config=CONFIG, workers=1)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_a_flipped_bit_is_named(meds: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "tokens"
    tokens(meds, out, config=CONFIG, workers=1)
    content = bytearray((out / name).read_bytes())
    content[len(content) // 2] ^= 4
    (out / name).write_bytes(content)
    with pytest.raises(
        DataError, match=f"not as it was written.*{name}.*found SHA-256.*run `proband tokens`"
    ):
        TokenStore(out)
    with pytest.raises(DataError, match=f"not as it was written.*{name}.*pass --overwrite"):
        tokens(meds, out, config=CONFIG, workers=1)
    tokens(meds, out, config=CONFIG, workers=1, overwrite=True)
    TokenStore(out)


def test_damaged_arrays_are_named(meds: Path, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    tokens(meds, out, config=CONFIG, workers=1)
    whole = (out / "minutes.npy").read_bytes()
    (out / "minutes.npy").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"not as it was written.*minutes\.npy.*bytes"):
        TokenStore(out)
    forget_digests(out)
    with pytest.raises(DataError, match=r"unreadable array.*minutes\.npy"):
        TokenStore(out)
    np.save(out / "minutes.npy", np.zeros(3, np.int32))
    with pytest.raises(DataError, match="arrays do not fit together"):
        TokenStore(out)
    with pytest.raises(DataError, match="no finished output"):
        TokenStore(meds)


@pytest.mark.parametrize(
    ("name", "at", "value"),
    [("tokens", 0, 60_000), ("offsets", 1, -1), ("offsets", 0, 1), ("statics", 0, 99), ("minutes", 0, -5)],
)
def test_numbers_that_no_array_may_hold_are_refused(
    meds: Path, tmp_path: Path, name: str, at: int, value: int
) -> None:
    out = tmp_path / "tokens"
    tokens(meds, out, config=CONFIG, workers=1)
    array = np.load(out / f"{name}.npy")
    array.reshape(-1)[at] = value
    np.save(out / f"{name}.npy", array)
    forget_digests(out)
    with pytest.raises(DataError, match=f"unusable array.*{name}"):
        TokenStore(out)
    np.save(out / f"{name}.npy", array.astype("U8"))
    with pytest.raises(DataError, match=f"unusable array.*{name}.*found <U8.*expected integers of 0 to"):
        TokenStore(out)


def test_subjects_are_keyed_by_row_and_not_by_their_order(meds: Path, tmp_path: Path) -> None:
    out = tmp_path / "tokens"
    tokens(meds, out, config=CONFIG, workers=1)
    before = TokenStore(out)
    path = out / "subjects.parquet"
    pl.read_parquet(path).reverse().write_parquet(path)
    forget_digests(out)
    after = TokenStore(out)
    assert after.subject_ids.tolist() == before.subject_ids.tolist()
    pl.read_parquet(path).with_columns(row=pl.lit(0, pl.Int64)).write_parquet(path)
    with pytest.raises(DataError, match="unusable rows of subjects"):
        TokenStore(out)


def test_parents_come_from_the_metadata(tmp_path: Path) -> None:
    assert read_parents(tmp_path) == {}
    (tmp_path / "metadata").mkdir()
    path = tmp_path / "metadata" / "codes.parquet"
    pl.DataFrame({"code": ["A"]}).write_parquet(path)
    assert read_parents(tmp_path) == {}
    pl.DataFrame({"code": ["A", "B", "C"], "parent_codes": [["P", "Q"], [], None]}).write_parquet(path)
    assert read_parents(tmp_path) == {"A": ["P", "Q"]}


def test_the_same_bytes_whatever_the_processes(meds: Path, tmp_path: Path) -> None:
    shard = next((meds / "data" / "train").glob("*.parquet"))
    frame = pl.read_parquet(shard)
    dated = frame.filter(pl.col("code") == "A//1").head(1)
    rare = [dated.with_columns(code=pl.lit(f"RARE{number % 7}//{number}")) for number in range(300)]
    order = frame["subject_id"].unique(maintain_order=True).to_list()
    frame = pl.concat([frame, *rare])
    frame = frame.sort(
        pl.col("subject_id").replace_strict(dict(zip(order, range(len(order)), strict=True))),
        "time",
        nulls_last=False,
        maintain_order=True,
    )
    frame.write_parquet(shard)
    for name, workers in (("a", 1), ("b", 2), ("c", 1)):
        tokens(meds, tmp_path / name, config=CONFIG, workers=workers)
    for name in FILES:
        assert len({(tmp_path / out / name).read_bytes() for out in "abc"}) == 1, name


def test_static_codes_of_few_subjects_are_left_out(
    meds: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokens(meds, tmp_path / "t", config=CONFIG.model_copy(update={"min_subjects": 100}), workers=1)
    assert TokenStore(tmp_path / "t").vocabulary.statics == ()
    assert "1 static codes of fewer than 100 train subjects are left out" in capsys.readouterr().err
