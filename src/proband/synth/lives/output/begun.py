"""How many of the later cases had the disease already, unrecorded, at the prediction time.

The oracle knows of such a disease and no record does, so its ranking is out of reach by that much.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.synth.traits import DISEASE_NAMES

_KEYS = ["outcome", "horizon_years"]


def already_begun(
    onset: Float[np.ndarray, "moments diseases"],
    recorded: Float[np.ndarray, "moments diseases"],
    age: Float[np.ndarray, " moments"],
    horizons_years: Sequence[int | float],
) -> pl.DataFrame:
    """Cases and those of them already begun, by outcome and horizon.

    At risk are the people without a record of the disease at the prediction time. A case is one of them whose
    first record, true or false, comes within the horizon; it had already begun if its onset is not after the
    prediction time. Events after loss to follow-up count; those after the end of the simulation cannot.

    Args:
        onset: Ages at onset, years, infinite for never.
        recorded: Ages at the first record, the same.
        age: Ages at the prediction times.
        horizons_years: Horizons, years.

    Returns:
        outcome, horizon_years, num_at_risk, num_cases, num_already_begun, share_already_begun; the share is
        null where there is no case.
    """
    now = age[:, None]
    at_risk = recorded > now
    frames = []
    for horizon in horizons_years:
        case = at_risk & (recorded <= now + horizon)
        counts = {"num_at_risk": at_risk, "num_cases": case, "num_already_begun": case & (onset <= now)}
        frames.append(
            pl.DataFrame(
                {
                    "outcome": DISEASE_NAMES,
                    "horizon_years": np.full(len(DISEASE_NAMES), float(horizon)),
                    **{name: rows.sum(axis=0) for name, rows in counts.items()},
                }
            )
        )
    return join_already_begun(frames)


def join_already_begun(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add up the counts of several parts, outcomes in their order, and take the shares anew."""
    counts = ("num_at_risk", "num_cases", "num_already_begun")
    added = pl.concat([part.select(*_KEYS, *counts) for part in parts])
    added = added.group_by(_KEYS, maintain_order=True).agg(pl.col(counts).sum())
    order = pl.col("outcome").replace_strict({name: row for row, name in enumerate(DISEASE_NAMES)})
    share = pl.when(pl.col("num_cases") > 0).then(pl.col("num_already_begun") / pl.col("num_cases"))
    return added.sort(order, "horizon_years").with_columns(share.alias("share_already_begun"))
