"""What earlier stages' manifests tell of the inputs, kept for the report."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from proband.core.files.manifest import manifest_if_any
from proband.genome.cohorts import sample_overlap

BASELINES = "baselines"
"""Key of what the baselines read."""


def overlaps(risks: Iterable[Path], genome: Path | None) -> dict[str, dict[str, Any]]:
    """Source cohorts of the scores that models read.

    Args:
        risks: Forecast folders, or files of them.
        genome: Genome folder of the baselines.

    Returns:
        Model, ``baselines`` for those that read scores -> as of
        :func:`proband.genome.cohorts.sample_overlap`; without those of which nothing is known.
    """
    found: dict[str, dict[str, Any]] = {}
    for risk in risks:
        manifest = manifest_if_any(risk if risk.is_dir() else risk.parent)
        name = manifest.get("config", {}).get("name")
        overlap = manifest.get("notes", {}).get("sample_overlap")
        found |= {name: overlap} if name and overlap else {}
    of_baselines = sample_overlap(genome) if genome is not None else {}
    return found | ({BASELINES: of_baselines} if of_baselines else {})


def sources(**folders: str | None) -> dict[str, dict[str, Any]]:
    """Settings and counts of the stages that wrote the inputs.

    Args:
        folders: Stage -> its output folder; None, one without manifest and one of another stage are left out.

    Returns:
        Stage -> ``config`` and ``counts`` of its manifest.
    """
    found = {}
    for stage, folder in folders.items():
        manifest = {} if folder is None else manifest_if_any(Path(folder))
        if manifest.get("stage") == stage:
            found[stage] = {name: manifest.get(name, {}) for name in ("config", "counts")}
    return found
