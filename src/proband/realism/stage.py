"""The stage ``realism``: simulated futures and the records they were made from in, tables out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Int
from scipy import sparse

from proband.core.errors import DataError
from proband.core.files.provenance import StageRun, is_finished, stage_output
from proband.core.running.engine import map_shards
from proband.core.running.progress import say
from proband.core.seeds import generator
from proband.ehr.meds.dataset import Shard, list_shards
from proband.ehr.outcomes import load_task
from proband.realism.compare import REALISM, compare, summarise
from proband.realism.config import RealismConfig
from proband.realism.counts import Counts, Plan, count, make_plan
from proband.realism.futures import (
    Futures,
    Points,
    join,
    leaving_times,
    read_points,
    read_whose,
    real_futures,
    simulated_futures,
    split_by_shard,
)
from proband.realism.memorisation import MEMORISATION, NEARNESS
from proband.realism.nearness import measure
from proband.tokens.dataset import TokenStore

TASK = "task.yaml"
MOST_COMPARED = 2000
"""Prediction points whose nearness to train is measured, drawn at random."""
_SURPRISING_P = 0.01
_TOO_MANY_CUT = 0.01


class _Shared(NamedTuple):
    """What every worker process needs to know."""

    tokens: Path
    start: np.ndarray
    leaving: np.ndarray
    plan: Plan
    compared: np.ndarray


def realism(
    trajectories: Path,
    tokens: Path,
    out: Path,
    *,
    config: RealismConfig | None = None,
    workers: int | None = None,
    overwrite: bool = False,
) -> None:
    """Compare simulated futures with what really followed, and look for copies of train subjects.

    Args:
        trajectories: Folder of ``proband forecast --trajectories``.
        tokens: The tokens folder that the forecast read.
        out: Output folder.
        config: Settings.
        workers: Processes; default one per core.
        overwrite: Replace a finished output.

    Raises:
        DataError: No trajectories, other subjects than the tokens', or futures of train subjects.
    """
    config = config or RealismConfig()
    seed = config.seed
    inputs = [trajectories, tokens]
    if is_finished(out, "realism", config, overwrite, inputs):
        return
    store = TokenStore(tokens)
    whose = read_whose(trajectories)
    points = read_points(whose, store)
    _refuse_train(store, points, trajectories)
    with stage_output(
        out, stage="realism", config=config, inputs=inputs, seed=seed, overwrite=overwrite
    ) as run:
        real = real_futures(store, points)
        shared = _Shared(
            tokens,
            points.start,
            leaving_times(real, points, seed),
            make_plan(real, store.vocabulary),
            _chosen(len(points.row), seed),
        )
        shards = list_shards(trajectories)
        parts = list(zip(shards, split_by_shard(whose, points, shards), strict=True))
        looked = map_shards(partial(_look, shared=shared), parts, description="Comparing", workers=workers)
        _write_realism(run, shared.plan, points, real, [counts for counts, _ in looked])
        simulated = join([futures for _, futures in looked])
        task = load_task(trajectories / TASK)
        rows, bins = measure(store, task, points, real.take(shared.compared), simulated, shared.leaving, seed)
        MEMORISATION.write(rows, run.folder / "memorisation.parquet")
        NEARNESS.write(bins, run.folder / "nearness.parquet")
        _count(run, whose, points)
    _tell(run, rows)


def _refuse_train(store: TokenStore, points: Points, where: Path) -> None:
    num_train = int((store.subjects["split"].to_numpy()[points.row] == "train").sum())
    if num_train:
        raise DataError(
            "futures of train subjects",
            where=where,
            found=f"{num_train} prediction points of subjects that the model was trained on",
            expected="subjects whom it has not seen",
            remedy="forecast another --split",
        )


def _chosen(number: int, seed: int) -> Int[np.ndarray, " compared"]:
    """Points whose nearness to train is measured, ascending."""
    return np.sort(generator(seed, "compared").permutation(number)[:MOST_COMPARED])


def _look(part: tuple[Shard, pl.DataFrame], shared: _Shared) -> tuple[Counts, Futures]:
    """Counts of one shard's futures, and the first future of each point to be compared with train."""
    store = TokenStore(shared.tokens)
    futures = simulated_futures(part[0], store, part[1], shared.start)
    futures = futures.followed_until(shared.leaving[futures.point])
    first = np.unique(futures.point, return_index=True)[1]
    compared = first[np.isin(futures.point[first], shared.compared)]
    return count(futures, shared.plan, shared.start), futures.take(compared)


def _write_realism(run: StageRun, plan: Plan, points: Points, real: Futures, parts: list[Counts]) -> None:
    simulated = Counts(
        sparse.csr_array(sparse.vstack([part.top for part in parts])),
        np.concatenate([part.bottom for part in parts]),
    )
    found = compare(
        plan.items(),
        count(real, plan, points.start),
        simulated,
        points.frame["source_subject_id"].to_numpy(),
    )
    REALISM.write(found, run.folder / "realism.parquet")
    run.notes["realism"] = summarise(found).rows(named=True)


def _count(run: StageRun, whose: pl.DataFrame, points: Points) -> None:
    run.counts["num_predictions"] = len(points.row)
    run.counts["num_subjects"] = points.frame["source_subject_id"].n_unique()
    run.counts["num_trajectories"] = whose.height
    run.counts["num_cut_short"] = int((whose["end"] == "budget").sum())


def _tell(run: StageRun, memorisation: pl.DataFrame) -> None:
    """Say what came out, in a line or two."""
    summary = run.notes["realism"]
    differing = [row["statistic"] for row in summary if row["adjusted_p"] < _SURPRISING_P]
    verdict = f"by more than chance in {', '.join(differing)}" if differing else "by no more than chance"
    say(f"realism: simulated and real futures differ {verdict} (Bonferroni, p < {_SURPRISING_P:g})")
    for row in memorisation.iter_rows(named=True):
        say(
            f"realism: nearer to train than real ones, by {row['measure'].replace('_', ' ')}: "
            f"{row['share_nearer']:.3f} ± {row['standard_error']:.3f} (0.5 without copies)"
        )
    cut = run.counts["num_cut_short"] / max(1, run.counts["num_trajectories"])
    if cut > _TOO_MANY_CUT:
        say(f"realism: {cut:.1%} of the futures end at their budget of events; raise --max-events")
