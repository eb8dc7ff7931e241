"""Long stages: a stopped run goes on from what it had finished.

A resumable stage writes into ``OUT.partial`` beside its output (``stage_output(work=...)`` renames it at the
end). The folder remembers the settings and inputs it is for; with any other it starts anew. Work in shards
leaves a marker per finished shard, written after the shard's files.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

import proband
from proband.core.atomic import PRIVATE_FOLDER
from proband.core.engine import map_shards
from proband.core.errors import ConfigError, DataError, ProbandError
from proband.core.lock import only_writer
from proband.core.progress import say
from proband.core.provenance import config_dict, read_json, real_folder, write_json

RUN = ".run.json"
MARKERS = ".finished"
Shard = TypeVar("Shard")


@contextlib.contextmanager
def resumable(
    out: Path,
    stage: str,
    config: BaseModel | Mapping[str, object],
    *,
    inputs: Collection[Path] = (),
    overwrite: bool = False,
) -> Iterator[Path]:
    """The folder in which an output grows; that of a stopped run with the same settings and inputs is kept.

    A user's mistake (:class:`ProbandError`) leaves nothing behind; anything else that stops the run keeps it.

    Args:
        out: Final output folder.
        stage: The stage's name.
        config: Resolved configuration.
        inputs: Files read; they count as the same by path, size and time, since reading them would take long.
        overwrite: Start anew in any case.

    Raises:
        ConfigError: ``OUT.partial`` is there and is no work of proband, or another process is at it.
    """
    out = real_folder(out)
    work = partial_folder(out)
    now = {
        "stage": stage,
        "version": proband.__version__,
        "config": config_dict(config),
        "inputs": [_stamp(path) for path in inputs],
    }
    with only_writer(out):
        if work.exists() and not overwrite and _same_run(work / RUN, now):
            say(f"{stage}: going on with the interrupted run in {work}")
        else:
            start_anew(work, (RUN,))
            write_json(work / RUN, now)
        try:
            yield work
        except ProbandError:
            shutil.rmtree(work, ignore_errors=True)
            raise


def partial_folder(out: Path) -> Path:
    """Where an output grows until it is whole."""
    out = real_folder(out)
    return out.with_name(f"{out.name}.partial")


def start_anew(work: Path, marks: Collection[str]) -> None:
    """Make ``work`` an empty folder, mode 0700.

    Args:
        work: Of :func:`partial_folder`.
        marks: Files of which a folder that a stopped run left has at least one.

    Raises:
        ConfigError: It is something else, which would be lost.
    """
    if work.exists() and not (work.is_dir() and _is_ours(work, marks)):
        remedy = "move it elsewhere, or choose another output folder"
        raise ConfigError(
            "the place for work in progress is in use", where=work, found="no work of proband", remedy=remedy
        )
    shutil.rmtree(work, ignore_errors=True)
    work.parent.mkdir(parents=True, exist_ok=True)
    work.mkdir(mode=PRIVATE_FOLDER)


def _is_ours(work: Path, marks: Collection[str]) -> bool:
    """Whether it has a mark, or nothing but what was being written when the run was killed."""
    return any((work / name).exists() for name in marks) or all(
        item.name.startswith(".") for item in work.iterdir()
    )


def _stamp(path: Path) -> list[str | int]:
    status = path.stat()
    return [str(path.absolute()), status.st_size, status.st_mtime_ns]


def _same_run(path: Path, now: Mapping[str, object]) -> bool:
    try:
        return bool(read_json(path) == now)
    except DataError:
        return False


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
        workers: Processes; see :func:`~proband.core.engine.map_shards`.
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
