from __future__ import annotations

import time

import numpy as np
import pytest
from jaxtyping import TypeCheckError, config

from proband.evaluate.metrics.calibration import logit


def is_refused() -> bool:
    try:
        logit(np.full((2, 2), 0.5))
    except TypeCheckError:
        return True
    return False


@pytest.mark.parametrize("seconds", [1.2, 0])
def test_shapes_are_checked_at_the_beginning_of_every_test(seconds: float) -> None:
    assert is_refused()
    time.sleep(seconds)
    assert config.jaxtyping_disable == bool(seconds)
    assert is_refused() != bool(seconds)
