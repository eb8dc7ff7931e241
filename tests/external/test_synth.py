from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import polars as pl
import pytest

from proband.synth.care.concepts import concept_table

pytestmark = pytest.mark.external


def test_concepts_are_those_of_a_published_vocabulary() -> None:
    archive = Path(os.environ["PROBAND_DATA"]) / "omop-synthea27nj" / "Synthea27NjParquet_5.4.zip"
    with zipfile.ZipFile(archive) as file:
        published = pl.read_parquet(io.BytesIO(file.read("Synthea27NjParquet/concept.parquet")))
    both = concept_table().join(published, on="concept_id", suffix="_published")
    assert both.height > 70
    for column in ("concept_code", "vocabulary_id", "domain_id", "concept_class_id"):
        differing = both.filter(pl.col(column) != pl.col(f"{column}_published"))
        assert differing.is_empty(), differing.select("concept_id", column, f"{column}_published")
