"""Settings of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from proband.core.options import INPUTS, RUNNING, Option, pairs
from proband.core.running.device import Device
from proband.model.choices import ENCODERS, FUSIONS
from proband.model.config import MOST_BLOCKS, MOST_WIDTH, PRESETS, Encoder, Fusion, Size, size_of

Precision = Literal["auto", "float32", "bfloat16"]
Parallel = Literal["ddp", "fsdp"]
SIZE, LENGTH, LEARNING = "Size of the model", "Length of training", "Learning"
ONSET, MACHINE = "Onset hazards", "Machine and memory"

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
    "onset",
    "tasks",
}
"""Settings that may differ when an interrupted training goes on: how long, how fast, how much memory, and
all of onset hazards, which are fitted from their start afterwards."""


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

    enabled: Annotated[bool, Option(ONSET, flag="--no-onset", default="off")] = Field(
        True, description="Fit no onset hazards."
    )
    codes: bool = Field(True, description="Whether codes and families become tasks, beside outcomes.")
    queries: Annotated[int, Option(ONSET)] = Field(
        24,
        ge=1,
        description="Dates per subject, in the mean, to fit onset hazards on, uniform over person-time.",
    )
    networks: int = Field(2, ge=1, description="Networks whose log hazard ratios are averaged.")
    epochs: Annotated[float, Option(ONSET)] = Field(
        0.5,
        gt=0,
        description="Passes over the train split's dates for each network of the onset hazards.",
    )
    batch_queries: int = Field(256, ge=1, description="Dates per step.")
    learning_rate: float = Field(7e-4, gt=0, description="Peak rate of the networks.")
    weight_decay: float = Field(1.0, ge=0, description="AdamW's decay of matrices.")


class TrainConfig(BaseModel):
    """How a model is fitted. Lengths of training are set by ``minutes`` or else by ``epochs``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fusion: Annotated[Fusion | None, Option(INPUTS, default="prefix with a modality, else none")] = Field(
        None, description=f"How modalities reach the trunk: {', '.join(FUSIONS)}."
    )
    genome_encoder: Annotated[Encoder, Option(INPUTS)] = Field(
        "mlp",
        description=f"{', '.join(ENCODERS)}: mlp has one hidden layer, set pools scores by attention.",
    )
    hidden: Annotated[int | None, Option(INPUTS, default="twice the modality's values, within 16 and 64")] = (
        Field(None, ge=1, description="Hidden width of the encoders.")
    )
    drop_modality: Annotated[float, Option(INPUTS)] = Field(
        0.15, ge=0, lt=1, description="Share of subjects shown without a modality, 0 to 1."
    )
    drop_values: Annotated[float, Option(INPUTS)] = Field(
        0.1, ge=0, lt=1, description="Share of single values hidden in training, 0 to 1."
    )
    encoders: Annotated[dict[str, EncoderOptions], Option(INPUTS, flag="--encoder", default="as for all")] = (
        Field(
            default_factory=dict,
            description="One modality's own settings: NAME=mlp or NAME=set, repeatable, such as "
            "panel=set,hidden=32,drop_modality=0.3,drop_values=0.",
        )
    )
    preset: Annotated[Literal["tiny", "small", "base", "large"], Option(SIZE)] = Field(
        "tiny", description="tiny (0.5), small (3), base (85) or large (340 million weights in blocks)."
    )
    depth: Annotated[int | None, Option(SIZE, default="the preset's")] = Field(
        None, ge=1, le=MOST_BLOCKS, description="Blocks, which decide width and heads too."
    )
    dim: Annotated[int | None, Option(SIZE, default="the depth's")] = Field(
        None, ge=8, le=MOST_WIDTH, description="Width of the residual stream, numbers per token."
    )
    num_heads: Annotated[int | None, Option(SIZE, default="the width's")] = Field(
        None, ge=1, description="Attention heads."
    )
    context: Annotated[int, Option(SIZE)] = Field(
        512, ge=8, le=2**24, description="Tokens of history that a position can read, at most."
    )
    minutes: Annotated[float | None, Option(LENGTH, default="as long as --epochs take")] = Field(
        None, gt=0, description="Wall-clock minutes to train."
    )
    epochs: Annotated[float, Option(LENGTH)] = Field(
        20, gt=0, description="Passes over the train split, unless --minutes."
    )
    patience: Annotated[int, Option(LENGTH)] = Field(
        6, ge=1, description="Tuning evaluations without gain before stopping early."
    )
    evaluate_steps: Annotated[int | None, Option(LENGTH, default="a pass, within 25 and 2,000 steps")] = (
        Field(None, ge=1, description="Optimiser steps between tuning evaluations.")
    )
    batch_tokens: Annotated[int, Option(LEARNING)] = Field(
        2048,
        ge=64,
        description="Tokens of an optimiser step, padding and all processes included, at most.",
    )
    learning_rate: Annotated[float, Option(LEARNING)] = Field(
        4e-3,
        gt=0,
        description="Peak learning rate per step at a width of 96; layers that read the stream scale it by "
        "96 / width.",
    )
    warm_up: Annotated[float, Option(LEARNING)] = Field(
        0.03, ge=0, lt=1, description="Share of training in which the rate rises, 0 to 1."
    )
    weight_decay: Annotated[float, Option(LEARNING)] = Field(
        0.1, ge=0, description="AdamW's decay of matrices, times the rate per step."
    )
    dropout: Annotated[float, Option(LEARNING)] = Field(
        0.1, ge=0, lt=1, description="Share of the trunk's values dropped, 0 to 1."
    )
    clip_norm: Annotated[float, Option(LEARNING)] = Field(
        10.0,
        gt=0,
        description="Largest norm of the gradient, in nats per event and unit of weight. Clipping at a norm "
        "that is often reached takes weight from rare events.",
    )
    seed: Annotated[int, Option(LEARNING)] = Field(
        0, ge=0, description="Seed of weights, order and dropout, a number."
    )
    subject_fraction: Annotated[float, Option(LEARNING)] = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the subjects of train, and of tuning, that are read: drawn by seed, a smaller "
        "share within a larger, for a learning curve.",
    )
    resample_seed: Annotated[int | None, Option(LEARNING)] = Field(
        None,
        ge=0,
        description="Seed, a number, by which as many subjects of train, and of tuning, are drawn with "
        "replacement: a refit that shows how far risks depend on the sample.",
    )
    token_budget: Annotated[int | None, Option(MACHINE, default="the process's share of --batch-tokens")] = (
        Field(
            None,
            ge=64,
            description="Tokens that one process computes at once, padding included; lower it to save "
            "memory. What is learnt does not depend on it, but for random masks.",
        )
    )
    device: Annotated[Device, Option(MACHINE)] = Field(
        "auto", description="cpu, cuda, or auto: a GPU where there is one."
    )
    precision: Annotated[Precision, Option(MACHINE)] = Field(
        "auto",
        description="Products in float32, bfloat16, or auto: bfloat16 on a GPU, and on a CPU that has it "
        "from a width of 384.",
    )
    compile: Annotated[bool, Option(MACHINE)] = Field(
        False, description="Compile the blocks: a minute at the start, then faster steps."
    )
    parallel: Annotated[Parallel, Option(MACHINE)] = Field(
        "ddp",
        description="How processes of torchrun share the model: ddp (whole copies) or fsdp (split weights).",
    )
    save_seconds: Annotated[float, Option(RUNNING)] = Field(
        60, gt=0, description="Seconds between saved states, from which training goes on."
    )
    onset: OnsetOptions = Field(default_factory=OnsetOptions, description="Fit of onset hazards.")
    modalities: tuple[str, ...] = Field((), description="Names of the modalities given; set by the stage.")
    tasks: tuple[str, ...] = Field((), description="Hashes of the task files; set by the stage.")

    @field_validator("encoders", mode="before")
    @classmethod
    def _read_encoders(cls, given: Any) -> Any:
        """Settings by name, also from texts ``NAME=KIND[,SETTING=VALUE...]``."""
        return encoder_options(given) if isinstance(given, list) else given

    @property
    def size(self) -> Size:
        """Depth, width and heads."""
        return size_of(self.depth or PRESETS[self.preset], self.dim, self.num_heads)


def encoder_options(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Settings by name of texts ``NAME=KIND[,SETTING=VALUE...]``, those of ``--encoder``.

    Raises:
        ConfigError: No name or no kind, or a name twice.

    >>> encoder_options(["panel=set,hidden=32"])
    {'panel': {'encoder': 'set', 'hidden': '32'}}
    """
    expected = "NAME=mlp or NAME=set, then ,hidden=N ,drop_modality=P ,drop_values=P"
    found = {}
    for name, text in pairs("--encoder", expected, texts).items():
        kind, *settings = text.split(",")
        found[name] = {"encoder": kind} | pairs("--encoder", expected, settings)
    return found
