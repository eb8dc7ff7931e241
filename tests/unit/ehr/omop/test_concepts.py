from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from proband.ehr import ehr

ANCESTORS = [
    {"ancestor_concept_id": 201820, "descendant_concept_id": 201826, "min_levels_of_separation": 1},
    {"ancestor_concept_id": 5000, "descendant_concept_id": 201826, "min_levels_of_separation": 1},
    {"ancestor_concept_id": 4000, "descendant_concept_id": 201826, "min_levels_of_separation": 2},
    {"ancestor_concept_id": 201826, "descendant_concept_id": 201826, "min_levels_of_separation": 0},
    {"ancestor_concept_id": 123456, "descendant_concept_id": 201826, "min_levels_of_separation": 1},
]
RELATIONS = [
    {"concept_id_1": 201826, "concept_id_2": 201820, "relationship_id": "Is a", "invalid_reason": None},
    {"concept_id_1": 201826, "concept_id_2": 5000, "relationship_id": "Is a", "invalid_reason": "D"},
    {"concept_id_1": 201820, "concept_id_2": 201826, "relationship_id": "Subsumes", "invalid_reason": None},
]


@pytest.fixture
def codes(omop: Callable, tmp_path: Path) -> Callable:
    """Convert tables and return metadata/codes.parquet."""

    def run(tables: dict[str, Any], kind: str) -> pl.DataFrame:
        ehr(omop(tables, kind), tmp_path / "out", workers=1)
        return pl.read_parquet(tmp_path / "out" / "metadata" / "codes.parquet")

    return run


def row(frame: pl.DataFrame, code: str) -> tuple:
    return frame.row(by_predicate=pl.col("code") == code)[1:]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_parents_are_the_ancestors_one_level_up(tables: dict, codes: Callable, kind: str) -> None:
    frame = codes(tables | {"concept_ancestor": ANCESTORS, "concept_relationship": RELATIONS}, kind)
    assert row(frame, "SNOMED//44054006") == ("Type 2", ["SNOMED//73211009", "SNOMED//77176002"])
    assert row(frame, "RxNorm//6809") == ("metformin", None)
    assert row(frame, "CONDITION//xyz") == (None, None)
    assert row(frame, "MEDS_BIRTH") == ("Birth", None)
    assert row(frame, "Gender//F") == ("Female", None)


@pytest.mark.parametrize("ancestors", [None, []])
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_without_ancestors_is_a_gives_the_parents(
    tables: dict, codes: Callable, kind: str, ancestors: list | None
) -> None:
    tables["concept_relationship"] = RELATIONS
    if ancestors is not None:
        tables["concept_ancestor"] = pl.DataFrame(schema=dict.fromkeys(ANCESTORS[0], pl.Int64))
    assert row(codes(tables, kind), "SNOMED//44054006") == ("Type 2", ["SNOMED//73211009"])


def test_every_code_that_occurs_is_described_once(tables: dict, codes: Callable, tmp_path: Path) -> None:
    frame = codes(tables, "parquet")
    events = pl.concat([pl.read_parquet(path) for path in (tmp_path / "out" / "data").rglob("*.parquet")])
    assert frame["code"].to_list() == sorted(events["code"].unique().to_list())
