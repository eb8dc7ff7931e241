"""``proband oracle``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    biobank: Annotated[Path, typer.Argument(help="Folder of proband synth.")],
    times: Annotated[
        Path, typer.Argument(help="Parquet with subject_id and prediction_time, such as risks or labels.")
    ],
    out: Annotated[Path, typer.Argument(help="Output folder, to be given to proband evaluate.")],
    horizons: Annotated[str, typer.Option(help="Horizons in years, ascending, by commas.")] = "1,5,10",
    replicates: Annotated[int, typer.Option(help="Simulated futures behind each risk.", min=2)] = 100,
    latent: Annotated[
        bool, typer.Option("--latent", help="Risk of onset itself, not of its first record.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the futures.", min=0)] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make the output anew.")] = False,
) -> None:
    """True risks of a synthetic biobank's subjects at any prediction times: the ceiling for any model.

    Example: proband oracle biobank/ risk/risk.parquet truth_risk/

    Example: proband oracle biobank/ times.parquet truth_risk/ --horizons 0.5,2 --replicates 400
    """
    from proband.synth.oracle import oracle_stage

    oracle_stage(
        biobank,
        times,
        out,
        horizons=horizons,
        replicates=replicates,
        latent=latent,
        seed=seed,
        overwrite=overwrite,
    )
