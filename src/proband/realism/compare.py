"""Are simulated futures like real ones? Every statistic on both sides, with the error of the difference.

With t and n the sums over a subject's points of numerator and denominator, and T and N their sums over all
subjects, a side's value is R = T / N. The difference of the sides is linear in the subjects to first order,
so that its standard error is the root of Σ (u_simulated − u_real)², u = (t − R n) / N: it holds the spread of
what happened, the sampling of paths, and that both belong to one subject.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from scipy import sparse, stats

from proband.core.files.tables import Table
from proband.realism.counts import Counts, Item

REALISM = Table(
    "realism",
    {
        "statistic": pl.String,
        "item": pl.String,
        "other": pl.String,
        "real": pl.Float64,
        "simulated": pl.Float64,
        "standard_error": pl.Float64,
        "z": pl.Float64,
        "num_real": pl.Int64,
        "num_simulated": pl.Int64,
        "num_subjects": pl.Int64,
    },
    nullable=frozenset({"real", "simulated", "standard_error", "z"}),
    unique=("statistic", "item", "other"),
)
"""``standard_error`` is that of ``simulated`` − ``real``. ``z`` is the difference over it, the real side with
the variance that the simulated number lets expect where that is larger (null where fewer than 10 subjects'
worth happened on either side). ``num_real`` subjects had it, ``num_simulated`` on any path."""

LEAST_FOR_Z = 10
"""Below, the normal law does not hold for a sum over subjects."""
SURPRISING_Z = 1.96
_OF_SHARES = ("prevalence", "pair", "gap")
"""Statistics whose variance goes with p (1 − p); that of rates with the rate."""
_BLOCK = 256


def compare(
    items: list[Item],
    real: Counts,
    simulated: Counts,
    subject: Int[np.ndarray, " points"],
) -> pl.DataFrame:
    """All statistics of both sides.

    Args:
        items: What the columns of the numerators are.
        real: Of what really followed.
        simulated: Of the paths, the same points.
        subject: Whose each point is.

    Returns:
        A frame of :data:`REALISM`, without items that happened on neither side.
    """
    members = np.unique(subject, return_inverse=True)[1]
    number = int(members.max()) + 1
    together = sparse.csr_array(
        (np.ones(len(members)), (members, np.arange(len(members)))), shape=(number, len(members))
    )
    denominator = np.array([item.denominator for item in items])
    sides = [(sparse.csc_array(together @ side.top), together @ side.bottom) for side in (real, simulated)]
    frames = []
    for at in range(0, len(items), _BLOCK):
        block = slice(at, at + _BLOCK)
        found = [(top[:, block].toarray(), bottom[:, denominator[block]]) for top, bottom in sides]
        frames.append(_frame(items[block], *found[0], *found[1]))
    return REALISM.check(
        pl.concat(frames).filter(pl.col("num_real") + pl.col("num_simulated") > 0), "realism"
    )


def _frame(
    items: list[Item],
    real_top: Float[np.ndarray, "subjects items"],
    real_bottom: Float[np.ndarray, "subjects items"],
    simulated_top: Float[np.ndarray, "subjects items"],
    simulated_bottom: Float[np.ndarray, "subjects items"],
) -> pl.DataFrame:
    real, real_part = _ratio(real_top, real_bottom)
    simulated, simulated_part = _ratio(simulated_top, simulated_bottom)
    error = np.sqrt(_variance(simulated_part - real_part))
    enough = np.maximum(real_top.sum(axis=0), simulated_top.sum(axis=0)) >= LEAST_FOR_Z
    expected = np.sqrt(
        error**2 + _unseen_variance(items, real, simulated, real_part, real_bottom.sum(axis=0))
    )
    judged = enough & (expected > 0) & np.isfinite(real) & np.isfinite(simulated)
    z = np.divide(simulated - real, expected, out=np.full(len(items), np.nan), where=judged)
    return pl.DataFrame(
        {
            "statistic": [item.statistic for item in items],
            "item": [item.item for item in items],
            "other": [item.other for item in items],
            "real": real,
            "simulated": simulated,
            "standard_error": error,
            "z": z,
            "num_real": np.count_nonzero(real_top, axis=0),
            "num_simulated": np.count_nonzero(simulated_top, axis=0),
            "num_subjects": np.count_nonzero(real_bottom, axis=0),
        },
        schema=REALISM.empty().schema,
    ).with_columns(pl.col("real", "simulated", "standard_error", "z").fill_nan(None))


def _unseen_variance(
    items: list[Item],
    real: Float[np.ndarray, " items"],
    simulated: Float[np.ndarray, " items"],
    real_part: Float[np.ndarray, "subjects items"],
    total: Float[np.ndarray, " items"],
) -> Float[np.ndarray, " items"]:
    """By how much the variance of what really followed would be larger if the simulated number were right.

    Where by chance little happened, its own variance is small, too: a difference over that error alone is
    beyond 3.3 in one of a hundred of 12 expected events, and among many codes one always is.
    """
    of_share = np.isin([item.statistic for item in items], _OF_SHARES)
    seen = _variance(real_part)
    spread, expected = (value * np.where(of_share, 1 - value, 1) for value in (real, simulated))
    without = np.divide(expected, total, out=np.zeros_like(expected), where=total > 0)
    ratio = np.divide(expected, spread, out=np.ones_like(expected), where=spread > 0)
    return np.nan_to_num(np.where(spread > 0, seen * (ratio - 1), without)).clip(0)


def _variance(parts: Float[np.ndarray, "subjects items"]) -> Float[np.ndarray, " items"]:
    """Of a sum over subjects, from each subject's part."""
    number = len(parts)
    return (parts**2).sum(axis=0) * number / max(1, number - 1)


def _ratio(
    top: Float[np.ndarray, "subjects items"], bottom: Float[np.ndarray, "subjects items"]
) -> tuple[Float[np.ndarray, " items"], Float[np.ndarray, "subjects items"]]:
    """Ratio of the sums, NaN without a denominator, and each subject's part in its error."""
    total = bottom.sum(axis=0)
    total[total == 0] = np.nan  # an event at the very beginning of an age band may have no time around it
    ratio = top.sum(axis=0) / total
    return ratio, (top - ratio * bottom) / total


def summarise(found: pl.DataFrame) -> pl.DataFrame:
    """One row per statistic: does anything differ by more than chance?

    Args:
        found: A frame of :data:`REALISM`.

    Returns:
        statistic, num_judged, share_beyond (|z| above 1.96; 5% by chance alone), largest_z, and adjusted_p:
        the smallest two-sided p times the number of tests (Bonferroni), at most 1.
    """
    judged = found.filter(pl.col("z").is_not_null()).with_columns(pl.col("z").abs().alias("size"))
    rows = judged.group_by("statistic", maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias("num_judged"),
        (pl.col("size") > SURPRISING_Z).mean().alias("share_beyond"),
        pl.col("size").max().alias("largest_z"),
    )
    p = 2 * stats.norm.sf(rows["largest_z"].to_numpy()) * rows["num_judged"].to_numpy()
    return rows.with_columns(pl.Series("adjusted_p", np.minimum(1.0, p)))
