from __future__ import annotations

import pytest
import torch

from proband.model.heads import WhatHead, WhenHead, first_positions
from small_world import model_config


def flags(*tokens: int) -> torch.Tensor:
    found = torch.zeros(8, dtype=torch.bool)
    found[list(tokens)] = True
    return found


def seen_at(tokens: list[int], before: list[int], position: int) -> set[int]:
    first = first_positions(torch.tensor([tokens]), torch.tensor([before]), 8)
    return set((first[0] <= position).nonzero().squeeze(-1).tolist())


def test_a_code_is_seen_from_its_position_on() -> None:
    tokens = [1, 3, 2, 5, 3]
    found = [seen_at(tokens, [0], position) - {0} for position in range(5)]
    assert found == [{1}, {1, 3}, {1, 2, 3}, {1, 2, 3, 5}, {1, 2, 3, 5}]


def test_codes_before_the_window_are_seen_everywhere() -> None:
    assert seen_at([2, 2, 0, 0], [5, 0], 0) - {0} == {2, 5}
    assert seen_at([2, 3, 0, 0], [5, 0], 3) - {0} == {2, 3, 5}


def test_rows_do_not_mix() -> None:
    first = first_positions(torch.tensor([[3, 2], [2, 2]]), torch.tensor([[0], [0]]), 8)
    assert (first <= 1)[:, 3].tolist() == [True, False]


def test_padding_birth_and_had_codes_that_happen_once_have_no_probability() -> None:
    torch.manual_seed(0)
    head = WhatHead(model_config(), 5, flags(3, 7))
    seen = torch.stack([flags(), flags(2, 3, 7)])
    found = head(torch.randn(2, 16), torch.tensor([0, 4]), torch.randn(8, 16), seen).exp()
    assert found.dtype == torch.float32
    assert torch.allclose(found.sum(-1), torch.ones(2))
    assert found[0].gt(0).tolist() == [False, False, True, True, True, True, True, True]
    assert found[1].gt(0).tolist() == [False, False, True, False, True, True, True, False]


def test_a_had_code_has_a_bias_of_its_own() -> None:
    torch.manual_seed(0)
    head = WhatHead(model_config(), 5, flags())
    with torch.no_grad():
        head.repeat[4] = 1.5
    hidden, embedding = torch.randn(1, 16), torch.randn(8, 16)
    new, had = (head(hidden, torch.tensor([2]), embedding, seen[None]) for seen in (flags(), flags(4, 5)))
    odds = (had - had[:, 6:7]) - (new - new[:, 6:7])
    assert odds[0, [4, 5]].tolist() == pytest.approx([1.5, 0.0], abs=1e-5)


def test_the_gap_informs_the_code() -> None:
    torch.manual_seed(0)
    head = WhatHead(model_config(), 5, flags())
    hidden, embedding = torch.randn(1, 16), torch.randn(8, 16)
    found = [head(hidden, torch.tensor([gap]), embedding, flags()[None]) for gap in (0, 4)]
    assert not torch.allclose(found[0][:, 2:], found[1][:, 2:])


def test_the_when_head_starts_at_its_bias() -> None:
    head = WhenHead(model_config(), 4)
    with torch.no_grad():
        head.output.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]).log())
    assert torch.allclose(head(torch.randn(3, 16)).exp(), torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(3, -1))
