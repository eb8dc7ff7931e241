"""Whole-or-nothing output folders, each with a manifest of how it came to be.

A stage writes into a temporary folder beside its output; when the block ends well every file is flushed to
disk, ``manifest.json`` is added and the folder is renamed into place. When it fails, nothing is left.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from proband.core.errors import ConfigError, DataError
from proband.core.progress import say

MANIFEST = "manifest.json"
_VERSIONS_OF = ("proband", "numpy", "polars", "torch", "meds", "pgenlib", "msprime")
_WHOLE_FILE_BYTES = 16 * 2**20


@dataclass
class StageRun:
    """One stage at work: the folder to write in, and what to note in the manifest.

    Attributes:
        folder: Temporary folder; write every output file here.
        counts: Counts in and out, named ``num_x``, shown in the manifest.
        notes: Anything else worth recording (JSON values).
    """

    folder: Path
    counts: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)


def config_dict(config: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as plain JSON values."""
    plain = config.model_dump(mode="json") if isinstance(config, BaseModel) else dict(config)
    return json.loads(json.dumps(plain, default=str))


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, default=str)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: The file is missing, truncated or no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("missing file", where=path, remedy="name the output folder of its stage") from None
    except (ValueError, OSError) as error:
        raise DataError("unreadable JSON", where=path, found=error, remedy="run its stage again") from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a finished stage's folder.

    Raises:
        DataError: There is none, so the folder is no finished output.
    """
    if not (folder / MANIFEST).is_file():
        raise DataError(
            "no finished output of a proband stage",
            where=folder,
            expected=f"a folder with {MANIFEST}",
            remedy="run the stage that writes it first",
        )
    return read_json(folder / MANIFEST)


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content; beyond 16 MiB, of its size and its first and last 8 MiB."""
    digest = hashlib.sha256()
    size = path.stat().st_size
    with open(path, "rb") as file:
        if size <= _WHOLE_FILE_BYTES:
            digest.update(file.read())
        else:
            half = _WHOLE_FILE_BYTES // 2
            digest.update(str(size).encode() + file.read(half))
            file.seek(size - half)
            digest.update(file.read(half))
    return digest.hexdigest()


def hash_input(path: Path) -> str:
    """A stable fingerprint of a file or of all files below a folder (names and contents, manifests aside)."""
    if path.is_file():
        return hash_file(path)
    digest = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file() and item.name != MANIFEST):
        digest.update(str(file.relative_to(path)).encode() + hash_file(file).encode())
    return digest.hexdigest()


def is_finished(
    out: Path,
    stage: str,
    config: BaseModel | Mapping[str, Any],
    overwrite: bool,
    inputs: Iterable[Path] = (),
) -> bool:
    """Whether ``out`` already holds this stage's output, so that there is nothing to do.

    Args:
        out: The output folder.
        stage: The stage's name.
        config: Resolved configuration; must equal the one in the manifest.
        overwrite: Never finished, whatever is there.
        inputs: Files and folders that would be read; their contents must be those in the manifest.

    Raises:
        ConfigError: ``out`` holds something else, or the same stage with other settings or other inputs,
            and ``overwrite`` is not given.
    """
    if overwrite or not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    remedy = "choose another output folder or pass --overwrite"
    if not (out / MANIFEST).is_file():
        raise ConfigError(
            "the output folder is in use", where=out, expected="an empty or new folder", remedy=remedy
        )
    manifest = read_manifest(out)
    if manifest.get("stage") != stage:
        found = f"the output of stage {manifest.get('stage')}"
        raise ConfigError("the output folder is in use", where=out, found=found, remedy=remedy)
    differing = _differences(manifest.get("config", {}), config_dict(config))
    if differing:
        raise ConfigError(
            "this stage was finished with other settings",
            where=out,
            found="; ".join(differing),
            remedy=remedy,
        )
    read = set(manifest.get("inputs", {}).values())
    for path in inputs:
        if path.exists() and hash_input(path) not in read:
            raise ConfigError(
                "this stage was finished with other inputs", where=out, found=path, remedy=remedy
            )
    say(f"{stage}: {out} is already finished; nothing to do (--overwrite makes it anew)")
    return True


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    keys = sorted(set(old) | set(new))
    return [f"{key} {old.get(key)!r}, now {new.get(key)!r}" for key in keys if old.get(key) != new.get(key)]


@contextlib.contextmanager
def stage_output(
    out: Path,
    *,
    stage: str,
    config: BaseModel | Mapping[str, Any],
    inputs: Collection[Path] = (),
    seed: int | None = None,
    work: Path | None = None,
) -> Iterator[StageRun]:
    """Write a stage's output whole or not at all.

    Args:
        out: Final folder; replaced if it exists (ask :func:`is_finished` first).
        stage: The stage's name, as on the command line.
        config: Resolved configuration, for the manifest.
        inputs: Files and folders read, hashed into the manifest at the end; may grow until then.
        seed: The run's seed, if it has one.
        work: A folder to write in that outlives failure (for resumable stages); default a fresh
            temporary folder beside ``out``, removed on failure.

    Yields:
        The :class:`StageRun` to write into.

    Raises:
        ConfigError: ``out`` is, or holds, one of the inputs, which replacing it would destroy.
    """
    started = time.time()
    for path in inputs:
        if Path(path).resolve().is_relative_to(out.resolve()):
            remedy = "choose another output folder"
            raise ConfigError(
                "the output folder would replace an input", where=out, found=path, remedy=remedy
            )
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = work or Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777 & ~_umask())  # mkdtemp's own mode would lock the group out
    run = StageRun(folder)
    try:
        yield run
        write_json(folder / MANIFEST, _manifest(stage, config, inputs, seed, run, started))
        publish(folder, out)
    except BaseException:
        if work is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def publish(folder: Path, out: Path) -> None:
    """Flush every file below ``folder`` to disk and rename it to ``out``, replacing what was there."""
    for file in folder.rglob("*"):
        if file.is_file():
            with open(file, "rb") as handle:
                os.fsync(handle.fileno())
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
        os.replace(out, old / out.name)
        try:
            os.replace(folder, out)
        except BaseException:
            os.replace(old / out.name, out)
            raise
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(folder, out)


def _manifest(
    stage: str,
    config: BaseModel | Mapping[str, Any],
    inputs: Collection[Path],
    seed: int | None,
    run: StageRun,
    started: float,
) -> dict[str, Any]:
    return {
        "stage": stage,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "config": config_dict(config),
        "seed": seed,
        "versions": {"python": platform.python_version()} | _versions(),
        "inputs": {str(path): hash_input(Path(path)) for path in inputs},
        "counts": run.counts,
        "notes": run.notes,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 2),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _VERSIONS_OF:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
