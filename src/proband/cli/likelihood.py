"""``proband likelihood``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Genome, Modality, modality_paths


def command(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder with the model's vocabulary.")],
    genome: Genome = None,
    modality: Modality = None,
    split: Annotated[str, typer.Option(help="train, tuning or held_out.")] = "held_out",
) -> None:
    """Joint negative log-likelihood per event in nats: total, when, what, censoring; last line JSON.

    Example: proband likelihood model/ tokens/ --genome genome/
    """
    from proband.train import likelihood
    from proband.train.log_likelihood import format_likelihood

    found = likelihood(model, tokens, genome=genome, modalities=modality_paths(modality), split=split)
    print(format_likelihood(found))
