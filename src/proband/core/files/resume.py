"""The one way to resume: a stopped run goes on from what it had finished.

A resumable stage writes into ``OUT.partial`` beside its output (``stage_output(work=...)`` renames it at the
end). The folder remembers the settings and inputs it is for; with any other it starts anew, or is refused
where a state would be lost. Work in shards leaves a marker per finished shard, written after its files.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

import proband
from proband.core.errors import CheckpointError, ConfigError, DataError, ProbandError
from proband.core.files.atomic import PRIVATE_FOLDER
from proband.core.files.jsonfiles import read_object, write_json
from proband.core.files.lock import only_writer
from proband.core.files.manifest import hash_input
from proband.core.files.provenance import config_dict, real_folder, refuse_overlap
from proband.core.running.engine import map_shards
from proband.core.running.progress import say

RUN = ".run.json"
MARKERS = ".finished"
_INPUTS = "inputs"
Shard = TypeVar("Shard")


@contextlib.contextmanager
def resumable(
    out: Path,
    stage: str,
    config: BaseModel | Mapping[str, object],
    *,
    inputs: Collection[Path] = (),
    overwrite: bool = False,
    state: str | None = None,
    free: Collection[str] = (),
) -> Iterator[Path]:
    """The folder in which an output grows; that of a stopped run with the same settings and inputs is kept.

    A user's mistake (:class:`ProbandError`) leaves nothing behind; anything else that stops the run keeps it.
    With ``state``, whatever stops the run keeps it if that file is there, and nothing else does.

    Args:
        out: Final output folder.
        stage: The stage's name.
        config: Resolved configuration.
        inputs: Files and folders read; they count as the same by content, whatever their names and times.
        overwrite: Start anew in any case.
        state: Name of a file with hours of work: where it is there, other settings or inputs are refused.
        free: With ``state``, settings that may change in between.

    Raises:
        ConfigError: ``OUT.partial`` is there and is no work of proband, or another process is at it; or
            ``out`` would replace an input or lie in one.
        CheckpointError: It has a ``state`` of other settings or inputs.
    """
    out = real_folder(out)
    refuse_overlap(out, inputs)
    work = partial_folder(out)
    with only_writer(out):
        run = {
            "stage": stage,
            "version": proband.__version__,
            "config": config_dict(config),
            _INPUTS: [hash_input(path) for path in inputs],
        }
        if state and not overwrite and (work / state).is_file():
            _go_on(work, run, free)
        elif not overwrite and not state and is_of(work, run):
            say(f"{stage}: going on with the interrupted run in {work}")
        else:
            _start_anew(work)
            write_json(work / RUN, run)
        try:
            yield work
        except BaseException as error:
            lost = not (work / state).is_file() if state else isinstance(error, ProbandError)
            if lost:
                shutil.rmtree(work, ignore_errors=True)
            raise


def partial_folder(out: Path) -> Path:
    """Where an output grows until it is whole."""
    out = real_folder(out)
    return out.with_name(f"{out.name}.partial")


def claim(folder: Path, run: Mapping[str, object], ours: Collection[str]) -> bool:
    """Keep what lies in a folder if it is of the same run; else remove it, and remember this run.

    Args:
        folder: The folder; made if it is not there.
        run: All that decides what is written there, as JSON values.
        ours: Patterns of the names that are removed; others stay.

    Returns:
        Whether something of another run was removed.
    """
    if is_of(folder, run):
        return False
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    stale = sorted(file for pattern in ours for file in folder.glob(pattern))
    for file in stale:
        file.unlink()
    write_json(folder / RUN, run)
    return bool(stale)


def is_of(folder: Path, run: Mapping[str, object]) -> bool:
    """Whether a folder remembers that it is of this very run."""
    try:
        return read_object(folder / RUN) == run
    except DataError:
        return False


def _go_on(work: Path, run: Mapping[str, Any], free: Collection[str]) -> None:
    """Remember the settings with which a saved state goes on.

    Raises:
        CheckpointError: They are not those that it was made with, the free ones aside.
    """
    saved = read_object(work / RUN, run)
    old, new = _settings(saved), _settings(run)
    changed = {key: f"{key} {old.get(key)!r}, now {new[key]!r}" for key in new if old.get(key) != new[key]}
    fixed = [text for key, text in changed.items() if key not in {*free, "version"}]
    what = "an interrupted run with other settings is there"
    if not fixed and saved[_INPUTS] != run[_INPUTS]:
        what, fixed = "an interrupted run on other inputs is there", ["files of other content"]
    if fixed:
        remedy = "repeat the command that was interrupted, or start anew with --overwrite"
        raise CheckpointError(what, where=work, found="; ".join(fixed), remedy=remedy)
    write_json(work / RUN, run)
    say("; ".join([f"{run['stage']}: going on with the interrupted run in {work}", *changed.values()]))


def _settings(run: Mapping[str, Any]) -> dict[str, Any]:
    config = run["config"] if isinstance(run["config"], Mapping) else {}
    return {"stage": run["stage"], "version": run["version"], **config}


def _start_anew(work: Path) -> None:
    """Make ``work`` an empty folder, mode 0700.

    Raises:
        ConfigError: It is something else than what a stopped run left, which would be lost.
    """
    if work.exists() and not (work.is_dir() and _is_ours(work)):
        remedy = "move it elsewhere, or choose another output folder"
        raise ConfigError(
            "the place for work in progress is in use", where=work, found="no work of proband", remedy=remedy
        )
    shutil.rmtree(work, ignore_errors=True)
    work.parent.mkdir(parents=True, exist_ok=True)
    work.mkdir(mode=PRIVATE_FOLDER)


def _is_ours(work: Path) -> bool:
    """Whether it remembers a run, or has nothing but what was being written when the run was killed."""
    return (work / RUN).exists() or all(item.name.startswith(".") for item in work.iterdir())


def is_marked(work: Path, name: str) -> bool:
    """Whether the shard ``name`` is finished."""
    return (work / MARKERS / name).is_file()


def mark(work: Path, name: str) -> None:
    """Note that the shard ``name`` is finished; its files must be on disk in whole."""
    (work / MARKERS).mkdir(exist_ok=True)
    (work / MARKERS / name).touch()


def clear_marks(folder: Path) -> None:
    """Remove what only resuming needs, once the folder is, or is about to be, the output."""
    shutil.rmtree(folder / MARKERS, ignore_errors=True)
    (folder / RUN).unlink(missing_ok=True)


def map_resumably(
    function: Callable[[Shard], object],
    shards: Sequence[Shard],
    work: Path,
    step: str,
    *,
    description: str,
    workers: int | None = None,
    share: slice = slice(None),
) -> None:
    """Apply ``function`` to the shards not finished yet; it leaves its results in files below ``work``.

    Args:
        function: Module-level function (or partial of one) of one shard; called again for a shard that was
            cut off, so it must replace what it finds.
        shards: The shards, in a fixed order.
        work: Of :func:`resumable`.
        step: Name of this step, for the markers.
        description: Label of the progress bar.
        workers: Processes; see :func:`~proband.core.running.engine.map_shards`.
        share: Which of the shards are this call's, where others work on the rest.
    """
    numbered = [(f"{step}-{number:05d}", shard) for number, shard in enumerate(shards)]
    left = [item for item in numbered[share] if not is_marked(work, item[0])]
    if left:
        map_shards(partial(_run_and_mark, function, work), left, description=description, workers=workers)


def _run_and_mark(function: Callable[[Shard], object], work: Path, item: tuple[str, Shard]) -> None:
    name, shard = item
    function(shard)
    mark(work, name)
