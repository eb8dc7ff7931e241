"""Concept sets of OHDSI ATLAS, as its JSON export: concepts, with descendants or not, less those excluded.

An item is ``{"concept": {"CONCEPT_ID": 201826, "CONCEPT_CODE": "44054006", "VOCABULARY_ID": "SNOMED", ...},
"isExcluded": false, "includeDescendants": true, "includeMapped": false}``; flags that lack are false. What
descends from a concept, and what is mapped to it, stands in the OMOP vocabulary alone.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from proband.core.errors import ConfigError, DataError, first_names
from proband.core.running.progress import say

if TYPE_CHECKING:
    import ibis

_MAPS_TO = "Maps to"
_Text = Annotated[str | None, Field(min_length=1, max_length=1000)]


class _Exported(BaseModel):
    """A part of an export, whose keys are read in any case; null is as absent, and what else it tells is not
    read."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _in_any_case(cls, content: Any) -> Any:
        if not isinstance(content, dict):
            return content
        names = [one.alias or name for name, one in cls.model_fields.items()]
        known = {name.lower(): name for name in names}
        told = {key: value for key, value in content.items() if value is not None}
        return {known.get(str(key).lower(), key): value for key, value in told.items()}


class Concept(_Exported):
    """A concept of an item."""

    concept_id: int = Field(alias="CONCEPT_ID", ge=0, lt=2**31)
    code: _Text = Field(None, alias="CONCEPT_CODE")
    vocabulary: _Text = Field(None, alias="VOCABULARY_ID")

    @property
    def event_code(self) -> str | None:
        """Its code in events; None where the export does not tell."""
        return f"{self.vocabulary}//{self.code}" if self.vocabulary and self.code else None


class Item(_Exported):
    """A line of a concept set."""

    concept: Concept
    is_excluded: bool = Field(False, alias="isExcluded")
    with_descendants: bool = Field(False, alias="includeDescendants")
    with_mapped: bool = Field(False, alias="includeMapped")


def read_concept_set(path: Path) -> list[Item]:
    """The items of a concept set expression, alone or with its name around it.

    Raises:
        ConfigError: The file is missing.
        DataError: It is unreadable, something else than a concept set, or includes no concept.
    """
    expected = 'a concept set of ATLAS: {"items": [{"concept": {"CONCEPT_ID": ...}, ...}]}'
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(
            "missing concept set", where=path, remedy="name it relative to the task file"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError("unreadable concept set", where=path, found=error, expected=expected) from None
    if isinstance(content, dict) and "ConceptSets" in content:
        remedy = "export the concept set alone (ATLAS: Concept Sets, Export, Concept Set Expression)"
        raise DataError("a cohort definition is no concept set", where=path, remedy=remedy)
    content = content.get("expression", content) if isinstance(content, dict) else content
    if not isinstance(content, dict) or not isinstance(content.get("items"), list):
        raise DataError("no concept set", where=path, found=type(content).__name__, expected=expected)
    items = []
    for number, item in enumerate(content["items"], start=1):
        try:
            items.append(Item.model_validate(item))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the item"
            raise DataError(
                "unusable item of a concept set", where=f"{path} item {number}",
                found=f"{place}: {first['msg']}", expected=expected,
            ) from None  # fmt: skip
    if all(item.is_excluded for item in items):
        found, expected = f"{len(items)} items", "one at least that is not excluded"
        raise DataError("concept set includes no concept", where=path, found=found, expected=expected)
    return items


def concept_codes(path: Path, vocabulary: Path | None) -> list[str]:
    """Codes of events that a concept set selects: what is included less what is excluded.

    Args:
        path: The JSON file.
        vocabulary: Folder, zip or DuckDB file with the tables concept, and concept_ancestor or
            concept_relationship where an item asks for descendants or mapped concepts, such as a download of
            OHDSI Athena; None where the export itself tells all.

    Raises:
        ConfigError: A file is missing, or a vocabulary is needed and none is given.
        DataError: A file is unusable, or nothing is left.
    """
    items = read_concept_set(path)
    asking = [
        item for item in items if item.with_descendants or item.with_mapped or not item.concept.event_code
    ]
    if vocabulary is None:
        if asking:
            raise _needs_vocabulary(path, asking)
        codes = [
            {item.concept.event_code: None for item in items if item.is_excluded is how}
            for how in (False, True)
        ]
        found = [code for code in codes[0] if code is not None and code not in codes[1]]
    else:
        found = _from_vocabulary(items, vocabulary)
    if not found:
        remedy = "exclude fewer, or export the set again"
        raise DataError(
            "concept set excludes all that it includes",
            where=path,
            found=f"{len(items)} items",
            remedy=remedy,
        )
    return found


def _needs_vocabulary(path: Path, asking: list[Item]) -> ConfigError:
    one = asking[0].concept
    return ConfigError(
        "a concept set needs the vocabulary",
        where=path,
        found=f"{len(asking)} concepts with descendants, mapped concepts or without a code, first "
        f"{one.event_code or one.concept_id}",
        remedy="name the folder of CONCEPT and CONCEPT_ANCESTOR (a download of Athena, or the OMOP folder): "
        f"concept_set: {{file: {path.name}, vocabulary: FOLDER}}",
    )


def _from_vocabulary(items: list[Item], vocabulary: Path) -> list[str]:
    from proband.ehr.omop.concepts import concept_names
    from proband.ehr.omop.sources import open_vocabulary
    from proband.ehr.omop.tables import sources
    from proband.ehr.omop.typed import typed

    with tempfile.TemporaryDirectory() as work:
        tables = open_vocabulary(vocabulary, Path(work))
        tables = typed(tables, sources(tables), Path(work))
        included, excluded = (
            _with_related([item for item in items if item.is_excluded is how], tables, vocabulary)
            for how in (False, True)
        )
        names = concept_names(tables)
        if names is None:
            raise DataError("missing table concept", where=vocabulary, expected="a download of OHDSI Athena")
        chosen = sorted(included - excluded)
        rows = names.filter(names.concept_id.isin(chosen)).select("concept_id", "code")
        named = dict(pl.from_arrow(rows.to_pyarrow()).iter_rows())  # type: ignore[union-attr]
    told = {item.concept.concept_id: item.concept.event_code for item in items}
    found = {one: named.get(one) or told.get(one) for one in chosen}
    if chosen and not any(found.values()):
        first = f"{len(chosen):,} concepts, first {chosen[0]}"
        remedy = "download the vocabularies that the set was made with"
        raise DataError(
            "no concept of the set is in the vocabulary", where=vocabulary, found=first, remedy=remedy
        )
    if unknown := [one for one, code in found.items() if code is None]:
        say(f"task: {len(unknown):,} concepts are not in {vocabulary}, first {unknown[0]}: passed over")
    return sorted({code for code in found.values() if code is not None})


def _with_related(items: list[Item], tables: Mapping[str, ibis.Table], vocabulary: Path) -> set[int]:
    """The concepts of items, their descendants, and what is mapped to any of these, as asked for."""
    found: set[int] = set()
    for with_descendants in (False, True):
        for with_mapped in (False, True):
            ids = {
                item.concept.concept_id
                for item in items
                if (item.with_descendants, item.with_mapped) == (with_descendants, with_mapped)
            }
            if ids and with_descendants:
                ids |= _related(tables, vocabulary, "concept_ancestor", ids)
            if ids and with_mapped:
                ids |= _related(tables, vocabulary, "concept_relationship", ids)
            found |= ids
    return found


def _related(tables: Mapping[str, ibis.Table], vocabulary: Path, name: str, ids: Collection[int]) -> set[int]:
    """Descendants of concepts (concept_ancestor), or what is mapped to them (concept_relationship)."""
    from proband.ehr.omop.columns import whole
    from proband.ehr.omop.concepts import valid_relationship

    if name not in tables:
        expected = f"concept and {name}, as OHDSI Athena gives them"
        raise DataError(f"missing table {name}", where=vocabulary, expected=expected)
    table = tables[name]
    of, to = ("ancestor_concept_id", "descendant_concept_id")
    if name == "concept_relationship":
        of, to = ("concept_id_2", "concept_id_1")
        table = table.filter(valid_relationship(table, _MAPS_TO))
    rows = table.filter(whole(table, name, of).isin(sorted(ids)))
    pairs = rows.select(of=whole(table, name, of), to=whole(table, name, to)).distinct().to_pyarrow()
    if not pairs.num_rows and not table.count().execute():
        remedy = "name a vocabulary that has its rows, such as a download of OHDSI Athena"
        raise DataError(f"empty table {name}", where=vocabulary, expected="related concepts", remedy=remedy)
    if name == "concept_ancestor" and (alone := sorted(set(ids) - set(pairs["of"].to_pylist()))):
        say(
            f"task: {len(alone):,} concepts asked for with descendants are no ancestors in {vocabulary}, as "
            "none is that is not standard, and stand for themselves alone: "
            f"{first_names(list(map(str, alone)))}"
        )
    return set(pairs["to"].drop_null().to_pylist())
