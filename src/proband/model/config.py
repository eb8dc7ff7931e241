"""What a model is made of. One dial, depth; presets are functions of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proband.core.errors import ConfigError

FORMAT_VERSION = 1
Fusion = Literal["none", "prefix", "adapter", "cross_attention"]
GATED = ("adapter", "cross_attention")
"""Fusions that start behind gates of zero; of the others, the encoder's last layer starts at zero."""
Encoder = Literal["mlp", "set"]


class ModalityConfig(BaseModel):
    """One modality, such as the genome."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=1, description="Number of input values per subject.")
    encoder: Encoder = Field("mlp", description="How values become latents.")
    timed: bool = Field(
        False,
        description="Measured at an age: read only from positions at or after it.",
    )
    hidden: int = Field(64, ge=1, description="Width of the encoder's hidden layer.")
    drop_modality: float = Field(0.15, ge=0, lt=1, description="Share of train subjects shown as absent.")
    drop_values: float = Field(0.1, ge=0, lt=1, description="Share of single values hidden in training.")
    names: tuple[str, ...] = Field((), description="Column names, such as pgs_ids, in their order.")


class ModelConfig(BaseModel):
    """The shape of a model; saved beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary_size: int = Field(ge=3, description="Tokens, padding and birth included.")
    num_statics: int = Field(0, ge=0, description="Static codes.")
    resolution_minutes: int = Field(1440, ge=1, description="Finest time step of the data, in minutes.")
    depth: int = Field(4, ge=1, description="Transformer blocks.")
    dim: int = Field(96, ge=8, description="Width of the residual stream.")
    num_heads: int = Field(3, ge=1, description="Attention heads.")
    context: int = Field(512, ge=8, description="Tokens of history a position may attend to.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout on embeddings and block outputs.")
    num_latents: int = Field(4, ge=1, description="Leading positions, and latents per modality.")
    num_gap_bins: int = Field(64, ge=4, description="Bins of the time to the next event, at most.")
    fusion: Fusion = Field("none", description="How modalities reach the trunk.")
    modalities: dict[str, ModalityConfig] = Field(default_factory=dict, description="Modalities by name.")

    @model_validator(mode="after")
    def _shapes_fit(self) -> ModelConfig:
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 4:
            raise ConfigError(
                "width does not fit the heads",
                found=f"dim {self.dim}, {self.num_heads} heads",
                expected="dim / heads a multiple of 4",
            )
        if (self.fusion == "none") == bool(self.modalities):
            raise ConfigError(
                "fusion and modalities do not fit",
                found=f"fusion {self.fusion}, modalities {sorted(self.modalities) or 'none'}",
                expected="both or neither",
                remedy="give --genome with a fusion other than none",
            )
        return self

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.num_heads


PRESETS: dict[str, dict[str, int]] = {
    "tiny": {"depth": 4, "dim": 96, "num_heads": 3},
    "small": {"depth": 6, "dim": 192, "num_heads": 6},
    "base": {"depth": 12, "dim": 768, "num_heads": 12},
}
"""About 0.5, 3 and 85 million weights beside the embeddings."""


def preset(name: str) -> dict[str, int]:
    """Depth, width and heads of a named size.

    Raises:
        ConfigError: No such preset.
    """
    if name not in PRESETS:
        raise ConfigError("unknown preset", found=name, expected=" or ".join(PRESETS))
    return dict(PRESETS[name])
