"""Settings of training."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from proband.core.device import Device
from proband.model.choices import NO_FUSION
from proband.model.config import MOST_BLOCKS, MOST_WIDTH, PRESETS, Encoder, Fusion, Size, size_of

Precision = Literal["auto", "float32", "bfloat16"]
Parallel = Literal["ddp", "fsdp"]

FREE_SETTINGS = {
    "minutes",
    "epochs",
    "token_budget",
    "learning_rate",
    "clip_norm",
    "evaluate_steps",
    "patience",
    "save_seconds",
    "device",
    "precision",
    "compile",
    "parallel",
}
"""Settings that may differ when an interrupted training goes on: how long, how fast, how much memory."""


class EncoderOptions(BaseModel):
    """How one modality is read; what is not given is as for all (:class:`TrainConfig`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    encoder: Encoder | None = Field(None, description="mlp, set, or one added to ENCODERS.")
    hidden: int | None = Field(None, ge=1, description="Hidden width of the encoder.")
    drop_modality: float | None = Field(None, ge=0, lt=1, description="Share of subjects trained as absent.")
    drop_values: float | None = Field(None, ge=0, lt=1, description="Share of values hidden in training.")


class OnsetOptions(BaseModel):
    """How onset hazards are fitted, on the pretrained model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="Whether the model gets onset hazards.")
    codes: bool = Field(True, description="Whether codes and families become tasks, beside outcomes.")
    queries: int = Field(24, ge=1, description="Dates per subject in the mean, uniform over person-time.")
    networks: int = Field(2, ge=1, description="Networks whose log hazard ratios are averaged.")
    epochs: float = Field(0.5, gt=0, description="Passes over the train split's dates for each network.")
    batch_queries: int = Field(256, ge=1, description="Dates per step.")
    learning_rate: float = Field(7e-4, gt=0, description="Peak rate of the networks.")
    weight_decay: float = Field(1.0, ge=0, description="AdamW's decay of matrices.")


class TrainConfig(BaseModel):
    """How a model is fitted. Lengths of training are set by ``minutes`` or else by ``epochs``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["tiny", "small", "base", "large"] = Field("tiny", description="Name of a depth.")
    depth: int | None = Field(
        None, ge=1, le=MOST_BLOCKS, description="Blocks, which decide the size; default the preset's."
    )
    dim: int | None = Field(None, ge=8, le=MOST_WIDTH, description="Width; default the depth's.")
    num_heads: int | None = Field(None, ge=1, description="Heads; default the width's.")
    fusion: Fusion = Field(NO_FUSION, description="How modalities reach the trunk.")
    genome_encoder: Encoder = Field(
        "mlp", description="mlp: one hidden layer; set: scores as a set, pooled by attention."
    )
    minutes: float | None = Field(None, gt=0, description="Wall-clock minutes to train.")
    epochs: float = Field(20, gt=0, description="Passes over the train split, unless minutes are given.")
    context: int = Field(512, ge=8, le=2**24, description="Tokens of history per window.")
    batch_tokens: int = Field(
        2048, ge=64, description="Padded tokens of an optimiser step, over all processes, at most."
    )
    token_budget: int | None = Field(
        None,
        ge=64,
        description="Padded tokens that one process computes at once; memory only. Default a step's share.",
    )
    learning_rate: float = Field(
        4e-3,
        gt=0,
        description="Peak rate at a width of 96; layers that read the stream scale it by 96 / width.",
    )
    warm_up: float = Field(0.03, ge=0, lt=1, description="Share of training with rising rate.")
    weight_decay: float = Field(0.1, ge=0, description="AdamW's decay of matrices.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout in the trunk.")
    clip_norm: float = Field(1.0, gt=0, description="Largest norm of the gradient.")
    evaluate_steps: int | None = Field(
        None, ge=1, description="Steps between tuning evaluations; default a pass, within 25 and 2,000."
    )
    patience: int = Field(6, ge=1, description="Tuning evaluations without gain before stopping early.")
    hidden: int | None = Field(
        None, ge=1, description="Hidden width of encoders; default twice the values, within 16 to 64."
    )
    drop_modality: float = Field(0.15, ge=0, lt=1, description="Share of subjects shown without a modality.")
    drop_values: float = Field(0.1, ge=0, lt=1, description="Share of values hidden in training.")
    modalities: tuple[str, ...] = Field((), description="Names of the modalities given; set by the stage.")
    encoders: dict[str, EncoderOptions] = Field(
        default_factory=dict, description="Settings of single modalities, by name."
    )
    onset: OnsetOptions = Field(default_factory=OnsetOptions, description="Fit of onset hazards.")
    tasks: tuple[str, ...] = Field((), description="Hashes of the task files; set by the stage.")
    save_seconds: float = Field(60, gt=0, description="Seconds between saved states.")
    device: Device = Field("auto", description="Where to compute; auto is a GPU where there is one.")
    precision: Precision = Field(
        "auto", description="Type of products; auto is bfloat16 on a GPU, and on a CPU from a width of 384."
    )
    compile: bool = Field(False, description="Compile the blocks: a minute at the start, faster steps.")
    parallel: Parallel = Field(
        "ddp", description="How several processes share a model: whole copies, or split weights (fsdp)."
    )
    seed: int = Field(0, ge=0, description="Seed of weights, order and dropout.")

    @property
    def size(self) -> Size:
        """Depth, width and heads."""
        return size_of(self.depth or PRESETS[self.preset], self.dim, self.num_heads)
