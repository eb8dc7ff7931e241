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

    splits: Annotated[Path | None, Option(ANCESTRY, default="everybody is fitted on")] = Field(
        None,
        description="MEDS folder, or its subject_splits.parquet: fit components and coefficients on its "
        "train subjects.",
    )
    kinship: Annotated[Path | None, Option(ANCESTRY, default="estimated")] = Field(
        None,
        description="Pairs of relatives by sample name: plink2's or KING's .kin0, UK Biobank's or All of "
        "Us's table; pairs without a number are left out and counted.",
    )
    pcs: Annotated[Path | None, Option(ANCESTRY, default="fitted")] = Field(
        None,
        description="Components of another program, every sample with a row: TSV, CSV or Parquet with "
        "subject_id or a sample name, PC1, PC2, ...",
    )
    reference: Annotated[Path | None, Option(ANCESTRY)] = Field(
        None,
        description="Genotypes of a panel whose populations are known; needs the scoring files too, for "
        "adjusted scores.",
    )
    reference_populations: Annotated[Path | None, Option(ANCESTRY, default="the panel's .psam")] = Field(
        None,
        description="Sample names and populations: .psam, Oxford .sample, TSV, CSV or Parquet. Without a "
        "panel: labels of the samples themselves.",
    )
    model: Annotated[Path | None, Option(ANCESTRY, flag="--ancestry-model")] = Field(
        None, description="An earlier ancestry_model.npz, or its folder, to apply instead of fitting."
    )

    @property
    def given(self) -> list[Path]:
        """The files named."""
        return [path for path in self.model_dump().values() if path is not None]
