"""The table of traits: what drives each disease and each biomarker in the synthetic biobank.

The numbers stand in ``traits.yaml`` beside this module, each with its source or named as a rounded choice of
ours. Here are the models that read and check it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from proband.core.errors import ConfigError, near_matches

TABLE = Path(__file__).with_name("traits.yaml")
OURS = "ours"
"""What ``sources`` says of a number that is a rounded choice of ours."""
ADULT_AGE = 18.0
"""Age at which the life course begins, years."""

Number = float | int
"""A number of the table; 3 and 3.0 are the same."""
Ratio = Annotated[float, Field(gt=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
Correlation = Annotated[float, Field(gt=-1, lt=1)]
Rates = tuple[Annotated[float, Field(gt=0)] | None, ...] | None
"""Rates per 1,000 person-years at the ages of the table; None where there are none."""


class _Row(BaseModel):
    """A row of the table; ``sources`` gives each field of numbers a key of ``references`` or ``ours``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Its name everywhere.")
    sources: dict[str, str] = Field(description="Source by field, or by field.entry for one entry of it.")


class Biomarker(_Row):
    """A measured quantity, normal given age and sex, in its unit or in natural logarithms of it."""

    label: str = Field(description="Name for people.")
    concept_id: int = Field(ge=0, description="OMOP concept of the measurement.")
    unit_concept_id: int = Field(ge=0, description="OMOP concept of the unit.")
    log: bool = Field(False, description="Whether mean, slope, sd, noise_sd and shifts are logarithms.")
    mean: tuple[float, float] = Field(description="Mean at age 50, women and men.")
    slope: float = Field(description="Change of the mean per year of age.")
    sd: float = Field(gt=0, description="Standard deviation between people of one age and sex.")
    noise_sd: float = Field(ge=0, description="Standard deviation of one measurement about the level.")
    heritability: Share = Field(description="Share of the variance from common variants.")
    stable: Share = Field(description="Share of the variance that stays with the person; the rest drifts.")
    shared: dict[str, Correlation] = Field({}, description="Genetic correlation with earlier traits.")
    decimals: int = Field(0, ge=0, description="Digits recorded.")
    bounds: tuple[float, float] = Field(description="Values recorded are cut to these.")

    @model_validator(mode="after")
    def _stable_holds_the_heritable(self) -> Biomarker:
        if self.heritability > self.stable:
            raise ValueError(f"heritability {self.heritability} above the stable share {self.stable}")
        return self

    def values(self, level: np.ndarray, male: np.ndarray, age: np.ndarray) -> np.ndarray:
        """Values in the unit at ``level``, standard deviations above the mean of age and sex."""
        mean = np.where(male, self.mean[1], self.mean[0]) + self.slope * (age - 50)
        value = mean + self.sd * level
        return np.exp(value) if self.log else value


class Hazard(_Row):
    """A hazard by age and sex with its ratios."""

    incidence: tuple[Rates, Rates] = Field(description="Events per 1,000 person-years, women and men.")
    smoking: tuple[Ratio, Ratio] = Field((1, 1), description="Ratios of current and former smoking.")
    deprivation: Ratio = Field(1, description="Ratio per standard deviation.")
    biomarkers: dict[str, Ratio] = Field({}, description="Ratio per standard deviation above the mean.")


class Disease(Hazard):
    """A disease with its hazard of onset; ratios multiply the hazard."""

    label: str = Field(description="Name for people.")
    concept_id: int = Field(ge=0, description="OMOP concept of the condition.")
    heritability: Share = Field(description="Share of the liability's variance from common variants.")
    shared: dict[str, Correlation] = Field({}, description="Genetic correlation with earlier traits.")
    score_ratio: Ratio = Field(description="Published hazard ratio per SD of the best score, in Europeans.")
    age_slope: float = Field(ge=-1, le=1, description="Change of its logarithm per decade, over that at 60.")
    unobserved_ratio: Ratio = Field(description="Ratio per SD of what neither genes nor covariates explain.")
    comorbidity: dict[str, Ratio] = Field({}, description="Ratio of having another disease.")
    shifts: dict[str, float] = Field({}, description="What it adds to a biomarker, in its unit.")
    death: Ratio = Field(1, description="Ratio on the hazard of death.")
    delay_years: float = Field(ge=0, description="Mean years from onset to diagnosis; 0: at onset.")
    missed: Share = Field(description="Share never diagnosed.")
    false_records: float = Field(ge=0, description="False first records per 1,000 person-years without it.")


class Treatment(_Row):
    """A drug taken from the recorded diagnosis on, until it is stopped."""

    drug_concept_id: int = Field(ge=0, description="OMOP concept of the ingredient.")
    diseases: tuple[str, ...] = Field(min_length=1, description="Recorded diagnoses that start it.")
    share: Share = Field(description="Share of the diagnosed who take it.")
    shifts: dict[str, float] = Field({}, description="What it adds to a biomarker, in its unit.")
    ratios: dict[str, Ratio] = Field({}, description="Ratio on a disease beside what biomarkers explain.")
    death_ratio: Ratio = Field(1, description="Ratio on the hazard of death.")
    stopping: float = Field(ge=0, description="Hazard of stopping, per year.")


class Mortality(Hazard):
    """Death by age and sex, whatever its causes."""

    ages: tuple[float, ...] = Field(min_length=2, description="Ages of its rates.")


class Environment(_Row):
    """Smoking and access to care in the population."""

    ever_smokers: tuple[Share, Share] = Field(description="Shares of women and men who ever smoked.")
    quit_per_year: float = Field(gt=0, description="Hazard of quitting, per year.")
    smoking_deprivation: Ratio = Field(description="Odds ratio of ever smoking per SD of deprivation.")
    access_deprivation: Ratio = Field(description="Ratio on the hazard of a record, per SD of deprivation.")
    access_age: Ratio = Field(description="Ratio on the hazard of a record per year of age, 1 at 50.")
    family_deprivation: Share = Field(description="Share of deprivation's variance shared in families.")
    group_deprivation: float = Field(description="Deprivation of non-Europeans above Europeans, SD.")
    drift_years: float = Field(gt=0, description="Relaxation time of a biomarker's drift.")


class Reference(BaseModel):
    """A paper that numbers are rounded after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    doi: str = Field(pattern=r"^10\.\d{4,}/\S+$", description="Its DOI.")
    says: str = Field(min_length=1, description="What it found.")


class Table(BaseModel):
    """The whole table; names are checked against one another, with the nearest known ones in the error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    references: dict[str, Reference]
    best_score_r2: float = Field(gt=0, le=1, description="R2 of the best score with the genetic value.")
    biomarkers: tuple[Biomarker, ...]
    ages: tuple[float, ...] = Field(min_length=2, description="Ages of the diseases' incidence.")
    diseases: tuple[Disease, ...]
    treatments: tuple[Treatment, ...]
    mortality: Mortality
    environment: Environment

    @model_validator(mode="after")
    def _names_are_known(self) -> Table:
        markers, diseases = ([row.name for row in rows] for rows in (self.biomarkers, self.diseases))
        order = markers + diseases
        traits: tuple[Biomarker | Disease, ...] = (*self.biomarkers, *self.diseases)
        for index, trait in enumerate(traits):
            _known(trait.name, "shared", trait.shared, order[:index], "an earlier trait")
        _known("mortality", "biomarkers", self.mortality.biomarkers, markers, "a biomarker")
        for disease in self.diseases:
            _known(disease.name, "shifts", disease.shifts, markers, "a biomarker")
            _known(disease.name, "biomarkers", disease.biomarkers, markers, "a biomarker")
            others = [name for name in diseases if name != disease.name]
            _known(disease.name, "comorbidity", disease.comorbidity, others, "another disease")
        for treatment in self.treatments:
            _known(treatment.name, "shifts", treatment.shifts, markers, "a biomarker")
            _known(treatment.name, "diseases", treatment.diseases, diseases, "a disease")
            _known(treatment.name, "ratios", treatment.ratios, diseases, "a disease")
        return self

    @model_validator(mode="after")
    def _rates_fit_the_ages(self) -> Table:
        for row, ages in [(row, self.ages) for row in self.diseases] + [
            (self.mortality, self.mortality.ages)
        ]:
            for rates in row.incidence:
                if rates is not None and len(rates) != len(ages):
                    raise ConfigError(
                        "a row of rates does not fit the ages",
                        where=f"{row.name}.incidence",
                        found=f"{len(rates)} rates",
                        expected=f"{len(ages)}, one for each age",
                    )
        return self

    @model_validator(mode="after")
    def _numbers_have_sources(self) -> Table:
        rows: tuple[_Row, ...] = (
            *self.biomarkers,
            *self.diseases,
            *self.treatments,
            self.mortality,
            self.environment,
        )
        for row in rows:
            _known(row.name, "sources", row.sources.values(), [*self.references, OURS], "a reference or ours")
            missing = sorted(_numbers(row) - set(row.sources))
            if missing:
                raise ConfigError(
                    "numbers without a source",
                    where=f"{row.name}.sources",
                    found=", ".join(missing),
                    expected=f"a key of references, or {OURS}",
                )
            _known(row.name, "sources", row.sources, _sourced(row), "a field, or field.entry, of the row")
        return self


_CONCEPTS = {"concept_id", "unit_concept_id", "drug_concept_id"}
_NOT_NUMBERS = {"name", "sources", "label", "log", *_CONCEPTS}
_FORM = {"decimals", "bounds", "ages", "diseases"}
"""How values are written down, and what they concern: fields that need no source."""


def _numbers(row: _Row) -> set[str]:
    return row.model_fields_set - _NOT_NUMBERS - _FORM


def _sourced(row: _Row) -> list[str]:
    fields = [name for name in row.model_fields_set if name not in _NOT_NUMBERS]
    mappings = {name: getattr(row, name) for name in fields if isinstance(getattr(row, name), dict)}
    return fields + [f"{name}.{entry}" for name, entries in mappings.items() for entry in entries]


def _known(row: str, field: str, names: Iterable[str], known: list[str], kind: str) -> None:
    for name in names:
        if name not in known:
            raise ConfigError(
                f"unknown name {name}",
                where=f"{row}.{field}",
                expected=kind,
                remedy=near_matches(name, known),
            )


def read_table(path: Path = TABLE) -> Table:
    """Read and check a table of traits.

    Raises:
        ConfigError: It is not YAML, a field is missing, misspelt or out of its bounds, or a name unknown.
    """
    try:
        text = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        remedy = "mend the line that is named"
        raise ConfigError("not a YAML file", where=path.name, found=str(error), remedy=remedy) from None
    try:
        return Table(**_named(text))
    except ValidationError as error:
        # A misspelt field is also a missing one; its own error says more.
        first = min(error.errors(include_url=False), key=lambda found: found["type"] != "extra_forbidden")
        where = [str(part) for part in first["loc"]]
        remedy = near_matches(where[-1], _all_fields()) if first["type"] == "extra_forbidden" else ""
        row = _row_name(text, where)
        raise ConfigError(
            first["msg"], where=f"{path.name}: {row}", found=repr(first["input"])[:80], remedy=remedy
        ) from None


def _named(text: dict[str, Any]) -> dict[str, Any]:
    """The sections with each row's key put into it as its name."""
    named = dict(text)
    for section in ("biomarkers", "diseases", "treatments"):
        named[section] = [{"name": name, **row} for name, row in text.get(section, {}).items()]
    for section in ("mortality", "environment"):
        named[section] = {"name": section, **text.get(section, {})}
    return named


def _row_name(text: dict[str, Any], where: list[str]) -> str:
    if len(where) > 1 and where[1].isdigit() and where[0] in text:
        where = [where[0], list(text[where[0]])[int(where[1])], *where[2:]]
    return ".".join(where)


def _all_fields() -> set[str]:
    kinds = (Table, Biomarker, Disease, Treatment, Mortality, Environment)
    return {name for kind in kinds for name in kind.model_fields}


_LAWLESS = {"label", "sources", "decimals", "bounds", "noise_sd", *_CONCEPTS}
"""Fields that lives do not depend on."""


def table_hash(table: Table | None = None) -> str:
    """Hash of the numbers that lives depend on: what a calibration belongs to."""
    content = (table or _TABLE).model_dump(exclude={"references"})
    for rows in ("biomarkers", "diseases", "treatments"):
        content[rows] = [{k: v for k, v in row.items() if k not in _LAWLESS} for row in content[rows]]
    for row in ("mortality", "environment"):
        content[row] = {k: v for k, v in content[row].items() if k not in _LAWLESS}
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()


_TABLE = read_table()

BIOMARKERS: tuple[Biomarker, ...] = _TABLE.biomarkers
"""Biomarkers in the order of every array over them."""
DISEASES: tuple[Disease, ...] = _TABLE.diseases
"""Diseases in the order of every array over them; death follows as the last hazard."""
TREATMENTS: tuple[Treatment, ...] = _TABLE.treatments
"""Treatments in the order of every array over them."""
MORTALITY: Mortality = _TABLE.mortality
HAZARDS: tuple[Hazard, ...] = (*DISEASES, MORTALITY)
"""The diseases, then death: the order of every array over hazards."""
ENVIRONMENT: Environment = _TABLE.environment
BEST_SCORE_R2 = _TABLE.best_score_r2
"""Share of the genetic value's variance in Europeans that the best score of a disease explains."""
INCIDENCE_AGES = _TABLE.ages
"""Ages of the diseases' ``incidence``."""
DISEASE_NAMES = tuple(disease.name for disease in DISEASES)
BIOMARKER_NAMES = tuple(marker.name for marker in BIOMARKERS)
TREATMENT_NAMES = tuple(treatment.name for treatment in TREATMENTS)
TRAITS: tuple[Biomarker | Disease, ...] = BIOMARKERS + DISEASES
TRAIT_NAMES = tuple(trait.name for trait in TRAITS)
"""Biomarkers first, then diseases: the order of every array over traits."""
