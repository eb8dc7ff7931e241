"""``proband aces``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proband.cli.options import Out, Overwrite
from proband.core.options import INPUTS


def command(
    aces: Annotated[Path, typer.Argument(help="ACES configuration (YAML).")],
    meds: Annotated[Path, typer.Argument(help="MEDS folder.")],
    out: Out,
    predicates: Annotated[
        Path | None,
        typer.Option(
            help="File with predicates of the dataset, in the place of the configuration's.",
            rich_help_panel=INPUTS,
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """An ACES configuration as a task file, with its label file.

    OUT/task.yaml asks forecast and evaluate for the same label at the same prediction times;
    OUT/labels.parquet has the configuration's rows and labels in the MEDS label schema.

    Example: proband aces mortality.yaml meds/ mortality/ --predicates predicates.yaml
    """
    from proband.ehr.aces.stage import aces as stage

    stage(aces, meds, out, predicates=predicates, overwrite=overwrite)
