"""The map of vectors: components, and what they go with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from proband.core.schema import ANCESTRY, EMBEDDING_MAP
from proband.embed import embed
from proband.embed.config import EmbedConfig
from proband.embed.map import AGE, ALL, ANCESTRY_FACTOR, SEX, components, explained, in_words, map_frame


def test_components_are_those_of_the_covariance() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(400, 5)) * [5, 3, 1, 0.5, 0]).astype(np.float32) + 7
    scores, share = components(vectors)
    values = np.sort(np.linalg.eigvalsh(np.cov(vectors.T.astype(float))))[::-1]
    assert scores.shape == (400, 4)  # one direction has no variance
    assert share == pytest.approx(values[:4] / values.sum(), rel=1e-4)
    assert np.allclose(scores.mean(axis=0), 0, atol=1e-4)
    assert np.cov(scores.T) == pytest.approx(np.diag(values[:4]), abs=1e-2)


def test_what_explains_a_component_is_told_from_noise() -> None:
    rng = np.random.default_rng(0)
    age, female = rng.uniform(20, 80, 1000), rng.integers(0, 2, 1000).astype(float)
    label = rng.choice(["a", "b", "c"], 1000)
    noise = rng.normal(size=(1000, 3))
    scores = noise + np.stack([5 * (age - 50) ** 2 / 300, 2 * female, 3.0 * (label == "b")], axis=1)
    female[:10] = np.nan
    factors = {AGE: age, SEX: female, ANCESTRY_FACTOR: [None, *label[1:].tolist()]}
    table = map_frame(scores, np.array([0.5, 0.3, 0.2]), factors)
    r2 = {(row["component"], row["factor"]): row["r2"] for row in table.iter_rows(named=True)}
    assert r2[1, AGE] > 0.8
    assert r2[2, SEX] == pytest.approx(0.5, abs=0.07)
    assert r2[3, ANCESTRY_FACTOR] > 0.5
    assert max(r2[1, SEX], r2[2, ANCESTRY_FACTOR], r2[3, AGE]) < 0.02
    assert all(r2[at, ALL] >= r2[at, name] - 0.01 for at in (1, 2, 3) for name in factors)
    assert table.filter(factor=ANCESTRY_FACTOR)["by_chance"][0] == pytest.approx(2 / 998)
    assert "PC1 (50%) with age" in in_words(table)


def test_a_factor_without_variation_explains_nothing() -> None:
    r2, by_chance = explained(np.random.default_rng(0).normal(size=(50, 2)), np.ones((50, 1)))
    assert r2.tolist() == [0, 0]
    assert by_chance == 0


def test_the_stage_writes_it(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    embed(world / "model", world / "tokens", tmp_path / "plain")
    vectors = pl.read_parquet(tmp_path / "plain" / "embeddings.parquet")
    labels = pl.DataFrame({"subject_id": vectors["subject_id"], "low_confidence": False}).with_columns(
        most_similar_population=pl.when(pl.col("subject_id") % 2 == 0)
        .then(pl.lit("A"))
        .otherwise(pl.lit("B"))
    )
    (tmp_path / "genome").mkdir()
    ANCESTRY.write(labels, tmp_path / "genome" / "ancestry.parquet")
    given = {"task": world / "task.yaml", "genome": tmp_path / "genome", "config": EmbedConfig(map=True)}
    embed(world / "model", world / "tokens", tmp_path / "out", **given)
    table = EMBEDDING_MAP.read(tmp_path / "out" / "map.parquet")
    assert table["component"].max() == 10
    assert set(table["factor"]) >= {"age", "sex", "record_length", "last_record", "ancestry", "all", "d"}
    assert (
        table.filter(component=1, factor="all")["r2"][0]
        > table.filter(component=1, factor="ancestry")["r2"][0]
    )
    assert (tmp_path / "out" / "map.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "map.png").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "plain" / "map.png").exists()
    assert "components of the vectors go most with" in capsys.readouterr().err
