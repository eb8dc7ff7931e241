"""Lines of fewer points pass those that are left out."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from proband.report.figures.simplify import TOLERANCE, simplified

POINTS = arrays(np.float64, st.tuples(st.integers(2, 60), st.just(2)), elements=st.floats(-300, 300))


def farthest(points, line):
    """Largest distance of any point from the nearest stretch of a line."""
    begin, along = line[:-1], np.diff(line, axis=0)
    off = points[:, None] - begin
    length = np.maximum((along**2).sum(axis=1), 1e-300)
    share = np.clip((off * along).sum(axis=2) / length, 0, 1)
    return np.linalg.norm(off - share[:, :, None] * along, axis=2).min(axis=1).max()


@given(POINTS)
def test_no_point_is_farther_from_the_line_than_the_tolerance(points):
    line = simplified(points)
    assert farthest(points, line) <= TOLERANCE + 1e-9
    assert (line[0] == points[0]).all()
    assert (line[-1] == points[-1]).all()
    rows = iter(points.tolist())
    assert all(any(row == other for other in rows) for row in line.tolist())  # in order


def test_a_smooth_curve_of_many_points_needs_few():
    x = np.linspace(0, 240, 200)
    curve = np.stack([x, 180 * (x / 240) ** 0.3], axis=1)
    assert len(simplified(curve)) < 30
