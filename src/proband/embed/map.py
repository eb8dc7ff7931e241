"""A map of vectors: principal components, what they go with, and a picture coloured by it.

A component that goes with ancestry, a site or the length of records, and not with disease, is an artefact
that a model of these vectors may rest on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Float32, Float64

from proband.core.errors import printable
from proband.core.schema import ANCESTRY, EMBEDDING_MAP
from proband.core.units import MINUTES_PER_DAY, MINUTES_PER_YEAR
from proband.ehr.outcomes import load_task
from proband.embed.dates import Dates
from proband.tokens.dataset import TokenStore
from proband.tokens.history.onsets import first_occurrences
from proband.tokens.history.outcomes import outcome_tokens

MAP, PICTURE = "map.parquet", "map.png"
AGE, SEX, RECORD, ANCESTRY_FACTOR, ALL = "age", "sex", "record_length", "ancestry", "all"
LAST, SINCE = "last_record", "time_since_last_record"
_OF_PEOPLE = (AGE, SEX, ANCESTRY_FACTOR, RECORD, LAST, SINCE)
NUM_COMPONENTS = 10
_DRAWN = (AGE, SEX, RECORD, ANCESTRY_FACTOR, LAST)
_MOST_DISEASES, _MOST_POINTS = 3, 5000
_POINTS = ("#0b5394", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#0e7490", "#6b7280")
Factors = dict[str, Float[np.ndarray, " n"] | list[str | None]]
"""By name a number of each vector (NaN where not known) or a label (None where not known)."""


def known_factors(store: TokenStore, dates: Dates, genome: Path | None, task: Path | None) -> Factors:
    """What vectors may go with: age, sex, record length, the last record, ancestry, a task's outcomes.

    Args:
        store: The records.
        dates: Whose vectors, and when.
        genome: Genome folder; without ``ancestry.parquet`` there is no ancestry.
        task: Task file; an outcome counts as had if its first code came by the date.
    """
    length = store.history_lengths(dates.rows, dates.minutes)
    last = store.offsets[dates.rows] + np.maximum(length, 1) - 1  # birth is the first
    found: Factors = {
        AGE: dates.minutes / MINUTES_PER_YEAR,
        SEX: store.female[dates.rows].astype(np.float64),
        RECORD: np.log1p(length.astype(np.float64)),
        LAST: [store.vocabulary.tokens[token].kind for token in np.asarray(store.tokens)[last]],
        SINCE: np.log1p((dates.minutes - np.asarray(store.minutes)[last]) / MINUTES_PER_DAY),
    }
    path = genome / "ancestry.parquet" if genome else None
    if path and path.is_file():
        labels = ANCESTRY.read(path).select("subject_id", "most_similar_population")
        joined = dates.frame.join(labels, on="subject_id", how="left", maintain_order="left")
        found[ANCESTRY_FACTOR] = joined["most_similar_population"].to_list()
    if task:
        for name, steps in outcome_tokens(store.vocabulary, load_task(task), "embed").items():
            first = first_occurrences(store, dates.rows, [np.flatnonzero(step).tolist() for step in steps])
            found[name] = np.asarray((first <= dates.minutes[:, None]).all(axis=1), dtype=np.float64)
    return found


def components(
    vectors: Float32[np.ndarray, "n dim"], number: int = NUM_COMPONENTS
) -> tuple[Float64[np.ndarray, "n some"], Float64[np.ndarray, " some"]]:
    """Principal components of vectors, and the share of their variance that each has.

    Args:
        vectors: One a row.
        number: Components at most; those without variance are left out.
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    value, axes = np.linalg.eigh(centred.T @ centred)
    order = np.argsort(-value, kind="stable")
    total = max(float(value.sum()), 1e-12)
    share = np.maximum(value[order], 0) / total
    kept = order[: min(number, int((share > 1e-9).sum()))]
    axes = axes[:, kept]
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return centred @ axes, share[: len(kept)]


def explained(
    scores: Float64[np.ndarray, "n some"], design: Float64[np.ndarray, "n terms"]
) -> tuple[Float64[np.ndarray, " some"], float]:
    """Share of each component's variance that a regression explains, and what chance would.

    Args:
        scores: Components.
        design: Terms of the regression beside its level; rows with NaN are left out.

    Returns:
        R² of each component, and terms / (rows - 1).
    """
    usable = np.isfinite(design).all(axis=1)
    y, x = scores[usable], design[usable]
    x = x[:, x.std(axis=0) > 0]
    if len(y) < 3 or not x.shape[1]:
        return np.zeros(scores.shape[1]), 0.0
    x, y = (x - x.mean(axis=0)) / x.std(axis=0), y - y.mean(axis=0)
    fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
    total = np.maximum((y**2).sum(axis=0), 1e-12)
    rank = int(np.linalg.matrix_rank(x))
    return np.clip((fitted**2).sum(axis=0) / total, 0, 1), rank / (len(y) - 1)


def design_of(
    name: str, values: Float[np.ndarray, " n"] | Sequence[str | None]
) -> Float64[np.ndarray, "n terms"]:
    """Terms of a factor: age and its square, indicators of labels, a number as it is.

    >>> design_of("ancestry", ["a", "b", None]).tolist()
    [[0.0], [1.0], [nan]]
    """
    if isinstance(values, np.ndarray):
        number = values.astype(np.float64)
        return np.stack([number, number**2], axis=1) if name == AGE else number[:, None]
    labels = sorted({label for label in values if label is not None})
    terms = [[float(label == one) if label is not None else np.nan for one in labels[1:]] for label in values]
    return np.array(terms, dtype=np.float64).reshape(len(values), max(0, len(labels) - 1))


def map_frame(
    scores: Float64[np.ndarray, "n some"], share: Float64[np.ndarray, " some"], factors: Factors
) -> pl.DataFrame:
    """Rows of schema.EMBEDDING_MAP: each factor alone; all but outcomes together."""
    designs = {name: design_of(name, values) for name, values in factors.items()}
    together = [designs[name] for name in _OF_PEOPLE if name in designs]
    designs[ALL] = np.hstack([one for one in together if np.isfinite(one).any()])
    rows = []
    for name, design in designs.items():
        r2, by_chance = explained(scores, design)
        rows += [(at + 1, share[at], name, value, by_chance) for at, value in enumerate(r2)]
    return pl.DataFrame(rows, schema=dict(EMBEDDING_MAP.columns), orient="row").sort(
        "component", maintain_order=True
    )


def write_map(folder: Path, vectors: Float32[np.ndarray, "n dim"], factors: Factors) -> pl.DataFrame:
    """Write the table and the picture; returns the table."""
    scores, share = components(vectors)
    table = map_frame(scores, share, factors)
    EMBEDDING_MAP.write(table, folder / MAP)
    if scores.shape[1] > 1:
        _picture(scores, share, factors, folder / PICTURE)
    return table


def in_words(table: pl.DataFrame) -> str:
    """What the first components go with most, for the terminal."""
    parts = []
    for at in table["component"].unique().sort()[:3]:
        own = table.filter(pl.col("factor") != ALL, component=at).sort(
            "r2", descending=True, maintain_order=True
        )
        best = own.row(0, named=True)
        parts.append(f"PC{at} ({best['share_of_variance']:.0%}) with {best['factor']} ({best['r2']:.0%})")
    return f"components of the vectors go most with: {', '.join(parts)}"


def _picture(scores: np.ndarray, share: np.ndarray, factors: Factors, out: Path) -> None:
    """First two components in a panel per factor; of many vectors some, evenly spaced."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    some = np.unique(np.linspace(0, len(scores) - 1, _MOST_POINTS).astype(np.int64))
    names = [name for name in _DRAWN if name in factors] + _commonest(factors)
    figure, axes = plt.subplots(2, 4, figsize=(13, 6.4), layout="constrained", sharex=True, sharey=True)
    for axis, name in zip(axes.flat, names, strict=False):
        values = factors[name]
        chosen = values[some] if isinstance(values, np.ndarray) else [values[at] for at in some]
        _panel(figure, axis, scores[some, :2], name, chosen)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    figure.supxlabel(f"component 1 ({share[0]:.0%} of the variance)", fontsize=9)
    figure.supylabel(f"component 2 ({share[1]:.0%})", fontsize=9)
    figure.savefig(out, dpi=110)
    plt.close(figure)


def _commonest(factors: Factors) -> list[str]:
    """The diseases that most people have had, of those that some have not."""
    means = {
        name: float(values.mean())
        for name, values in factors.items()
        if name not in _OF_PEOPLE and isinstance(values, np.ndarray)
    }
    return sorted((name for name in means if 0 < means[name] < 1), key=lambda name: -means[name])[
        :_MOST_DISEASES
    ]


def _panel(figure: Any, axis: Any, at: np.ndarray, name: str, values: Any) -> None:
    axis.set_title(printable(name.replace("_", " ")), fontsize=9)
    if name in (AGE, RECORD):
        shown = np.expm1(values) if name == RECORD else values
        norm = "log" if name == RECORD else None
        found = axis.scatter(*at.T, c=np.maximum(shown, 1), s=3, cmap="viridis", norm=norm, rasterized=True)
        figure.colorbar(found, ax=axis, label="years" if name == AGE else "tokens")
        return
    groups = _groups(name, values)
    for colour, (label, members) in zip(_POINTS, groups.items(), strict=False):
        axis.scatter(*at[members].T, s=3, color=colour, label=label, rasterized=True)
    axis.legend(markerscale=3, fontsize=7, loc="best")


def _groups(name: str, values: Any) -> Mapping[str, Bool[np.ndarray, " n"]]:
    if isinstance(values, np.ndarray):
        words = ("male", "female") if name == SEX else ("not had", "had")
        return {word: values == code for code, word in enumerate(words) if (values == code).any()}
    labels = np.array([label or "not known" for label in values])
    names, counts = np.unique(labels, return_counts=True)
    common = names[np.argsort(-counts, kind="stable")][: len(_POINTS) - 1]
    groups = {str(one): labels == one for one in common}
    rest = ~np.isin(labels, common)
    return groups | ({"others": rest} if rest.any() else {})
