"""Vectors are the trunk's states at dates, and the tables of a GWAS hold what they should."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from proband.core.errors import CheckpointError, ConfigError, DataError
from proband.core.files.manifest import read_manifest
from proband.core.schema import EMBEDDINGS, PCS, SAMPLES
from proband.embed import embed
from proband.embed.config import EmbedConfig
from proband.embed.gwas import family_ids, inverse_normal, sample_ids, write_gwas
from proband.model.checkpoint import load_model, save_model
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import load_batch, make_windows
from small_world import random_model


def vectors_of(out: Path) -> pl.DataFrame:
    return EMBEDDINGS.read(out / "embeddings.parquet")


def test_without_dates_the_end_of_follow_up(world: Path, tmp_path: Path) -> None:
    """Of the dead the last token before death, which no token follows."""
    embed(world / "model", world / "tokens", tmp_path / "out")
    found, store = vectors_of(tmp_path / "out"), TokenStore(world / "tokens")
    assert found["subject_id"].to_list() == sorted(store.subject_ids.tolist())
    states = found.select(pl.col("^state_.*$")).to_numpy()
    assert states.shape == (len(store), 16)
    assert np.allclose((states**2).mean(axis=1), 1, atol=1e-4)
    model = load_model(world / "model")
    for row in (int(np.flatnonzero(store.died)[0]), int(np.flatnonzero(~store.died)[0])):
        until = store.exit[[row]] - store.died[[row]]
        length = int(store.history_lengths(np.array([row]), until)[0])
        assert (store.record(row)[0][length - 1] != store.vocabulary.death) or not store.died[row]
        batch = load_batch(store, make_windows(store, np.array([row]), 64), {})
        hidden, _ = model.hidden(batch.tokens, batch.ages, batch.statics, {})
        last = hidden[0, length - 1].detach().numpy()
        own = found.filter(subject_id=int(store.subject_ids[row])).select(pl.col("^state_.*$")).to_numpy()[0]
        expected = last / np.sqrt((last**2).mean())
        assert own == pytest.approx(expected, abs=0.05)  # products may be in bfloat16
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "out" / "embeddings.parquet").stat().st_mode & 0o777 == 0o600
    assert read_manifest(tmp_path / "out", "embed")["counts"]["num_dimensions"] == 16


def test_dates_of_a_table_and_nothing_after_them_counts(world: Path, tmp_path: Path) -> None:
    store = TokenStore(world / "tokens")
    subjects = store.subjects.head(5).select("subject_id", pl.col("exit_time").alias("prediction_time"))
    early = subjects.with_columns(pl.col("prediction_time") - timedelta(days=400))
    pl.concat([subjects, early]).write_parquet(tmp_path / "dates.parquet")
    embed(world / "model", world / "tokens", tmp_path / "out", dates=tmp_path / "dates.parquet")
    found = vectors_of(tmp_path / "out")
    assert found.height == 10
    lines = [f"{one},{time:%Y-%m-%d %H:%M:%S.%f}" for one, time in early.iter_rows()]
    (tmp_path / "dates.csv").write_text("\n".join(["subject_id,prediction_time", *lines]))
    embed(world / "model", world / "tokens", tmp_path / "text", dates=tmp_path / "dates.csv")
    again = vectors_of(tmp_path / "text")
    assert again.equals(found.join(again, on=["subject_id", "prediction_time"], how="semi"))


def test_dates_of_a_task(world: Path, tmp_path: Path) -> None:
    given = {"task": world / "task.yaml", "config": EmbedConfig(split="held_out")}
    embed(world / "model", world / "tokens", tmp_path / "out", **given)
    held_out = TokenStore(world / "tokens").follow_up("held_out")
    found = vectors_of(tmp_path / "out").join(held_out, on="subject_id", how="left")
    assert found["row"].null_count() == 0
    assert (found["prediction_time"] < found["exit_time"]).all()


def test_the_tables_of_a_gwas(world: Path, tmp_path: Path) -> None:
    store, genome = TokenStore(world / "tokens"), tmp_path / "genome"
    genome.mkdir()
    ids = store.subject_ids[:40].astype(np.int64)
    SAMPLES.write(
        pl.DataFrame({"subject_id": ids, "sample_id": [f"S{i:03d}" for i in ids]}), genome / "samples.parquet"
    )
    pcs = pl.DataFrame(
        {"subject_id": ids, "is_fitted": [True] * 40, "PC1": np.linspace(-1, 1, 40, dtype=np.float32)}
    )
    PCS.write(pcs, genome / "pcs.parquet")
    embed(world / "model", world / "tokens", tmp_path / "out", genome=genome, config=EmbedConfig(gwas=True))
    phenotypes = pl.read_csv(tmp_path / "out" / "phenotypes.txt", separator="\t", null_values="NA")
    covariates = pl.read_csv(tmp_path / "out" / "covariates.txt", separator="\t", null_values="NA")
    assert phenotypes.columns[:3] == ["FID", "IID", "state_1"]
    assert covariates.columns == ["FID", "IID", "age", "sex", "PC1"]
    assert phenotypes["IID"].to_list() == covariates["IID"].to_list() == [f"S{i:03d}" for i in sorted(ids)]
    assert phenotypes["state_3"].mean() == pytest.approx(0, abs=1e-4)
    assert phenotypes["state_3"].max() == pytest.approx(norm.ppf((40 - 3 / 8) / 40.25), abs=1e-4)
    own = store.follow_up().filter(subject_id=int(sorted(ids)[0]))
    assert covariates["age"][0] == pytest.approx(own["exit_minutes"][0] / 525960, abs=1e-3)
    assert (tmp_path / "out" / "phenotypes.txt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "text", "families"),
    [
        ("a.fam", "one 1 0 0 1 -9\ntwo 2 0 0 2 -9\n", ["one", "two"]),
        ("a.psam", "#FID\tIID\tSEX\none\t1\t1\none\t2\t2\n", ["one", "one"]),
        ("b.psam", "#IID\tSEX\n1\t1\n2\t2\n", ["0", "0"]),  # as plink2 --pheno asks, tried with 2.00a3.5
    ],
)
def test_family_ids_are_those_of_the_genotypes(
    tmp_path: Path, name: str, text: str, families: list[str]
) -> None:
    (tmp_path / name).write_text(text)
    keys = pl.DataFrame({"subject_id": [1, 2], "prediction_time": [datetime(2000, 1, 1)] * 2})
    vectors = keys.with_columns(state_1=pl.Series([9.0, 1.0], dtype=pl.Float32))
    known = keys.with_columns(age=pl.Series([1.0, 2.0]), female=pl.Series([1.0, 0.0]))
    write_gwas(tmp_path, vectors, known, sample_ids(keys["subject_id"], None, tmp_path / name), None)
    for table in ("phenotypes.txt", "covariates.txt"):
        rows = [line.split("\t") for line in (tmp_path / table).read_text().splitlines()]
        assert [row[:2] for row in rows] == [["FID", "IID"], [families[0], "1"], [families[1], "2"]]


def test_family_ids_without_the_tables_they_are_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--fam without the tables of a GWAS.*a\.fam.*give --gwas"):
        embed(tmp_path, tmp_path, tmp_path / "out", fam=tmp_path / "a.fam")
    assert not (tmp_path / "out").exists()


def test_a_genome_that_nothing_reads_is_said(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    embed(world / "model", world / "tokens", tmp_path / "out", genome=world / "tokens")
    assert "not used: --genome" in capsys.readouterr().err


def test_a_sample_without_a_family_id_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.fam").write_text("one 1 0 0 1 -9\n")
    with pytest.raises(DataError, match=r"without a family ID.*a\.fam.*no row of 1 samples, first '2'"):
        family_ids(pl.Series(["1", "2"]), tmp_path / "a.fam")
    (tmp_path / "b.fam").write_text("one 1 0 0 1 -9\ntwo 1 0 0 1 -9\n")
    with pytest.raises(DataError, match=r"a sample comes twice.*b\.fam.*IID 1"):
        family_ids(pl.Series(["1"]), tmp_path / "b.fam")
    (tmp_path / "c.psam").write_text("#IID\tFID\n1\tone\n2\n")
    with pytest.raises(DataError, match=r"too few columns in row 2"):
        family_ids(pl.Series(["1"]), tmp_path / "c.psam")


@pytest.mark.parametrize(("wanted", "message"), [("gwas", "no phenotype.*1 samples"), ("map", "have no map")])
def test_the_vector_of_a_single_subject_is_no_phenotype_and_has_no_map(
    world: Path, tmp_path: Path, wanted: str, message: str
) -> None:
    """An association program would say "need at least one phenotype"."""
    someone = TokenStore(world / "tokens").subject_ids[0]
    (tmp_path / "dates.csv").write_text(f"subject_id,prediction_time\n{someone},2020-01-01\n")
    with pytest.raises(DataError, match=rf"{message}.*remedy: embed more"):
        embed(
            world / "model", world / "tokens", tmp_path / "out", dates=tmp_path / "dates.csv",
            config=EmbedConfig(**{wanted: True}),
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_of_several_dates_the_last_and_what_does_not_vary_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = [datetime(2000 + at, 1, 1) for at in range(3)]
    keys = pl.DataFrame({"subject_id": [1, 1, 2], "prediction_time": times})
    vectors = keys.with_columns(state_1=pl.Series([9.0, 1.0, 2.0], dtype=pl.Float32), state_2=pl.lit(1.0))
    known = keys.with_columns(age=pl.Series([1.0, 2.0, 3.0]), female=pl.Series([1.0, 1.0, float("nan")]))
    assert write_gwas(tmp_path, vectors, known, sample_ids(keys["subject_id"], None), None) == {
        "num_samples": 2,
        "num_phenotypes": 1,
        "num_constant": 1,
    }
    assert (tmp_path / "phenotypes.txt").read_text().splitlines()[0] == "FID\tIID\tstate_1"
    assert (tmp_path / "covariates.txt").read_text().splitlines()[1:] == [
        "1\t1\t2.000000\t1.000000",
        "2\t2\t3.000000\tNA",
    ]
    assert "not known among 2 samples: sex of 1; REGENIE and PLINK leave out" in capsys.readouterr().err


def test_sample_names_with_blanks_are_refused(tmp_path: Path) -> None:
    """REGENIE and PLINK would read each value under the name of the one before."""
    genome = tmp_path / "genome"
    genome.mkdir()
    samples = pl.DataFrame({"subject_id": [1, 2], "sample_id": ["NA 1", "NA2"]})
    SAMPLES.write(samples, genome / "samples.parquet")
    with pytest.raises(DataError, match=r"sample names with blanks; in .*genome; found 1, first 'NA 1'"):
        sample_ids(pl.Series([1, 2]), genome)
    with pytest.raises(DataError, match=r"no subject is in the genotypes; in .*genome"):
        sample_ids(pl.Series([3]), genome)


def test_sex_that_is_never_recorded_is_no_covariate(tmp_path: Path) -> None:
    keys = pl.DataFrame({"subject_id": [1, 2], "prediction_time": [datetime(2000, 1, 1)] * 2})
    vectors = keys.with_columns(state_1=pl.Series([9.0, 1.0], dtype=pl.Float32))
    known = keys.with_columns(age=pl.Series([1.0, 2.0]), female=pl.Series([float("nan")] * 2))
    write_gwas(tmp_path, vectors, known, sample_ids(keys["subject_id"], None), None)
    assert (tmp_path / "covariates.txt").read_text().splitlines()[0] == "FID\tIID\tage"


def test_ties_share_their_mean_rank() -> None:
    found = inverse_normal(np.array([5.0, 5.0, 7.0]))
    assert found[0] == found[1] == pytest.approx(norm.ppf((1.5 - 3 / 8) / 3.25))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject_id,prediction_time\n999999,2001-01-01\n", "unknown subjects.*found 1 that are not"),
        ("subject_id,prediction_time\nx,2001-01-01\n", "unusable subject_id.*found 'x'.*whole numbers"),
        ("subject_id,prediction_time\n{id},soon\n", "unusable prediction_time.*found 'soon'"),
        (
            "subject_id,prediction_time\n{id},1700-01-01\n",
            "a date before birth.*found subject {id}, 1700.*expected 19.* or later",
        ),
        ("subject_id,when\n{id},2001-01-01\n", "no column prediction_time.*found columns subject_id, when"),
        ("subject_id,prediction_time\n", "no date to embed anybody at"),
    ],
)
def test_unusable_dates(world: Path, tmp_path: Path, text: str, message: str) -> None:
    one = int(TokenStore(world / "tokens").subject_ids[0])
    path = tmp_path / "dates.csv"
    path.write_text(text.replace("{id}", str(one)))
    with pytest.raises(DataError, match=message.replace("{id}", str(one))) as caught:
        embed(world / "model", world / "tokens", tmp_path / "out", dates=path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_other_mistakes(world: Path, tmp_path: Path) -> None:
    given = {"task": world / "task.yaml", "dates": tmp_path / "none.csv"}
    with pytest.raises(ConfigError, match="--task and --dates"):
        embed(world / "model", world / "tokens", tmp_path / "out", **given)
    with pytest.raises(DataError, match=r"missing file.*none\.csv"):
        embed(world / "model", world / "tokens", tmp_path / "out", dates=tmp_path / "none.csv")
    other = random_model(vocabulary_size=9)
    (tmp_path / "model").mkdir()
    save_model(other, tmp_path / "model", "0" * 64)
    with pytest.raises(CheckpointError, match="different vocabularies"):
        embed(tmp_path / "model", world / "tokens", tmp_path / "out")
