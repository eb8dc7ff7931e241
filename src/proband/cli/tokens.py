"""``proband tokens``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    meds: Annotated[Path, typer.Argument(help="MEDS folder, as `proband ehr` writes it.")],
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    vocabulary: Annotated[
        Path | None, typer.Option(help="Model or tokens folder whose frozen vocabulary to use.")
    ] = None,
    num_bins: Annotated[int, typer.Option(help="Quantile bins per numeric code.")] = 10,
    min_subjects: Annotated[
        int, typer.Option(help="Train subjects that a code, a value bin and a static code need.")
    ] = 21,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default one per core.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Make the output anew.")] = False,
) -> None:
    """Turn MEDS events into token arrays with a vocabulary fitted on the train split.

    Example: proband tokens meds/ tokens/

    Example: proband tokens other_meds/ other_tokens/ --vocabulary model/
    """
    from proband.core.config import validated
    from proband.tokens import tokens
    from proband.tokens.stage import TokensConfig

    config = validated(TokensConfig, num_bins=num_bins, min_subjects=min_subjects)
    tokens(meds, out, vocabulary=vocabulary, config=config, workers=workers, overwrite=overwrite)
