"""Bootstrap of a risk set alone, for tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from proband.evaluate.frames import risk_set_frames
from proband.evaluate.metrics import replicates
from proband.evaluate.metrics.compare import Resamples
from proband.evaluate.metrics.replicates import Replicates
from proband.evaluate.metrics.risk_set import RiskSet


def bootstrapped(
    risk_set: RiskSet, number: int, seed: int | np.random.Generator = 0, stated: Sequence[float] = ()
) -> Replicates:
    """So many replicates of its subjects or families."""
    drawn = Resamples(risk_set.clusters, number, np.random.default_rng(seed))
    return replicates.bootstrap(risk_set, drawn, stated)


def frames_of(
    risk_set: RiskSet,
    number: int,
    references: Sequence[str] = (),
    pairs: Sequence[tuple[str, str]] = (),
    stated: Sequence[float] = (),
) -> dict[str, pl.DataFrame]:
    """Rows of the results tables."""
    found = None if risk_set.obstacle() else bootstrapped(risk_set, number, stated=stated)
    return risk_set_frames(risk_set, found, references, pairs=pairs)
