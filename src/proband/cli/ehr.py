"""``proband ehr``."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer


def command(
    source: Annotated[
        Path,
        typer.Argument(help="Folder or .zip of OMOP tables (Parquet or CSV), .duckdb file, or MEDS folder."),
    ],
    out: Annotated[Path, typer.Argument(help="Output folder.")],
    splits: Annotated[
        tuple[float, float, float],
        typer.Option(help="Shares of train, tuning and held_out; a MEDS dataset's own splits are kept."),
    ] = (0.8, 0.1, 0.1),
    seed: Annotated[int, typer.Option(help="Seed of the split.")] = 0,
    assume_birth: Annotated[
        bool, typer.Option("--assume-birth", help="Without a birth, take the first dated event for it.")
    ] = False,
    drop_before_birth: Annotated[
        bool, typer.Option("--drop-before-birth", help="Leave out events before the day of birth.")
    ] = False,
    sort: Annotated[bool, typer.Option("--sort", help="Sort unsorted MEDS shards (in memory).")] = False,
    kinship: Annotated[
        Path | None,
        typer.Option(help="Table of related pairs (ours, KING's or plink2's); relatives share a split."),
    ] = None,
    kinship_threshold: Annotated[
        float, typer.Option(help="Kinship from which two subjects are relatives; 0.0442 is third degree.")
    ] = 0.0442,
    follow_up_end: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"],
            help="Last day of follow-up; default cuts ends a year and more after the last record.",
        ),
    ] = None,
    latest_year: Annotated[int, typer.Option(help="What is dated in a later year is left out.")] = 2200,
    more_tables: Annotated[
        list[str] | None,
        typer.Option(help="OMOP table to read beside the others: visit_detail, drug_era or condition_era."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; default one per core.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Make the output anew.")] = False,
) -> None:
    """Convert records to MEDS events, check them and split the subjects.

    Example: proband ehr biobank/omop meds/

    Example: proband ehr omop/ meds/ --kinship king.kin0
    """
    from proband.ehr import ehr

    ehr(
        source,
        out,
        splits=splits,
        seed=seed,
        assume_birth=assume_birth,
        drop_before_birth=drop_before_birth,
        sort=sort,
        kinship=kinship,
        kinship_threshold=kinship_threshold,
        follow_up_end=follow_up_end.date() if follow_up_end else None,
        latest_year=latest_year,
        more_tables=more_tables or (),
        workers=workers,
        overwrite=overwrite,
    )
