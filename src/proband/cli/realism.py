"""``proband realism``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Out, Overwrite, Workers
from proband.realism.config import RealismConfig


def command(
    trajectories: Annotated[Path, typer.Argument(help="Folder of proband forecast --trajectories.")],
    tokens: Annotated[Path, typer.Argument(help="Tokens folder that the forecast read.")],
    out: Out,
    config: RealismConfig,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Simulated futures against what really followed, and against copies of the subjects trained on.

    Example: proband realism trajectories/ tokens/ realism/
    """
    from proband.realism import realism

    realism(trajectories, tokens, out, config=config, workers=workers, overwrite=overwrite)
