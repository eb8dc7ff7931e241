import numpy as np
import polars as pl
from matplotlib.figure import Figure

from proband.forecast.scenario.picture import draw_exact, draw_risks

COLOURS = {"stop_smoking": "red", "not_asked": "blue"}


def risks(*rows):
    return pl.DataFrame(
        rows,
        schema={"scenario": pl.String, "horizon_years": pl.Float64, "risk": pl.Float64},
        orient="row",
    )


def test_exact_risks_begin_at_nothing_in_the_order_of_horizons():
    axis = Figure().subplots()
    draw_exact(axis, risks((None, 5.0, 0.2), (None, 1.0, 0.1), ("stop_smoking", 5.0, 0.15)), COLOURS)
    own, changed = axis.get_lines()  # none for a scenario without rows
    np.testing.assert_array_equal(own.get_xydata(), [[0, 0], [1, 0.1], [5, 0.2]])
    np.testing.assert_array_equal(changed.get_xydata(), [[0, 0], [5, 0.15]])
    assert changed.get_color() == "red"
    assert own.get_linestyle() == changed.get_linestyle() == "--"


def test_sampled_risks_have_bands_of_their_error():
    axis = Figure().subplots()
    own = risks((None, 5.0, 0.2)).drop("scenario").with_columns(outcome=pl.lit("x_y"), standard_error=0.01)
    changed = risks(("stop_smoking", 5.0, 0.1)).with_columns(standard_error=0.0)
    draw_risks(axis, own, changed, COLOURS)
    assert [line.get_label() for line in axis.get_lines()] == ["as it is", "stop smoking"]
    (band,) = axis.collections  # one without error has none
    assert band.get_paths()[0].vertices[:, 1].max() == 0.2 + 1.96 * 0.01
    assert axis.get_title() == "x y"
