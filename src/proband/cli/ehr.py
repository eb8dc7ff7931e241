"""``proband ehr``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Out, Overwrite, Workers
from proband.ehr.config import EhrConfig


def command(
    source: Annotated[
        Path,
        typer.Argument(help="Folder or .zip of OMOP tables (Parquet or CSV), .duckdb file, or MEDS folder."),
    ],
    out: Out,
    config: EhrConfig,
    kinship: Annotated[
        Path | None,
        typer.Option(help="Table of related pairs (ours, KING's or plink2's); relatives share a split."),
    ] = None,
    workers: Workers = None,
    overwrite: Overwrite = False,
) -> None:
    """Convert records to MEDS events, check them and split the subjects.

    Example: proband ehr biobank/omop meds/

    Example: proband ehr omop/ meds/ --kinship king.kin0
    """
    from proband.ehr import ehr

    ehr(source, out, config=config, kinship=kinship, workers=workers, overwrite=overwrite)
