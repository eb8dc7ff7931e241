"""Settings of the stage ``genome``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from proband.core.options import Option
from proband.genome.ancestry.config import ANCESTRY, AncestryConfig


class GenomeConfig(BaseModel):
    """Settings of the stage ``genome``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_match_rate: Annotated[float, Option()] = Field(
        0.75,
        ge=0,
        le=1,
        description="Leave out scores of which less than this share of rows is matched and usable, 0 to 1.",
    )
    keep_ambiguous: Annotated[bool, Option()] = Field(
        False, description="Use A/T and C/G variants, trusting that both files name the same strand."
    )
    match_by: Annotated[Literal["position", "id"], Option()] = Field(
        "position",
        description="Find variants by position, or by id, for scoring files of rsIDs without positions.",
    )
    ancestry: AncestryConfig | None = Field(
        None, description="Settings of components, populations and adjusted scores; None to leave them out."
    )


class AncestryInputs(BaseModel):
    """Files that the ancestry step reads, all of them optional; see
    :func:`proband.genome.ancestry.stage.run_ancestry`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    splits: Annotated[Path | None, Option(ANCESTRY, default="fit on everybody")] = Field(
        None, description="MEDS folder, or its subject_splits.parquet: fit ancestry on its train subjects."
    )
    kinship: Annotated[Path | None, Option(ANCESTRY, default="estimated")] = Field(
        None, description="Table of related pairs by sample name."
    )
    pcs: Annotated[Path | None, Option(ANCESTRY, default="fitted")] = Field(
        None, description="Table of components to take."
    )
    reference: Annotated[Path | None, Option(ANCESTRY, default="none")] = Field(
        None, description="Genotypes of a reference panel."
    )
    reference_populations: Annotated[Path | None, Option(ANCESTRY, default="its .psam")] = Field(
        None, description="Table of the panel's populations."
    )
    model: Annotated[Path | None, Option(ANCESTRY, flag="--ancestry-model", default="none")] = Field(
        None, description="Ancestry model of an earlier run, to apply."
    )

    @property
    def given(self) -> list[Path]:
        """The files named."""
        return [path for path in self.model_dump().values() if path is not None]
