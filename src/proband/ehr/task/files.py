"""Outcomes of a task file that other files tell: panels, concept sets of ATLAS, phecodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from proband.core.errors import ConfigError
from proband.core.text.yamlfile import first_problem
from proband.ehr.task.codesets import with_one_slash
from proband.ehr.task.conceptsets import concept_codes
from proband.ehr.task.packaged import map_file
from proband.ehr.task.panels import read_panel
from proband.ehr.task.phecodes import is_phecode_map, read_phecode_map

_Name = Annotated[str, Field(min_length=1)]


def _one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, (str, int, float)) else value


def _file(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


class ConceptSetFile(BaseModel):
    """A concept set of ATLAS: its file alone, or with the vocabulary."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: _Name = Field(description="JSON export of a concept set, from the task file's folder.")
    vocabulary: _Name | None = Field(None, description="Folder of the OMOP vocabulary, likewise.")


class Phecodes(BaseModel):
    """Phecodes of a map."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    map: _Name = Field(
        description="Table of phecodes and ICD codes, from the task file's folder; or package:phecodeX or "
        "package:phecode12, of an installed package."
    )
    codes: Annotated[tuple[str | int | float, ...], BeforeValidator(_one_or_many)] = Field(
        min_length=1, description="Phecodes, each with those below it."
    )
    prefixes: dict[str, str] = Field(
        {}, description="Vocabulary -> what stands before its codes in events, such as ICD10CM//."
    )


class OutcomeFiles(BaseModel):
    """Keys of an outcome or a step that stand for codes in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concept_set: Annotated[ConceptSetFile | None, BeforeValidator(_file)] = Field(
        None, description="A concept set of ATLAS: its file, or file and vocabulary."
    )
    phecodes: Phecodes | None = Field(None, description="Phecodes of a map.")


def outcomes_with_codes(outcomes: Any, path: Path) -> Any:
    """The outcomes of a task file with the codes that files tell in the place of the files.

    Args:
        outcomes: As in the task file: the name of a panel, or a mapping.
        path: The task file.

    Raises:
        ConfigError, DataError: A file is missing or unusable; names the first problem.
    """
    if isinstance(outcomes, str):
        panel = map_file(outcomes, path.parent)
        if not is_phecode_map(panel):
            return read_panel(panel)
        found = read_phecode_map(panel).panel()
        return {name: one | {"codes": with_one_slash(one["codes"])} for name, one in found.items()}
    for place, holder, key in _named(outcomes):
        holder["codes"] = [*_listed(holder.get("codes", [])), *_codes(holder.pop(key), key, place, path)]
    return outcomes


def named_files(outcomes: Any) -> list[str]:
    """The files that the outcomes of a task file name; folders of vocabularies are none."""
    if isinstance(outcomes, str):
        return [outcomes]
    some = outcomes.values() if isinstance(outcomes, dict) else ()
    found = [one["labels"] for one in some if isinstance(one, dict) and isinstance(one.get("labels"), str)]
    for _, holder, key in _named(outcomes):
        value = holder[key]
        name = value.get("map" if key == "phecodes" else "file") if isinstance(value, dict) else value
        found += [name] if isinstance(name, str) else []
    return found


def _named(outcomes: Any) -> Iterator[tuple[str, dict, str]]:
    """Outcomes and steps of patterns that name files: the place in the task file, the mapping and the key."""
    for name, outcome in outcomes.items() if isinstance(outcomes, dict) else ():
        holders = [(f"outcomes.{name}", outcome)]
        steps = outcome.get("steps") if isinstance(outcome, dict) else None
        for number, step in enumerate(steps if isinstance(steps, list) else ()):
            holders.append((f"outcomes.{name}.steps.{number}", step))
        for place, holder in holders:
            yield from (
                (place, holder, key)
                for key in OutcomeFiles.model_fields
                if isinstance(holder, dict) and key in holder
            )


def _listed(codes: Any) -> list:
    return [codes] if isinstance(codes, str) else list(codes) if isinstance(codes, (list, tuple)) else [codes]


def _codes(value: Any, key: str, place: str, path: Path) -> list[str]:
    """The codes that one key stands for."""
    try:
        named = OutcomeFiles.model_validate({key: value})
    except ValidationError as error:
        models = (OutcomeFiles, ConceptSetFile, Phecodes)
        raise first_problem(error, path, "outcome", models, within=place) from None
    found: dict[str, None] = {}
    if (one := named.concept_set) is not None:
        vocabulary = None if one.vocabulary is None else path.parent / one.vocabulary
        found |= dict.fromkeys(with_one_slash(concept_codes(path.parent / one.file, vocabulary)))
    if (some := named.phecodes) is not None:
        by_phecode = read_phecode_map(map_file(some.map, path.parent)).codes(some.codes, some.prefixes)
        codes = list(dict.fromkeys(code for codes in by_phecode.values() for code in codes))
        given = tuple(some.prefixes.values())
        own = [code for code in codes if not (given and code.startswith(given))]
        found |= dict.fromkeys([*codes, *with_one_slash(own)])
    if not found:
        raise ConfigError(f"{place}.{key}: names no code", where=path, expected="a file")
    return list(found)
