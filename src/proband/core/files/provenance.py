"""Whole-or-nothing output folders, each with a manifest of how it came to be.

A stage writes into a temporary folder beside its output; when the block ends well every file is flushed to
disk, ``manifest.json`` is added and the folder is renamed into place. When it fails, nothing is left. The
manifest holds a digest of every file, checked by whoever opens the output (:func:`open_output`).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
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
from proband.core.files.atomic import PRIVATE_FOLDER, make_private, publish, temporary_folder, whole_file
from proband.core.files.digests import check_digests, digests_of, files_below, hash_file
from proband.core.files.lock import only_writer
from proband.core.running.progress import is_worker, say

MANIFEST = "manifest.json"
STAYS_IN = "no: it holds rows of people, or counts of 1 to 20; keep it where the data are"
_COMMANDS = {"trajectories": "forecast --trajectories"}
"""Commands of the stages that are not called as their command is."""
_VERSIONS_OF = ("proband", "numpy", "polars", "torch", "meds", "pgenlib", "msprime")
_MOST_JSON_BYTES = 2**30
_OBJECTS = ("config", "versions", "inputs", "counts", "notes", "files")
_LISTS = ("command", "passed_over")
"""Keys of a manifest that hold objects, and lists of text."""
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


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON, whole or not at all."""
    with whole_file(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=2, default=str)
        file.write("\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DataError: The file is missing, truncated, too large, nested too deeply or no JSON.
    """
    try:
        if path.stat().st_size > _MOST_JSON_BYTES:
            expected = f"at most {_MOST_JSON_BYTES:,} bytes"
            raise DataError("JSON too large", where=path, found=path.stat().st_size, expected=expected)
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError("missing file", where=path, remedy="name the output folder of its stage") from None
    except RecursionError:
        found, remedy = "lists or objects nested too deeply", "run its stage again"
        raise DataError("unreadable JSON", where=path, found=found, remedy=remedy) from None
    except (ValueError, OSError) as error:
        raise DataError("unreadable JSON", where=path, found=error, remedy="run its stage again") from None


def read_object(path: Path, needed: Iterable[str] = ()) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Args:
        path: The file.
        needed: Keys that it must have.

    Raises:
        DataError: As of :func:`read_json`, or it holds something else, or lacks a key.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        found, remedy = type(content).__name__, "run its stage again"
        raise DataError("no JSON object", where=path, found=found, expected="an object", remedy=remedy)
    for key in needed:
        if key not in content:
            raise DataError(f"no {key}", where=path, expected=f"a key {key}", remedy="run its stage again")
    return content


def read_objects(path: Path) -> dict[str, dict[str, Any]]:
    """Read a JSON file of objects by name.

    Raises:
        DataError: As of :func:`read_object`, or what stands under a name is no object.
    """
    content = read_object(path)
    for name, entry in content.items():
        if not isinstance(entry, dict):
            found, remedy = f"{type(entry).__name__} under {name}", "run its stage again"
            raise DataError("no JSON object", where=path, found=found, expected="an object", remedy=remedy)
    return content


def read_manifest(folder: Path, stage: str | Collection[str] = ()) -> dict[str, Any]:
    """The manifest of a finished stage's folder.

    Args:
        folder: The folder.
        stage: Stage, or stages, of which it must be; default any.

    Raises:
        DataError: There is none, so the folder is no finished output; it was changed; or it is of another
            stage.
    """
    stages = (stage,) if isinstance(stage, str) else tuple(stage)
    if not (folder / MANIFEST).is_file():
        raise DataError(
            "no finished output of a proband stage",
            where=folder,
            expected=f"a folder with {MANIFEST}",
            remedy="run the stage that writes it first",
        )
    manifest = read_object(folder / MANIFEST, ["stage"])
    _check_kinds(manifest, folder / MANIFEST)
    found = manifest["stage"]
    if "digest" in manifest and manifest["digest"] != _digest(manifest):
        raise DataError("a file is not as it was written", where=folder / MANIFEST, remedy=_again(found))
    if stages and found not in stages:
        remedy = " or ".join(f"the output of `proband {_COMMANDS.get(name, name)}`" for name in stages)
        raise DataError(
            "the output of another stage",
            where=folder,
            found=f"the output of stage {found}",
            expected=f"stage {' or '.join(stages)}",
            remedy=f"give {remedy}",
        )
    return manifest


def _check_kinds(manifest: Mapping[str, Any], where: Path) -> None:
    """Refuse a manifest that holds another kind of value than stages write."""
    kinds: dict[str, tuple[type, str]] = {"stage": (str, "text")}
    kinds |= dict.fromkeys(_OBJECTS, (dict, "an object"))
    kinds |= dict.fromkeys(_LISTS, (list, "a list of text"))
    texts = {name: manifest[name] for name in _LISTS if isinstance(manifest.get(name), list)}
    if isinstance(manifest.get("inputs"), dict):
        texts["inputs"] = manifest["inputs"].values()
    uneven = {name for name, values in texts.items() if not all(isinstance(value, str) for value in values)}
    for name, (kind, expected) in kinds.items():
        if name in uneven or not isinstance(manifest.get(name, kind()), kind):
            found = type(manifest[name]).__name__
            remedy = "copy the folder again from where it was made, or run its stage again"
            raise DataError(
                f"unusable {name} of a manifest", where=where, found=found, expected=expected, remedy=remedy
            )


def check_stage(folder: Path, stage: str | Collection[str], names: Iterable[str] = ()) -> None:
    """Refuse another stage's output, and files of this one's that are not as they were written.

    A folder that no stage wrote passes.

    Args:
        folder: The folder.
        stage: Stage, or stages, of which it must be.
        names: As of :func:`open_output`.

    Raises:
        DataError: As of :func:`open_output`.
    """
    if (folder / MANIFEST).is_file() and "stage" in read_object(folder / MANIFEST):
        open_output(folder, stage, names)


def _digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's content, its own digest aside."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _again(stage: object) -> str:
    command = _COMMANDS.get(str(stage), stage)
    return f"copy the folder again from where it was made, or run `proband {command}` again"


def open_output(
    folder: Path, stage: str | Collection[str], names: Iterable[str] | None = None
) -> dict[str, Any]:
    """Check a finished output before it is read; in a worker process, whose caller has, only its stage.

    Args:
        folder: The folder.
        stage: Stage, or stages, of which it must be.
        names: Relative names of the files that will be read; None for all.

    Returns:
        The manifest.

    Raises:
        DataError: As of :func:`read_manifest`, or a file is missing or is not as it was written.
    """
    manifest = read_manifest(folder, stage)
    if not is_worker():
        listed = _listed(folder, manifest)
        chosen = set(listed if names is None else names)
        check_digests(
            folder, {name: was for name, was in listed.items() if name in chosen}, _again(manifest["stage"])
        )
    return manifest


def _listed(folder: Path, manifest: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    if "files" not in manifest:  # of a version that kept no digests
        say(f"{folder}: its manifest has no digests of its files; they are not checked")
    return manifest.get("files", {})


def check_input(path: Path) -> None:
    """Check a file or folder that is, or lies in, a finished output, as deep as three folders down.

    What no stage wrote has no digests, and passes.

    Raises:
        DataError: A file of it is missing or is not as it was written.
    """
    for folder in (path, *list(path.absolute().parents)[:3]):
        if (folder / MANIFEST).is_file():
            if "stage" in read_object(folder / MANIFEST):
                manifest = read_manifest(folder)
                inside = path.absolute().relative_to(folder.absolute())
                listed = manifest.get("files", {})
                below = {name: was for name, was in listed.items() if Path(name).is_relative_to(inside)}
                check_digests(folder, below, _again(manifest["stage"]))
            return


def hash_input(path: Path) -> str:
    """A stable fingerprint of a file or of all files below a folder (names and contents, manifests aside)."""
    if path.is_file():
        return hash_file(path)
    digest = hashlib.sha256()
    for file in sorted(item for item in path.rglob("*") if item.is_file() and item.name != MANIFEST):
        digest.update(str(file.relative_to(path)).encode() + hash_file(file).encode())
    return digest.hexdigest()


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
    _check_kinds(manifest, out / MANIFEST)
    listed = manifest.get("files")
    if isinstance(listed, dict):
        here = files_below(out, [MANIFEST, *manifest.get("passed_over", ())])
        foreign = [name for name in here if name not in listed]
        if foreign:
            found = f"{len(foreign)} files that are not of stage {stage}, first {foreign[0]}"
            remedy = "move them elsewhere, or choose another output folder"
            raise ConfigError(what, where=out, found=found, remedy=remedy)


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
    may_leave: str = STAYS_IN,
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

    Yields:
        The :class:`StageRun` to write into.

    Raises:
        ConfigError: ``out`` is, or holds, one of the inputs, which replacing it would destroy; or it holds
            something else than this stage's output; or another process is writing it.
        DataError: An input was changed while it was read.
    """
    started = time.time()
    out = real_folder(out)
    for path in inputs:
        if Path(path).resolve().is_relative_to(out.resolve()):
            remedy = "choose another output folder"
            raise ConfigError(
                "the output folder would replace an input", where=out, found=path, remedy=remedy
            )
    with only_writer(out):
        refuse_foreign(out, stage)
        folder = work or temporary_folder(out)
        folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        run = StageRun(folder)
        try:
            begun = {path: hash_input(path) for path in inputs}
            yield run
            _refuse_changed(begun)
            make_private(folder)
            manifest = _manifest(stage, config, inputs, seed, run, started, may_leave)
            write_json(folder / MANIFEST, manifest | {"digest": _digest(manifest)})
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
