"""A MEDS dataset in an object store, or wherever fsspec reads: its files, fetched one after another.

Credentials are those of the store's own package (gcsfs, s3fs, ...), from its environment and files.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

from proband.core.errors import ConfigError, DataError, first_line
from proband.core.running.progress import track
from proband.ehr.meds.dataset import CODES, DATA, PATIENT_SPLITS, SUBJECT_SPLITS

_ADDRESS = re.compile(r"^([a-z][a-z0-9+.-]*)://")


def is_remote(source: object) -> bool:
    """Whether a source is an address of fsspec, and no path.

    >>> is_remote("gs://bucket/meds"), is_remote("my/meds")
    (True, False)
    """
    return isinstance(source, str) and bool(_ADDRESS.match(source))


def fetch(address: str, folder: Path) -> Path:
    """Copy a MEDS dataset's shards and metadata into a folder.

    Args:
        address: Such as ``gs://bucket/meds``, ``s3://bucket/meds`` or ``file:///data/meds``.
        folder: Made here.

    Returns:
        The folder.

    Raises:
        ConfigError: The store's package is not installed, the store is unknown or refuses the login, or the
            address holds a login.
        DataError: There are no shards, or a file cannot be read.
    """
    store, root = _open(address)
    try:
        found = sorted(str(path) for path in store.find(f"{root}/{DATA}") if str(path).endswith(".parquet"))
        metadata = [f"{root}/{name}" for name in (CODES, SUBJECT_SPLITS, PATIENT_SPLITS)]
        found += [path for path in metadata if store.exists(path)]
        names = {path: PurePosixPath(path).relative_to(root) for path in found}
        if not any(name.parts[0] == DATA for name in names.values()):
            expected = "data/**/*.parquet below it; tables of OMOP are read from folders and databases"
            raise DataError("no MEDS shards", where=address, expected=expected)
        for path, name in track(names.items(), "Fetching", len(names)):
            if ".." in name.parts:
                expected = "names without .."
                raise DataError("a name that leads elsewhere", where=address, found=name, expected=expected)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            store.get_file(path, str(folder / name))
    except (OSError, ValueError) as error:
        remedy = "check the address, the login and the right to read it"
        raise DataError(
            "the store could not be read", where=address, found=first_line(error), remedy=remedy
        ) from None
    return folder


def _open(address: str) -> tuple[Any, str]:
    """The store, and the dataset's place in it."""
    import fsspec

    if "?" in address or "@" in address.partition("://")[2].partition("/")[0]:
        remedy = "give it in the environment or the files of the store's package"
        raise ConfigError("a login in an address", where=address.partition("://")[0], remedy=remedy)
    try:
        store, root = fsspec.core.url_to_fs(address)
    except ImportError as error:
        remedy = "pip install the package that it names"
        raise ConfigError(
            "the store's package is not installed", where=address, found=first_line(error), remedy=remedy
        ) from None
    except Exception as error:  # each store's package has errors of its own
        found, expected = first_line(error), "such as gs://bucket/meds, s3://bucket/meds or file:///data/meds"
        raise ConfigError("unusable address", where=address, found=found, expected=expected) from None
    return store, str(root).rstrip("/")
