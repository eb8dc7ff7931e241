from __future__ import annotations

import torch

from proband.model.heads import OnceMask, WhatHead, WhenHead
from small_world import model_config


def once_mask(*tokens: int) -> OnceMask:
    flags = torch.zeros(8, dtype=torch.bool)
    flags[list(tokens)] = True
    return OnceMask(flags)


def masked_codes(once: OnceMask, tokens: list[int], before: list[int], position: int) -> set[int]:
    first = once.first_positions(torch.tensor([tokens]), torch.tensor([before]))
    return set(once.mask(first, torch.tensor([position]))[0].nonzero().squeeze(-1).tolist())


def test_a_code_is_masked_from_its_position_on() -> None:
    once = once_mask(3, 5, 7)
    tokens = [1, 3, 2, 5, 3]
    assert [masked_codes(once, tokens, [0], p) for p in range(5)] == [set(), {3}, {3}, {3, 5}, {3, 5}]


def test_codes_before_the_window_are_masked_everywhere_and_padding_nowhere() -> None:
    once = once_mask(3, 5)
    assert masked_codes(once, [2, 2, 0, 0], [5, 0], 0) == {5}
    assert masked_codes(once, [2, 3, 0, 0], [5, 0], 3) == {3, 5}
    assert masked_codes(once, [2, 2], [4], 1) == set()  # 4 may repeat


def test_rows_do_not_mix() -> None:
    first = once_mask(3).first_positions(torch.tensor([[3, 2], [2, 2]]), torch.tensor([[0], [0]]))
    mask = once_mask(3).mask(first, torch.tensor([1, 1]))
    assert mask[:, 3].tolist() == [True, False]


def test_no_code_happens_once() -> None:
    assert masked_codes(once_mask(), [1, 2, 3], [0], 2) == set()


def test_padding_birth_and_masked_codes_have_no_probability() -> None:
    torch.manual_seed(0)
    head = WhatHead(model_config(), 5)
    masked = torch.zeros(2, 8, dtype=torch.bool)
    masked[1, [3, 7]] = True
    found = head(torch.randn(2, 16), torch.tensor([0, 4]), torch.randn(8, 16), masked).exp()
    assert found.dtype == torch.float32
    assert torch.allclose(found.sum(-1), torch.ones(2))
    assert found[0].gt(0).tolist() == [False, False, True, True, True, True, True, True]
    assert found[1].gt(0).tolist() == [False, False, True, False, True, True, True, False]


def test_the_gap_informs_the_code() -> None:
    torch.manual_seed(0)
    head = WhatHead(model_config(), 5)
    hidden, embedding = torch.randn(1, 16), torch.randn(8, 16)
    found = [head(hidden, torch.tensor([gap]), embedding, None) for gap in (0, 4)]
    assert not torch.allclose(found[0][:, 2:], found[1][:, 2:])


def test_the_when_head_starts_at_its_bias() -> None:
    head = WhenHead(model_config(), 4)
    with torch.no_grad():
        head.output.bias.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]).log())
    assert torch.allclose(head(torch.randn(3, 16)).exp(), torch.tensor([0.1, 0.2, 0.3, 0.4]).expand(3, -1))
