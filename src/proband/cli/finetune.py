"""``proband finetune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Genome, Modality, Overwrite, modality_paths
from proband.train.finetune.config import LABELS, FinetuneConfig


def command(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder with the model's vocabulary.")],
    out: Annotated[Path, typer.Argument(help="Output folder of the adapted model.")],
    task: Annotated[
        list[Path],
        typer.Option(help="Task file, repeatable: its outcomes are learnt.", rich_help_panel=LABELS),
    ],
    config: FinetuneConfig,
    genome: Genome = None,
    modality: Modality = None,
    overwrite: Overwrite = False,
) -> None:
    """Adapt a trained model to new outcomes; the result is a model folder like any other.

    Tasks that the model has stay; --mode row, the default, takes minutes and changes nothing else.

    Example: proband finetune model/ tokens/ model_stroke/ --task stroke.yaml --genome genome/

    Example: proband finetune model/ tokens/ few/ --task stroke.yaml --label-fraction 0.1 --mode lora
    """
    from proband.train.finetune import finetune

    finetune(
        model,
        tokens,
        out,
        tasks=task,
        genome=genome,
        modalities=modality_paths(modality),
        config=config,
        overwrite=overwrite,
    )
