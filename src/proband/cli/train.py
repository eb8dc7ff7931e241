"""``proband train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import MODALITY_HELP, encoder_options, modality_paths


def command(
    tokens: Annotated[Path, typer.Argument(help="Tokens folder.")],
    out: Annotated[Path, typer.Argument(help="Output folder of the model.")],
    genome: Annotated[Path | None, typer.Option(help="Genome folder of polygenic scores.")] = None,
    modality: Annotated[list[str] | None, typer.Option(help=MODALITY_HELP)] = None,
    fusion: Annotated[
        str | None,
        typer.Option(
            help="none, prefix, adapter or cross_attention; default prefix with --genome or --modality, "
            "else none."
        ),
    ] = None,
    genome_encoder: Annotated[
        str, typer.Option(help="mlp (one hidden layer) or set (scores as a set, pooled by attention).")
    ] = "mlp",
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=mlp or NAME=set, repeatable, with settings such as panel=set,hidden=32,"
            "drop_modality=0.3,drop_values=0; default mlp, hidden 16 to 64 by width, 0.15 and 0.1."
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Size: tiny (0.5 M), small (3 M), base (85 M), large (350 M weights).")
    ] = "tiny",
    depth: Annotated[
        int | None, typer.Option(help="Blocks, which decide the width too; default the preset's.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Wall-clock minutes to train.")] = None,
    epochs: Annotated[float, typer.Option(help="Passes over the train split, unless --minutes.")] = 20,
    learning_rate: Annotated[
        float, typer.Option(help="Peak rate at a width of 96; scaled with width by itself.")
    ] = 4e-3,
    weight_decay: Annotated[float, typer.Option(help="AdamW's weight decay.")] = 0.1,
    dropout: Annotated[float, typer.Option(help="Dropout in the trunk, 0 to 1.")] = 0.1,
    context: Annotated[int, typer.Option(help="Tokens of history per window.")] = 512,
    batch_tokens: Annotated[
        int, typer.Option(help="Padded tokens of an optimiser step, over all processes.")
    ] = 2048,
    token_budget: Annotated[
        int | None,
        typer.Option(help="Padded tokens computed at once; lower it to save memory. Default: a whole step."),
    ] = None,
    patience: Annotated[int, typer.Option(help="Evaluations without gain before stopping early.")] = 6,
    seed: Annotated[int, typer.Option(help="Seed of weights, order and dropout.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Start anew over an existing output.")] = False,
) -> None:
    """Train a model on a tokens folder, with or without the genome and other modalities.

    An interrupted training is continued by the same command.

    Example: proband train tokens/ model_ehr/ --minutes 5

    Example: proband train tokens/ model/ --genome genome/ --fusion prefix --preset small --epochs 10

    Example: proband train tokens/ model_pcs/ --modality pcs=genome/pcs.parquet
    """
    from proband.core.config import validated
    from proband.train import train
    from proband.train.config import TrainConfig

    config = validated(
        TrainConfig,
        fusion=fusion or ("prefix" if genome or modality else "none"),
        genome_encoder=genome_encoder,
        encoders=encoder_options(encoder),
        preset=preset,
        depth=depth,
        minutes=minutes,
        epochs=epochs,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        dropout=dropout,
        context=context,
        batch_tokens=batch_tokens,
        token_budget=token_budget,
        patience=patience,
        seed=seed,
    )
    train(
        tokens,
        out,
        genome=genome,
        modalities=modality_paths(modality),
        config=config,
        overwrite=overwrite,
    )
