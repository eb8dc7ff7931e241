"""``proband tokens``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Out, Overwrite, Spark, Workers
from proband.tokens.config import TokensConfig


def command(
    meds: Annotated[Path, typer.Argument(help="MEDS folder, as `proband ehr` writes it.")],
    out: Out,
    config: TokensConfig,
    vocabulary: Annotated[
        Path | None, typer.Option(help="Model or tokens folder whose frozen vocabulary to use.")
    ] = None,
    workers: Workers = None,
    spark: Spark = None,
    overwrite: Overwrite = False,
) -> None:
    """Turn MEDS events into token arrays with a vocabulary fitted on the train split.

    Example: proband tokens meds/ tokens/

    Example: proband tokens other_meds/ other_tokens/ --vocabulary model/

    Example: proband tokens /shared/meds /shared/tokens --spark yarn
    """
    from proband.tokens import tokens

    tokens(meds, out, vocabulary=vocabulary, config=config, workers=workers, spark=spark, overwrite=overwrite)
