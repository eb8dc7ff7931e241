from __future__ import annotations

import numpy as np

from proband.core.running import lanes
from proband.core.running.compiled import compiled
from proband.core.running.lanes import LANES

X, Y, Z = np.random.default_rng(0).normal(size=(3, LANES)).astype(np.float32) * 3


def every_way(x, y, z, out):
    a, b, c = lanes.load(x, 0), lanes.load(y, 0), lanes.load(z, 0)
    lanes.prefetch(x, 10**9)
    found = (
        a + b,
        a - b,
        a * b,
        a / b,
        lanes.multiply_add(a, b, c),
        lanes.largest(a, b),
        lanes.smallest(a, b),
        lanes.floor(a),
        lanes.power_of_two(lanes.floor(a)),
        lanes.between(a, 3, 12, np.float32(-5)),
        lanes.broadcast(y[2]),
        lanes.broadcast_from(y, 7),
    )
    for number in range(len(found)):
        lanes.store(out, number * LANES, found[number])
    return lanes.reduce_sum(a), lanes.highest(a)


def test_lanes_do_what_numpy_does() -> None:
    out = np.zeros(12 * LANES, dtype=np.float32)
    total, highest = compiled(every_way)(X, Y, Z, out)
    inside = (np.arange(LANES) >= 3) & (np.arange(LANES) < 12)
    expected = [
        X + Y,
        X - Y,
        X * Y,
        X / Y,
        X * Y + Z,
        np.maximum(X, Y),
        np.minimum(X, Y),
        np.floor(X),
        2 ** np.floor(X),
        np.where(inside, X, -5),
        np.full(LANES, Y[2]),
        np.full(LANES, Y[7]),
    ]
    np.testing.assert_allclose(out.reshape(12, LANES), expected, rtol=1e-6, atol=1e-6)
    assert highest == X.max()
    np.testing.assert_allclose(total, X.sum(), rtol=1e-6)


def test_the_lowest_exponent_gives_zero() -> None:
    out = np.full(LANES, -127, dtype=np.float32)

    def powers(x):
        lanes.store(x, 0, lanes.power_of_two(lanes.load(x, 0)))

    compiled(powers)(out)
    assert not out.any()
