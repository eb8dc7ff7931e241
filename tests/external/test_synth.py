from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import polars as pl
import pytest

from proband.synth.care.concepts import ancestors, concept_table

pytestmark = pytest.mark.external


def published(table: str) -> pl.DataFrame:
    archive = Path(os.environ["PROBAND_DATA"]) / "omop-synthea27nj" / "Synthea27NjParquet_5.4.zip"
    with zipfile.ZipFile(archive) as file:
        return pl.read_parquet(io.BytesIO(file.read(f"Synthea27NjParquet/{table}.parquet")))


def test_concepts_are_those_of_a_published_vocabulary() -> None:
    both = concept_table().join(published("concept"), on="concept_id", suffix="_published")
    assert both.height > 120
    for column in ("concept_code", "vocabulary_id", "domain_id", "concept_class_id"):
        differing = both.filter(pl.col(column) != pl.col(f"{column}_published"))
        assert differing.is_empty(), differing.select("concept_id", column, f"{column}_published")
    ours = both.filter(~pl.col("domain_id").is_in(["Visit"]))
    assert set(ours["standard_concept"]) == {"S"}


def test_the_hierarchy_is_a_part_of_a_published_one() -> None:
    """Where the published rows hold a concept's parents, ours are among them or further up."""
    valid = published("concept_relationship").filter(
        (pl.col("relationship_id") == "Is a") & pl.col("invalid_reason").is_null()
    )
    above = {
        child: set(parents) for child, parents in valid.group_by("concept_id_1").agg("concept_id_2").rows()
    }
    pairs = {(child, parent) for parent, child, levels in ancestors() if levels == 1}
    confirmed = {pair for pair in pairs if pair[1] in above.get(pair[0], ())}
    reverse = {(child, parent) for child, parent in pairs if child in above.get(parent, ())}
    assert len(confirmed) >= 30
    assert reverse == set()
