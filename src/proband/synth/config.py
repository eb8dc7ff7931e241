"""What a synthetic biobank is made of."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proband.core.errors import ConfigError
from proband.core.options import Option
from proband.core.units import DAYS_PER_YEAR

ADDITIVE: Final = "additive"
"""Name of the table's own law."""
POPULATIONS = ("EUR", "AFR", "EAS", "AMR", "AFA")
"""Simulated populations: European, West African, East Asian, and two admixed in recent generations: American
(of European, East Asian-like and African ancestors) and African American."""
FIRST_SUBJECT_ID = 1001
"""Identifier of the subject in row 0 of the biobank; the others count on from it."""

PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "subjects": 15_000,
        "variants": 20_000,
        "piece_megabases": 0.9,
        "scores": 80,
        "causal_variants": 300,
        "discovery_panel": 1000,
        "discovery_sizes": (3000, 10_000, 50_000, 200_000),
        "shard_subjects": 2500,
        "truth_replicates": 100,
    },
    "biobank": {},
}
"""Sizes by name: what differs from the defaults."""
_OF_PRESET = Option(default="the preset's")


class SynthConfig(BaseModel):
    """Settings of ``proband synth``; what is not given is the preset's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Annotated[Literal["demo", "biobank"], Option()] = Field(
        "biobank",
        exclude=True,  # the settings that it decides are written
        description="demo: 15,000 subjects, 20,000 variants, 80 scores, a minute. biobank: 20,000 subjects, "
        "100,000 variants, 300 scores, minutes.",
    )
    subjects: Annotated[int, _OF_PRESET] = Field(
        20_000, ge=20, le=1_000_000, description="Subjects of the biobank."
    )
    seed: Annotated[int, Option()] = Field(0, ge=0, description="Seed of every random draw.")
    law: Annotated[Literal["additive", "thresholds", "interactions", "calendar"], Option()] = Field(
        ADDITIVE,
        exclude_if=lambda law: law == ADDITIVE,  # so that biobanks of before it was named stay finished
        description="Law of hazards. additive: log hazards are sums of effects. thresholds: a biomarker "
        "beyond one standard deviation doubles them. interactions: genes count more in smokers. calendar: "
        "they drift with the calendar year.",
    )
    scores: Annotated[int, _OF_PRESET] = Field(
        300, ge=1, le=10_000, description="Polygenic scoring files, a fifth of them null."
    )
    shard_subjects: int = Field(
        5000, ge=20, description="Subjects whose lives and records are made together; bounds memory."
    )

    # People and genomes
    population_shares: tuple[float, float, float, float, float] = Field(
        (0.53, 0.04, 0.06, 0.17, 0.2),
        description="Shares of subjects from EUR, AFR, EAS, AMR and AFA; they add up to 1.",
    )
    related: float = Field(0.15, ge=0, le=1, description="Share of subjects with a relative in the biobank.")
    variants: Annotated[int, _OF_PRESET] = Field(
        100_000, ge=440, le=1_000_000, description="Genotyped variants, over 22 chromosomes."
    )
    hidden_variants: float = Field(
        0.05, ge=0, le=1, description="Further variants that no array types, relative to ``variants``."
    )
    piece_megabases: float = Field(
        3.2, gt=0, le=40, description="Length of the piece simulated per chromosome, Mb."
    )
    causal_variants: int = Field(1000, ge=1, description="Causal variants drawn for each trait's own part.")
    missing_calls: float = Field(0.005, ge=0, lt=0.5, description="Share of genotype calls set missing.")
    ungenotyped: float = Field(0.03, ge=0, lt=1, description="Share of subjects without genotypes.")
    reference_panel: int = Field(
        100, ge=1, le=5000, description="Labelled unrelated people per population outside the biobank."
    )

    # Scores
    null_scores: float = Field(
        0.2, ge=0, le=1, description="Share of scores trained on a trait that nothing causes."
    )
    discovery_panel: int = Field(
        2000, ge=50, le=20_000, description="Samples per discovery population whose LD the virtual GWAS sees."
    )
    discovery_sizes: tuple[int, ...] = Field(
        (10_000, 50_000, 250_000, 1_000_000),
        min_length=1,
        description="Sizes of the virtual GWAS. The simulated genome has some sixty times fewer independent "
        "variants than a real one, so these compare with larger sizes there.",
    )

    # Lives and care
    enrolment: tuple[date, date] = Field(
        (date(2008, 1, 1), date(2012, 12, 31)), description="First and last day of enrolment."
    )
    end: date = Field(date(2024, 12, 31), description="Administrative end of follow-up.")
    loss_per_year: float = Field(
        0.015, ge=0, description="Hazard of loss to follow-up after enrolment, per year."
    )
    record_years: tuple[float, float] = Field(
        (2.0, 8.0), description="Least and most years of record before enrolment; adulthood bounds it."
    )
    step_years: float = Field(
        0.25, gt=0, le=1, description="Time step within which hazards are constant, years."
    )
    landmark_years: int = Field(
        2, ge=0, le=10, description="Prediction time of task and truth, years after entry."
    )
    horizons_years: tuple[int, ...] = Field(
        (1, 5, 10), min_length=1, description="Horizons of task and truth, years."
    )
    truth_replicates: int = Field(100, ge=2, description="Futures per subject behind each true risk.")

    @model_validator(mode="before")
    @classmethod
    def _sizes(cls, given: Any) -> Any:
        """The preset's sizes where no others are given."""
        return PRESETS.get(str(given.get("preset")), {}) | given if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _consistent(self) -> SynthConfig:
        if abs(sum(self.population_shares) - 1) > 1e-9 or min(self.population_shares) < 0:
            raise ConfigError(
                "population_shares do not add up to 1",
                found=self.population_shares,
                expected="five shares of at least 0 with sum 1",
            )
        if not self.enrolment[0] <= self.enrolment[1] < self.end:
            raise ConfigError(
                "enrolment and end are out of order",
                found=f"enrolment {self.enrolment[0]} to {self.enrolment[1]}, end {self.end}",
                expected="first day, last day, end of follow-up in this order",
            )
        latest = self.enrolment[1].toordinal() + self.landmark_years * DAYS_PER_YEAR
        if latest >= self.end.toordinal():
            raise ConfigError(
                "no follow-up at the prediction time",
                found=f"{self.landmark_years} years after {self.enrolment[1]}",
                expected=f"before the end {self.end}",
                remedy="lower landmark_years or enrol earlier",
            )
        if list(self.horizons_years) != sorted(set(self.horizons_years)) or self.horizons_years[0] < 1:
            raise ConfigError(
                "horizons_years are not increasing", found=self.horizons_years, expected="such as (1, 5, 10)"
            )
        return self


class OracleConfig(BaseModel):
    """Settings of ``proband oracle``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    horizons_years: Annotated[tuple[float, ...], Option(flag="--horizons", by_commas=True)] = Field(
        (1.0, 5.0, 10.0), min_length=1, description="Horizons in years, ascending, by commas."
    )
    replicates: Annotated[int, Option()] = Field(100, ge=2, description="Simulated futures behind each risk.")
    latent: Annotated[bool, Option()] = Field(
        False, description="Risk of onset itself, not of its first record."
    )
    seed: Annotated[int, Option()] = Field(0, ge=0, description="Seed of the futures.")
