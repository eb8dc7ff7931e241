from __future__ import annotations

import numpy as np
import pytest
import torch

from proband.forecast.engine.sampling import draw_codes, path_uniforms


@pytest.mark.parametrize(
    ("uniform", "code"), [(1e-12, 1), (0.2499, 1), (0.2501, 3), (0.7499, 3), (0.7501, 4), (1 - 1e-16, 4)]
)
def test_draws_by_hand(uniform: float, code: int) -> None:
    probabilities = torch.tensor([[0.0, 0.5, 0.0, 1.0, 0.5, 0.0]])  # need not sum to one
    assert draw_codes(probabilities, torch.tensor([uniform], dtype=torch.float64)).tolist() == [code]


def test_a_code_without_mass_is_never_drawn() -> None:
    rng = np.random.default_rng(0)
    probabilities = torch.from_numpy(rng.random((5000, 40)).astype(np.float32))
    probabilities[torch.from_numpy(rng.random((5000, 40)) < 0.7)] = 0
    probabilities[:, 7] += 1e-6
    drawn = draw_codes(probabilities, torch.from_numpy(rng.random(5000)))
    assert (probabilities.gather(1, drawn[:, None]) > 0).all()


def test_draws_are_named_by_subject_path_and_step() -> None:
    ids, paths, steps = np.array([5, 5, 9]), np.array([0, 1, 0]), np.array([3, 3, 3])
    draws = path_uniforms(0, "gap", ids, paths, steps)
    assert len(set(draws.tolist())) == 3
    assert path_uniforms(0, "gap", ids[2:], paths[2:], steps[2:]).tolist() == draws[2:].tolist()
    assert path_uniforms(0, "code", ids, paths, steps).tolist() != draws.tolist()
    assert path_uniforms(0, "gap", ids, paths, steps + 1).tolist() != draws.tolist()
