"""Trees taught the truth: near it where inputs tell it, at chance where they tell nothing."""

from __future__ import annotations

import numpy as np
import pytest
from attainable import taught_risks
from expected_auroc import expected_auroc
from scipy.sparse import csr_matrix


def test_they_know_what_inputs_tell_and_nothing_of_noise() -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal((6000, 3)).astype(np.float32)
    hidden = random.standard_normal(6000)
    risk = 1 / (1 + np.exp(2 - x[:, 0] - 0.8 * x[:, 1] - 0.7 * hidden))
    noisy = random.binomial(50, risk) / 50  # of few futures
    split = np.repeat(["train", "tuning", "held_out"], [3500, 500, 2000])
    held_out, one = split == "held_out", np.ones((1, 2000))

    def auroc(risks: np.ndarray) -> float:
        return float(expected_auroc(risks[held_out], risk[held_out], one)[0])

    best = auroc(x[:, 0] + 0.8 * x[:, 1])
    assert auroc(taught_risks(csr_matrix(x), noisy, split)) == pytest.approx(best, abs=0.01)
    assert auroc(taught_risks(csr_matrix(x[:, 2:]), noisy, split)) == pytest.approx(0.5, abs=0.03)
    assert best < auroc(risk) - 0.02
