from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from proband.core.schema import RISK
from proband.forecast.output.curves import plot_curves


def test_the_picture_shows_means_and_spreads(tmp_path: Path) -> None:
    """Risks of 11 subjects, 0 to 0.1 per year by even steps."""
    rows = [
        {"outcome": name, "horizon_years": year, "risk": share * subject * year / 100}
        for name, share in (("common_one", 1.0), ("rare", 0.1))
        for year in (1.0, 2.0)
        for subject in range(11)
    ]
    pl.DataFrame(rows).write_parquet(tmp_path / "curves.parquet")
    bands = []

    def fill(axis: Axes, x: list, low: list, high: list, **_: object) -> None:
        bands.append((low, high))

    with patch.object(Axes, "fill_between", fill), patch.object(plt, "close"):
        plot_curves(tmp_path / "curves.parquet", tmp_path / "curves.png")
        figure = plt.gcf()
    plt.close(figure)
    assert [axis.get_title() for axis in figure.axes] == ["common one", "rare"]
    line = figure.axes[0].lines[0]
    assert np.asarray(line.get_ydata()) == pytest.approx([0, 0.05, 0.1])
    wide, narrow = bands[0], bands[1]
    assert narrow[0][1] == pytest.approx(0.02, abs=0.011)
    assert narrow[1][1] == pytest.approx(0.08, abs=0.011)
    assert wide[0][1] < narrow[0][1] < narrow[1][1] < wide[1][1]
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_without_anybody_at_risk_the_picture_is_empty(tmp_path: Path) -> None:
    RISK.write(RISK.empty(), tmp_path / "curves.parquet")
    plot_curves(tmp_path / "curves.parquet", tmp_path / "curves.png")
    assert (tmp_path / "curves.png").is_file()
