"""From OMOP concept ids to codes, their descriptions and their parents; all as Ibis expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import polars as pl

from proband.ehr.meds.dataset import BIRTH, DEATH, ENTRY, EXIT
from proband.ehr.omop.columns import optional, text, whole
from proband.ehr.omop.engines.stream import stream

if TYPE_CHECKING:
    import ibis
    import ibis.expr.types as ir

SEPARATOR = "//"
UNKNOWN_VOCABULARY = "OMOP"
"""Vocabulary of codes whose concept id is not in the concept table; their code is the id."""

GENDER_CODES = {8507: "Gender//M", 8532: "Gender//F"}
"""OMOP's two standard concepts of sex (vocabulary Gender), so that vocabulary shards without them do."""

_OWN_DESCRIPTIONS = {
    BIRTH: "Birth",
    DEATH: "Death",
    ENTRY: "Start of an observation period",
    EXIT: "End of an observation period",
    "Gender//F": "Female",
    "Gender//M": "Male",
}
_SUBSUMED = "Is a"


def concept_names(tables: Mapping[str, ibis.Table]) -> ibis.Table | None:
    """concept_id, code (``VOCABULARY//concept_code``), concept_code and description; None without the table.

    Args:
        tables: The OMOP tables, in types (:mod:`proband.ehr.omop.typed`).
    """
    import ibis

    if "concept" not in tables:
        return None
    concept = tables["concept"]
    return concept.select(
        concept_id=concept.concept_id,
        code=concept.vocabulary_id + ibis.literal(SEPARATOR) + concept.concept_code,
        concept_code=concept.concept_code,
        description=optional(concept, "concept_name", "string"),
    )


def event_code(
    concept_id: ir.IntegerColumn, known: ir.StringColumn, domain: str, source_value: ir.StringColumn
) -> ir.StringColumn:
    """The code of an event.

    Args:
        concept_id: Standard concept id; 0 and null mean that the source code could not be mapped.
        known: The concept's code, null where the concept table does not hold it.
        domain: Domain in capitals, the vocabulary of unmapped codes.
        source_value: The code as recorded; null where there is none.
    """
    import ibis

    as_recorded = source_value.fill_null("0")
    by_id = ibis.literal(UNKNOWN_VOCABULARY + SEPARATOR) + concept_id.cast("string")
    unmapped = concept_id.isnull() | (concept_id == 0)
    return ibis.ifelse(unmapped, ibis.literal(domain + SEPARATOR) + as_recorded, ibis.coalesce(known, by_id))


def describe(tables: Mapping[str, ibis.Table], codes: list[str]) -> pl.DataFrame:
    """Description and parents of ``codes``, from the table concept in types and the others as they are.

    Parents are the ancestors one level up in concept_ancestor, or where that table is absent or empty the
    objects of valid 'Is a' rows of concept_relationship.

    Returns:
        code, description (null where unknown) and parent_codes (null where none), sorted by code.
    """
    used = pl.DataFrame({"code": sorted(codes)}, schema={"code": pl.String})
    described = pl.DataFrame(schema={"code": pl.String, "description": pl.String})
    parents = pl.DataFrame(schema={"code": pl.String, "parent_codes": pl.List(pl.String)})
    names = concept_names(tables)
    if names is not None:
        columns = names.select("concept_id", "code", "description")
        ours = _matching(columns, used, "code")
        # The least of several: by bytes, whatever the engine's collation is.
        described = ours.group_by("code").agg(pl.col("description").min())
        pairs = _pairs(tables)
        if pairs is not None:
            parents = _parents(pairs, names, ours)
    own = pl.col("code").replace_strict(_OWN_DESCRIPTIONS, default=None, return_dtype=pl.String)
    return (
        used.join(described, on="code", how="left")
        .with_columns(pl.coalesce("description", own))
        .join(parents, on="code", how="left")
        .sort("code")
    )


def _matching(table: ibis.Table, wanted: pl.DataFrame, on: str) -> pl.DataFrame:
    """The rows of a table whose ``on`` is wanted, from a stream: no list of codes goes to the engine."""
    found = [pl.DataFrame(batch).join(wanted, on=on, how="semi") for batch in stream(table)]
    empty = pl.DataFrame(table.schema().to_pyarrow().empty_table())
    return pl.concat([empty, *found], how="vertical_relaxed")


def _parents(pairs: ibis.Table, names: ibis.Table, ours: pl.DataFrame) -> pl.DataFrame:
    children = ours.select("code", child_id="concept_id").drop_nulls()
    found = _matching(pairs, children, "child_id").join(children, on="child_id")
    parents = _matching(
        names.select("concept_id", parent_code="code"), found.select(concept_id="parent_id"), "concept_id"
    )
    frame = found.join(parents, left_on="parent_id", right_on="concept_id").select("code", "parent_code")
    frame = frame.unique().drop_nulls().filter(pl.col("code") != pl.col("parent_code"))
    return frame.group_by("code").agg(pl.col("parent_code").sort().alias("parent_codes"))


def _pairs(tables: Mapping[str, ibis.Table]) -> ibis.Table | None:
    """The first of the two hierarchies that holds rows, as (child_id, parent_id)."""
    name = "concept_ancestor"
    if name in tables and tables[name].limit(1).count().to_pyarrow().as_py():
        table = tables[name]
        return table.filter(whole(table, name, "min_levels_of_separation") == 1).select(
            child_id=whole(table, name, "descendant_concept_id"),
            parent_id=whole(table, name, "ancestor_concept_id"),
        )
    name = "concept_relationship"
    if name in tables:
        table = tables[name]
        return table.filter(valid_relationship(table, _SUBSUMED)).select(
            child_id=whole(table, name, "concept_id_1"), parent_id=whole(table, name, "concept_id_2")
        )
    return None


def valid_relationship(table: ibis.Table, kind: str) -> ir.BooleanColumn:
    """Whether a row of concept_relationship, as it is in the source, is of a kind and still holds.

    Raises:
        DataError: The table lacks relationship_id.
    """
    of_kind = text(table, "concept_relationship", "relationship_id") == kind
    if "invalid_reason" not in table.columns:
        return of_kind
    return of_kind & text(table, "concept_relationship", "invalid_reason").isnull()
