"""What earlier stages' manifests tell of the inputs, kept for the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proband.core.files.manifest import MANIFEST, read_manifest


def sources(**folders: str | None) -> dict[str, dict[str, Any]]:
    """Settings and counts of the stages that wrote the inputs.

    Args:
        folders: Stage -> its output folder; None, one without manifest and one of another stage are left out.

    Returns:
        Stage -> ``config`` and ``counts`` of its manifest.
    """
    found = {}
    for stage, folder in folders.items():
        if folder is None or not (Path(folder) / MANIFEST).is_file():
            continue
        manifest = read_manifest(Path(folder))
        if manifest["stage"] == stage:
            found[stage] = {name: manifest.get(name, {}) for name in ("config", "counts")}
    return found
