"""``proband train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import MODALITY_HELP, encoder_options, modality_paths

INPUT, SIZE, LENGTH = "Modalities", "Size of the model", "Length of training"
LEARNING, ONSET = "Learning", "Onset hazards"
MACHINE, RUNNING = "Machine and memory", "Running"


def command(
    tokens: Annotated[Path, typer.Argument(help="Tokens folder.")],
    out: Annotated[Path, typer.Argument(help="Output folder of the model.")],
    genome: Annotated[
        Path | None,
        typer.Option(help="Genome folder of polygenic scores.", show_default="none", rich_help_panel=INPUT),
    ] = None,
    modality: Annotated[
        list[str] | None, typer.Option(help=MODALITY_HELP, show_default="none", rich_help_panel=INPUT)
    ] = None,
    fusion: Annotated[
        str | None,
        typer.Option(
            help="How modalities reach the trunk: none, prefix, adapter or cross_attention.",
            show_default="prefix with --genome or --modality, else none",
            rich_help_panel=INPUT,
        ),
    ] = None,
    genome_encoder: Annotated[
        str,
        typer.Option(
            help="mlp (one hidden layer) or set (scores as a set, pooled by attention).",
            rich_help_panel=INPUT,
        ),
    ] = "mlp",
    hidden: Annotated[
        int | None,
        typer.Option(
            help="Hidden width of the encoders.",
            show_default="twice the modality's values, within 16 and 64",
            rich_help_panel=INPUT,
        ),
    ] = None,
    drop_modality: Annotated[
        float, typer.Option(help="Share of subjects shown without a modality, 0 to 1.", rich_help_panel=INPUT)
    ] = 0.15,
    drop_values: Annotated[
        float, typer.Option(help="Share of single values hidden in training, 0 to 1.", rich_help_panel=INPUT)
    ] = 0.1,
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="One modality's own settings: NAME=mlp or NAME=set, repeatable, such as "
            "panel=set,hidden=32,drop_modality=0.3,drop_values=0.",
            show_default="as for all",
            rich_help_panel=INPUT,
        ),
    ] = None,
    preset: Annotated[
        str,
        typer.Option(
            help="tiny (0.5), small (3), base (85) or large (340 million weights in blocks).",
            rich_help_panel=SIZE,
        ),
    ] = "tiny",
    depth: Annotated[
        int | None,
        typer.Option(
            help="Blocks, which decide width and heads too.",
            show_default="the preset's",
            rich_help_panel=SIZE,
        ),
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option(
            help="Width of the residual stream, numbers per token.",
            show_default="the depth's",
            rich_help_panel=SIZE,
        ),
    ] = None,
    num_heads: Annotated[
        int | None,
        typer.Option(help="Attention heads.", show_default="the width's", rich_help_panel=SIZE),
    ] = None,
    context: Annotated[
        int, typer.Option(help="Tokens of history that a position can read, at most.", rich_help_panel=SIZE)
    ] = 512,
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Wall-clock minutes to train.",
            show_default="as long as --epochs take",
            rich_help_panel=LENGTH,
        ),
    ] = None,
    epochs: Annotated[
        float, typer.Option(help="Passes over the train split, unless --minutes.", rich_help_panel=LENGTH)
    ] = 20,
    patience: Annotated[
        int,
        typer.Option(help="Tuning evaluations without gain before stopping early.", rich_help_panel=LENGTH),
    ] = 6,
    evaluate_steps: Annotated[
        int | None,
        typer.Option(
            help="Optimiser steps between tuning evaluations.",
            show_default="a pass, within 25 and 2,000 steps",
            rich_help_panel=LENGTH,
        ),
    ] = None,
    batch_tokens: Annotated[
        int,
        typer.Option(
            help="Tokens of an optimiser step, padding and all processes included, at most.",
            rich_help_panel=LEARNING,
        ),
    ] = 2048,
    learning_rate: Annotated[
        float,
        typer.Option(
            help="Peak learning rate per step at a width of 96; scaled with width by itself.",
            rich_help_panel=LEARNING,
        ),
    ] = 4e-3,
    warm_up: Annotated[
        float,
        typer.Option(help="Share of training in which the rate rises, 0 to 1.", rich_help_panel=LEARNING),
    ] = 0.03,
    weight_decay: Annotated[
        float,
        typer.Option(help="AdamW's decay of matrices, times the rate per step.", rich_help_panel=LEARNING),
    ] = 0.1,
    dropout: Annotated[
        float, typer.Option(help="Share of the trunk's values dropped, 0 to 1.", rich_help_panel=LEARNING)
    ] = 0.1,
    clip_norm: Annotated[
        float,
        typer.Option(
            help="Largest norm of the gradient, in nats per event and unit of weight.",
            rich_help_panel=LEARNING,
        ),
    ] = 1.0,
    seed: Annotated[
        int, typer.Option(help="Seed of weights, order and dropout, a number.", rich_help_panel=LEARNING)
    ] = 0,
    token_budget: Annotated[
        int | None,
        typer.Option(
            help="Tokens that one process computes at once, padding included; lower it to save memory. "
            "What is learnt does not depend on it, but for random masks.",
            show_default="the process's share of --batch-tokens",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(help="cpu, cuda, or auto: a GPU where there is one.", rich_help_panel=MACHINE),
    ] = "auto",
    precision: Annotated[
        str,
        typer.Option(
            help="Products in float32, bfloat16, or auto: bfloat16 on a GPU, and on a CPU that has it from a "
            "width of 384.",
            rich_help_panel=MACHINE,
        ),
    ] = "auto",
    compile_blocks: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the blocks: a minute at the start, then faster steps.",
            show_default="off",
            rich_help_panel=MACHINE,
        ),
    ] = False,
    parallel: Annotated[
        str,
        typer.Option(
            help="How processes of torchrun share the model: ddp (whole copies) or fsdp (split weights).",
            rich_help_panel=MACHINE,
        ),
    ] = "ddp",
    save_seconds: Annotated[
        float,
        typer.Option(
            help="Seconds between saved states, from which training goes on.", rich_help_panel=RUNNING
        ),
    ] = 60,
    task: Annotated[
        list[Path] | None,
        typer.Option(
            help="Task file, repeatable: its outcomes get onset hazards, from which forecast reads risks.",
            show_default="none",
            rich_help_panel=ONSET,
        ),
    ] = None,
    no_onset: Annotated[
        bool,
        typer.Option("--no-onset", help="Fit no onset hazards.", show_default="off", rich_help_panel=ONSET),
    ] = False,
    onset_epochs: Annotated[
        float,
        typer.Option(
            help="Passes over the train split's dates for each network of the onset hazards.",
            rich_help_panel=ONSET,
        ),
    ] = 0.5,
    onset_queries: Annotated[
        int,
        typer.Option(help="Dates per subject, in the mean, to fit onset hazards on.", rich_help_panel=ONSET),
    ] = 24,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Start anew over a finished or interrupted output.",
            show_default="off",
            rich_help_panel=RUNNING,
        ),
    ] = False,
) -> None:
    """Train a model on a tokens folder, with or without the genome and other modalities.

    An interrupted training is continued by the same command.

    Example: proband train tokens/ model_ehr/ --minutes 5

    Example: proband train tokens/ model/ --genome genome/ --fusion prefix --preset small --epochs 10

    Example: proband train tokens/ model/ --task task.yaml --genome genome/

    Example: proband train tokens/ model_pcs/ --modality pcs=genome/pcs.parquet

    Example: torchrun --nproc-per-node 8 -m proband train tokens/ model/ --preset base --compile
    """
    from proband.core.config import validated
    from proband.train import train
    from proband.train.config import OnsetOptions, TrainConfig

    config = validated(
        TrainConfig,
        fusion=fusion or ("prefix" if genome or modality else "none"),
        genome_encoder=genome_encoder,
        hidden=hidden,
        drop_modality=drop_modality,
        drop_values=drop_values,
        encoders=encoder_options(encoder),
        preset=preset,
        depth=depth,
        dim=dim,
        num_heads=num_heads,
        context=context,
        minutes=minutes,
        epochs=epochs,
        patience=patience,
        evaluate_steps=evaluate_steps,
        batch_tokens=batch_tokens,
        learning_rate=learning_rate,
        warm_up=warm_up,
        weight_decay=weight_decay,
        dropout=dropout,
        clip_norm=clip_norm,
        seed=seed,
        token_budget=token_budget,
        device=device,
        precision=precision,
        compile=compile_blocks,
        parallel=parallel,
        save_seconds=save_seconds,
        onset=OnsetOptions(enabled=not no_onset, epochs=onset_epochs, queries=onset_queries),
    )
    modalities = modality_paths(modality)
    train(
        tokens,
        out,
        genome=genome,
        modalities=modalities,
        tasks=task or [],
        config=config,
        overwrite=overwrite,
    )
