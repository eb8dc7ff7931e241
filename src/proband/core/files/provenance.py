"""Whole-or-nothing output folders, each with a manifest of how it came to be.

A stage writes into a temporary folder beside its output; when the block ends well every file is flushed to
disk, ``manifest.json`` is added and the folder is renamed into place. When it fails, nothing is left.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from proband.core.errors import ConfigError, DataError, ProbandError
from proband.core.files.atomic import PRIVATE_FOLDER, make_private, publish, temporary_folder
from proband.core.files.digests import check_digests, digests_of, files_below
from proband.core.files.jsonfiles import read_object, write_json
from proband.core.files.lock import only_writer
from proband.core.files.manifest import (
    MANIFEST,
    check_input,
    check_kinds,
    digest_of,
    hash_input,
    read_manifest,
)
from proband.core.running.progress import say

STAYS_IN = "no: it holds rows of people, or counts of 1 to 20; keep it where the data are"
_VERSIONS_OF = (
    "proband", "numpy", "polars", "torch", "scikit-learn", "lightgbm", "meds", "pgenlib", "msprime",
)  # fmt: skip
_FULL_BLOCKS = 4
"""Free blocks of a disk below which it counts as full."""


@dataclass
class StageRun:
    """One stage at work: the folder to write in, and what to note in the manifest.

    Attributes:
        folder: Temporary folder; write every output file here.
        counts: Counts in and out, named ``num_x``, shown in the manifest.
        notes: Anything else worth recording (JSON values).
        passed_over: Names in the folder that are no part of the output: removed once it stands in its place.
    """

    folder: Path
    counts: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    passed_over: set[str] = field(default_factory=set)


def config_dict(config: BaseModel | Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as plain JSON values."""
    plain = config.model_dump(mode="json") if isinstance(config, BaseModel) else dict(config)
    return json.loads(json.dumps(plain, default=str))


def real_folder(out: Path) -> Path:
    """Where an output is to lie: a symbolic link is written through, not replaced."""
    return out.resolve() if out.is_symlink() else out


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
        inputs: Files and folders that would be read; their contents must be those in the manifest, and what
            an earlier stage wrote must be as it was written.

    Raises:
        ConfigError: ``out`` holds something else; or the same stage with other settings or other inputs,
            and ``overwrite`` is not given.
        DataError: A file of the output, or of an input, is not as it was written.
    """
    inputs = list(inputs)
    refuse_foreign(out, stage)
    for path in inputs:
        check_input(path)
    if overwrite or not out.exists() or not any(out.iterdir()):
        return False
    remedy = "choose another output folder or pass --overwrite"
    manifest = read_manifest(out)
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
    if "files" in manifest:
        check_digests(out, manifest["files"], "pass --overwrite to make it anew")
    say(f"{stage}: {out} is already finished; nothing to do (--overwrite makes it anew)")
    return True


def refuse_overlap(out: Path, inputs: Iterable[Path]) -> None:
    """Refuse an output that replacing would destroy an input with, or that would change one by lying in it.

    Raises:
        ConfigError: ``out`` is, or holds, or lies in one of the inputs.
    """
    remedy, place = "choose another output folder", out.resolve()
    for path in inputs:
        given = Path(path).resolve()
        if given.is_relative_to(place):
            raise ConfigError(
                "the output folder would replace an input", where=out, found=path, remedy=remedy
            )
        if place.is_relative_to(given):
            remedy += ", beside it"
            raise ConfigError("the output folder would lie in an input", where=out, found=path, remedy=remedy)


def refuse_foreign(out: Path, stage: str) -> None:
    """Refuse a folder that holds anything but this stage's output: it would be lost.

    Raises:
        ConfigError: ``out`` is a file, or a folder with another stage's output, with none, or with files
            that the stage did not write.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    remedy = "choose another output folder"
    what, expected = "the output folder is in use", "an empty or new folder"
    if not (out / MANIFEST).is_file():
        found = "files that are not of a proband stage" if out.is_dir() else "a file"
        raise ConfigError(what, where=out, found=found, expected=expected, remedy=remedy)
    manifest = read_object(out / MANIFEST)
    if manifest.get("stage") != stage:
        found = f"the output of stage {manifest.get('stage')}"
        raise ConfigError(what, where=out, found=found, expected=expected, remedy=remedy)
    check_kinds(manifest, out / MANIFEST)
    listed = manifest.get("files")
    if isinstance(listed, dict):
        here = files_below(out, [MANIFEST, *manifest.get("passed_over", ())])
        foreign = [name for name in here if name not in listed]
        if foreign:
            found = f"{len(foreign)} files that are not of stage {stage}, first {foreign[0]}"
            remedy = "move them elsewhere, or choose another output folder"
            raise ConfigError(what, where=out, found=found, remedy=remedy)


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    pairs = {key: (old.get(key), new.get(key)) for key in sorted(set(old) | set(new))}
    return [
        f"{key} {was!r}, now {is_now!r}" for key, (was, is_now) in pairs.items() if not _same(was, is_now)
    ]


def _same(old: Any, new: Any) -> bool:
    """Whether two values of a setting are one; paths are where they lead to one file, however spelled."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    if old != new and isinstance(old, str) and isinstance(new, str):
        with contextlib.suppress(OSError):  # no files
            return Path(old).samefile(new)
    return bool(old == new)


@contextlib.contextmanager
def stage_output(
    out: Path,
    *,
    stage: str,
    config: BaseModel | Mapping[str, Any],
    inputs: Collection[Path] = (),
    seed: int | None = None,
    work: Path | None = None,
    may_leave: str = STAYS_IN,
    overwrite: bool = True,
) -> Iterator[StageRun]:
    """Write a stage's output whole or not at all, readable by its owner alone.

    Args:
        out: Final folder; what this stage wrote there before is replaced (ask :func:`is_finished` first).
        stage: The stage's name, as on the command line.
        config: Resolved configuration, for the manifest.
        inputs: Files and folders read, hashed into the manifest; may grow until the end.
        seed: The run's seed, if it has one.
        work: A folder to write in that outlives failure (for resumable stages); default a fresh
            temporary folder beside ``out``, removed on failure.
        may_leave: The manifest's line on whether the folder may leave the place where the data are.
        overwrite: Whether an output may be replaced; else one that another process has finished since
            :func:`is_finished` was asked stays.

    Yields:
        The :class:`StageRun` to write into.

    Raises:
        ConfigError: ``out`` is, or holds, one of the inputs, which replacing it would destroy, or lies in
            one, which would change it; or it holds something else than the output of this stage; or another
            process is writing it, or has just done so.
        DataError: An input was changed while it was read.
    """
    started = time.time()
    out = real_folder(out)
    refuse_overlap(out, inputs)
    with only_writer(out):
        refuse_foreign(out, stage)
        if not overwrite and out.exists() and any(out.iterdir()):
            remedy = "look at it, then choose another output folder or pass --overwrite"
            raise ConfigError("another process has finished this output meanwhile", where=out, remedy=remedy)
        folder = work or temporary_folder(out)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        run = StageRun(folder)
        try:
            begun = {path: hash_input(path) for path in inputs}
            yield run
            _refuse_changed(begun)
            make_private(folder)
            manifest = _manifest(stage, config, inputs, seed, run, started, may_leave)
            write_json(folder / MANIFEST, manifest | {"digest": digest_of(manifest)})
            refuse_foreign(out, stage)
            publish(folder, out)
        except BaseException as error:
            is_full = not isinstance(error, ProbandError | OSError) and _has_no_room(folder)
            if work is None:
                shutil.rmtree(folder, ignore_errors=True)
            if is_full and isinstance(error, Exception):  # a library may tell of it in words of its own
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(out)) from error
            raise


def _has_no_room(folder: Path) -> bool:
    with contextlib.suppress(OSError, AttributeError):  # no such call on Windows
        return os.statvfs(folder).f_bavail < _FULL_BLOCKS
    return False


def _refuse_changed(begun: Mapping[Path, str]) -> None:
    """Refuse an output of inputs that are no longer what they were; files not touched are not read again."""
    for path, digest in begun.items():
        if hash_input(path) != digest:
            remedy = "run the same command again, and leave its inputs alone until it has ended"
            raise DataError("an input was changed while it was read", where=path, remedy=remedy)


def _manifest(
    stage: str,
    config: BaseModel | Mapping[str, Any],
    inputs: Collection[Path],
    seed: int | None,
    run: StageRun,
    started: float,
    may_leave: str,
) -> dict[str, Any]:
    manifest = {
        "stage": stage,
        "may_leave": may_leave,
        "command": [without_path(word) for word in sys.argv],
        "config": config_dict(config),
        "seed": seed,
        "versions": {"python": platform.python_version()} | _versions(),
        "inputs": {name: hash_input(Path(path)) for name, path in zip(_names(inputs), inputs, strict=True)},
        "counts": run.counts,
        "notes": run.notes,
        "files": digests_of(run.folder, files_below(run.folder, [MANIFEST, *run.passed_over])),
        "passed_over": sorted(run.passed_over),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 2),
    }
    return json.loads(json.dumps(manifest, default=str))


def _names(paths: Iterable[Path]) -> list[str]:
    """The last part of each path, with as many before it as tell them apart."""
    names: list[str] = []
    for path in paths:
        parts = Path(os.path.abspath(path)).parts
        name = next(
            (name for n in range(1, len(parts)) if (name := "/".join(parts[-n:])) not in names), str(path)
        )
        names.append(name)
    return names


def without_path(word: object) -> str:
    """The last part of a path; other words as they are.

    >>> without_path("/home/me/risk/"), without_path("--seed"), without_path("--out=/x/y")
    ('risk', '--seed', '--out=y')
    """
    text = str(word).replace("\\", "/")
    option, equals, value = text.partition("=")
    if equals and "/" not in option:
        return f"{option}={without_path(value)}"
    return text.rstrip("/").rsplit("/", 1)[-1] if "/" in text else text


def _versions() -> dict[str, str]:
    found = {}
    for name in _VERSIONS_OF:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found
