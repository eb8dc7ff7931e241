"""Settings of the stage ``genome``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from proband.genome.ancestry.config import AncestryConfig


class GenomeConfig(BaseModel):
    """Settings of the stage ``genome``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_match_rate: float = Field(
        0.75,
        ge=0,
        le=1,
        description="A score is kept if at least this share of its rows is matched and usable.",
    )
    keep_ambiguous: bool = Field(
        False, description="Use A/T and C/G variants, trusting that both files name the same strand."
    )
    match_by: Literal["position", "id"] = Field(
        "position",
        description="Find variants by position, or take each row's place from the variant of its identifier.",
    )
    ancestry: AncestryConfig | None = Field(
        None, description="Settings of components, populations and adjusted scores; None to leave them out."
    )


@dataclass(frozen=True)
class AncestryInputs:
    """Files that the ancestry step reads, all of them optional; see
    :func:`proband.genome.ancestry.stage.run_ancestry`.

    Attributes:
        splits: A MEDS folder or its subject_splits.parquet: components are fitted on its train subjects.
        kinship: Table of related pairs.
        pcs: Table of components, taken instead of fitting them.
        reference: Genotypes of a reference panel.
        reference_populations: Table of the panel's populations.
        model: Ancestry model of an earlier run, to apply.
    """

    splits: Path | None = None
    kinship: Path | None = None
    pcs: Path | None = None
    reference: Path | None = None
    reference_populations: Path | None = None
    model: Path | None = None

    @property
    def given(self) -> list[Path]:
        """The files named."""
        return [path for path in vars(self).values() if path is not None]
