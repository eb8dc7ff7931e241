"""``proband likelihood``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    model: Annotated[Path, typer.Argument(help="Model folder.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder with the model's vocabulary.")],
    genome: Annotated[
        Path | None, typer.Option(help="Genome folder; without it nobody is genotyped.")
    ] = None,
    split: Annotated[str, typer.Option(help="train, tuning or held_out.")] = "held_out",
) -> None:
    """Joint negative log-likelihood per event in nats: total, when, what, censoring; last line JSON.

    Example: proband likelihood model/ tokens/ --genome genome/
    """
    from proband.train import likelihood
    from proband.train.likelihood import format_likelihood

    print(format_likelihood(likelihood(model, tokens, genome=genome, split=split)))
