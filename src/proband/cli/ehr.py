"""``proband ehr``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Out, Overwrite, Workers
from proband.ehr.config import EhrConfig


def command(
    source: Annotated[
        str,
        typer.Argument(
            help="Folder or .zip of OMOP tables (Parquet or CSV), .duckdb file, MEDS folder (gs://, s3://), "
            "or database: postgres://host/database, spark:MASTER, bigquery://project/dataset."
        ),
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

    Example: proband ehr "postgres://db.hospital.org/cdm?schema=omop" meds/
    """
    from proband.ehr import ehr

    ehr(source, out, config=config, kinship=kinship, workers=workers, overwrite=overwrite)
