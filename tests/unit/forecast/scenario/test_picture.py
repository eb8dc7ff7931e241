import numpy as np
import polars as pl
from matplotlib.figure import Figure

from proband.forecast.scenario.picture import draw_differences, draw_exact, draw_risks

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
    unknown = {"fit_error": pl.lit(None, pl.Float64)}
    own = risks((None, 5.0, 0.2)).drop("scenario")
    own = own.with_columns(outcome=pl.lit("x_y"), standard_error=0.01, **unknown)
    changed = risks(("stop_smoking", 5.0, 0.1)).with_columns(standard_error=0.0, **unknown)
    draw_risks(axis, own, changed, COLOURS)
    assert [line.get_label() for line in axis.get_lines()] == ["as it is", "stop smoking"]
    (band,) = axis.collections  # one without error has none
    assert band.get_paths()[0].vertices[:, 1].max() == 0.2 + 1.96 * 0.01
    assert axis.get_title() == "x y"


def test_risks_in_closed_form_have_bands_of_their_fit():
    """An interval reaches 2.776 errors to both sides, and not below 0."""
    axis = Figure().subplots()
    errors = {"standard_error": 0.0, "fit_error": 0.02}
    own = risks((None, 1.0, 0.01), (None, 5.0, 0.2)).drop("scenario")
    own = own.with_columns(outcome=pl.lit("x"), **{name: pl.lit(one) for name, one in errors.items()})
    draw_risks(axis, own, risks().with_columns(standard_error=pl.lit(0.0), fit_error=pl.lit(0.0)), COLOURS)
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0.0, 0.2 + 2.776 * 0.02)
    last = risks(("stop_smoking", 5.0, 0.1)).with_columns(
        outcome=pl.lit("x"), difference=pl.lit(-0.1), standard_error=pl.lit(0.0), fit_error=pl.lit(0.01)
    )
    draw_differences(axis, last, ["x"], {"stop_smoking": "red"})
    low, high = axis.collections[-1].get_segments()[0][:, 1]
    np.testing.assert_allclose([low, high], [-10 - 2.776, -10 + 2.776])
