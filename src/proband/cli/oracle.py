"""``proband oracle``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Out, Overwrite
from proband.synth.config import OracleConfig


def command(
    biobank: Annotated[Path, typer.Argument(help="Folder of proband synth.")],
    times: Annotated[
        Path, typer.Argument(help="Parquet with subject_id and prediction_time, such as risks or labels.")
    ],
    out: Out,
    config: OracleConfig,
    overwrite: Overwrite = False,
) -> None:
    """True risks of a synthetic biobank's subjects at any prediction times: the ceiling for any model.

    OUT may be given to proband evaluate, beside the folders of forecasts.

    Example: proband oracle biobank/ risk/risk.parquet truth_risk/

    Example: proband oracle biobank/ times.parquet truth_risk/ --horizons 0.5,2 --replicates 400
    """
    from proband.synth.oracle import oracle_stage

    oracle_stage(biobank, times, out, config=config, overwrite=overwrite)
