"""Settings of the ancestry step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proband.core.options import Option

ANCESTRY = "Ancestry"
ADJUSTMENTS = ("Z_MostSimilarPop", "Z_norm1", "Z_norm2")
"""The adjusted scores, by the names pgsc_calc gives them; each is a file of the folder ``adjusted``."""

LEAST_CONFIDENCE = {"forest": 0.5, "mahalanobis": 1e-10}
"""Below this probability (forest) or p-value (Mahalanobis) an assignment has low confidence; pgsc_calc's."""

ADJUST_PCS, SIMILARITY_PCS = 4, 5
"""Leading components by default for adjusting scores and for similarity; pgsc_calc's."""


class AncestryConfig(BaseModel):
    """Settings of principal components, population similarity and adjusted scores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_pcs: Annotated[int, Option(ANCESTRY, flag="--num-pcs")] = Field(
        10, ge=1, le=100, description="Principal components kept."
    )
    adjust_pcs: int = Field(
        default_factory=lambda given: min(given["num_pcs"], ADJUST_PCS),
        ge=1,
        le=100,
        description="Leading components that scores are adjusted for.",
    )
    similarity_pcs: int = Field(
        default_factory=lambda given: min(given["num_pcs"], SIMILARITY_PCS),
        ge=1,
        le=100,
        description="Leading components by which the most similar population is found.",
    )
    similarity: Annotated[Literal["forest", "mahalanobis"], Option(ANCESTRY, flag="--similarity")] = Field(
        "forest",
        description="Find the most similar population by (random) forest or mahalanobis distance.",
    )
    population_column: Annotated[
        str | None,
        Option(ANCESTRY, flag="--population-column", default="the first known name, super-populations first"),
    ] = Field(None, description="Column of the populations table.")
    adjust: Annotated[
        tuple[Literal["Z_MostSimilarPop", "Z_norm1", "Z_norm2"], ...] | None,
        Option(ANCESTRY, flag="--adjust", default="all that the inputs allow"),
    ] = Field(
        None,
        description="Adjusted scores to write: Z_MostSimilarPop, Z_norm1 or Z_norm2, repeatable.",
    )
    min_frequency: float = Field(
        0.01, gt=0, lt=0.5, description="Least minor-allele frequency of a variant behind the components."
    )
    max_missing: float = Field(
        0.05, ge=0, lt=1, description="Largest share of missing calls of such a variant."
    )
    max_r2: float = Field(
        0.2, gt=0, le=1, description="Variants of one window correlate at most so much (squared)."
    )
    window_kb: int = Field(1000, ge=1, description="Reach of the window in kilobases.")
    ld_samples: int = Field(
        5000, ge=50, description="People by whom frequency, missingness and correlation are judged, at most."
    )
    max_variants: int = Field(
        100_000, ge=10, description="Variants behind the components, at most; evenly thinned beyond."
    )
    relatives: Annotated[Literal["king", "none"], Option(ANCESTRY, flag="--relatives")] = Field(
        "king",
        description="king: estimate kinship (KING-robust) where no table is given; none: take all as "
        "unrelated.",
    )
    max_kinship: float = Field(
        0.0884,
        gt=0,
        le=0.5,
        description="People closer than this are relatives; 2^-3.5 parts second from third degree.",
    )
    passes: int = Field(8, ge=1, le=50, description="Passes of the randomised decomposition over the data.")
    correct_shrinkage: bool = Field(
        True, description="Correct the projections of people outside the fit for shrinkage to the centre."
    )
    memory_mb: int = Field(512, ge=16, description="Size of a block of dosages, in megabytes.")
    seed: int = Field(0, ge=0, description="Seed of the decomposition's start, the forest and any thinning.")

    @model_validator(mode="after")
    def _within_kept(self) -> AncestryConfig:
        if max(self.adjust_pcs, self.similarity_pcs) > self.num_pcs:
            raise ValueError("adjust_pcs and similarity_pcs must not exceed num_pcs")
        return self


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
