"""A picture of the leading components, coloured by population where it is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64

_COLOURS = ("#0b5394", "#c2410c", "#15803d", "#7e22ce", "#b45309", "#0e7490", "#be185d", "#4d7c0f")
_PANELS = ((0, 1), (2, 3))
_SIZE_INCHES = (9.6, 4.4)
_DOTS_PER_INCH = 120
_MOST_POINTS = 20_000  # beyond, points only cover one another


def plot_components(
    pcs: Float64[np.ndarray, "people pcs"],
    labels: Sequence[str],
    reference_pcs: Float64[np.ndarray, "reference pcs"] | None,
    reference_labels: Sequence[str],
    path: Path,
) -> None:
    """Draw PC1 against PC2 and PC3 against PC4.

    Args:
        pcs: Components of the people.
        labels: Their most similar populations; empty where unknown.
        reference_pcs: Components of a reference panel, drawn paler beneath; None for none.
        reference_labels: Populations of the panel's people.
        path: PNG file to write.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [pair for pair in _PANELS if pair[1] < pcs.shape[1]]
    names = sorted({*labels, *reference_labels})
    colour_of = {name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)}
    figure, axes = plt.subplots(
        1, max(1, len(shown)), figsize=_SIZE_INCHES, layout="constrained", squeeze=False
    )
    for axis, (across, up) in zip(axes[0], shown or [(0, 0)], strict=True):
        if reference_pcs is not None:
            _scatter(axis, reference_pcs[:, [across, up]], reference_labels, colour_of, faint=True)
        _scatter(axis, pcs[:, [across, up]], labels, colour_of, faint=False)
        axis.set_xlabel(f"PC{across + 1}")
        axis.set_ylabel(f"PC{up + 1}")
    if names:
        marks = [plt.Line2D([], [], marker="o", ls="", color=colour_of[name]) for name in names]
        figure.legend(marks, names, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=_DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)


def _scatter(
    axis: object,
    points: Float64[np.ndarray, "people 2"],
    labels: Sequence[str],
    colour_of: dict[str, str],
    *,
    faint: bool,
) -> None:
    step = -(-len(points) // _MOST_POINTS) or 1
    colours = [colour_of[label] for label in labels[::step]] if len(labels) else "#374151"
    alpha, size = (0.2, 14) if faint else (0.8, 3)
    axis.scatter(*points[::step].T, c=colours, s=size, alpha=alpha, linewidths=0)  # type: ignore[attr-defined]
