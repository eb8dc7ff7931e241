"""Manifests of finished outputs, and the digests in them, checked by whoever opens an output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from proband.core.errors import DataError
from proband.core.files.digests import check_digests, hash_file
from proband.core.files.jsonfiles import read_object
from proband.core.running.progress import is_worker, say

MANIFEST = "manifest.json"
_COMMANDS = {"trajectories": "forecast --trajectories"}
"""Commands of the stages that are not called as their command is."""
_OBJECTS = ("config", "versions", "inputs", "counts", "notes", "files")
_LISTS = ("command", "passed_over")
"""Keys of a manifest that hold objects, and lists of text."""


def manifest_if_any(folder: Path) -> dict[str, Any]:
    """The manifest of a folder; empty where no stage has written it.

    Raises:
        DataError: As of :func:`read_manifest`, for another reason than that there is none.
    """
    return read_manifest(folder) if (folder / MANIFEST).is_file() else {}


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
    check_kinds(manifest, folder / MANIFEST)
    found = manifest["stage"]
    if "digest" in manifest and manifest["digest"] != digest_of(manifest):
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


def check_kinds(manifest: Mapping[str, Any], where: Path) -> None:
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


def digest_of(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of a manifest's content, its own digest aside."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _again(stage: object) -> str:
    command = _COMMANDS.get(str(stage), stage)
    return f"copy the folder again from where it was made, or run `proband {command}` again"
