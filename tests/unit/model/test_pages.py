from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from proband.model.pages import PAGE, Pages, Window, attend, attend_gathered

HEADS, SIZE, NUM_PAGES = 2, 8, 7


def random_pages(seed: int = 0) -> Pages:
    torch.manual_seed(seed)
    pages = Pages.empty(NUM_PAGES, HEADS, SIZE, "cpu")
    pages.keys.normal_(std=3)
    pages.values.normal_()
    return pages


WINDOW = Window(
    table=np.array([[2, 5, 0, 3], [2, 6, 1, 0], [2, 4, 0, 0], [0, 0, 0, 0]], dtype=np.int32),
    used=np.array([[3, 32, 32, 9], [3, 32, 1, 0], [3, 1, 0, 0], [0, 0, 0, 0]], dtype=np.uint8),
    begin=np.array([2, 1, 1, 1]),
    skip=np.array([5, 0, 0, 0]),
    count=np.array([4, 3, 2, 0]),
    num_lead=1,
)
# (page, from, to) that each row reads, the leading ones first
READ = [[(2, 0, 3), (0, 5, 32), (3, 0, 9)], [(2, 0, 3), (6, 0, 32), (1, 0, 1)]]


def plain(q: Tensor, q_lead: Tensor, pages: Pages, row: int) -> Tensor:
    keys = [pages.keys[page, :, :, a:b].mT for page, a, b in READ[row]]
    values = [pages.values[page, :, a:b] for page, a, b in READ[row]]
    scores = [
        (x[row, :, None] @ k.mT).squeeze(1) for x, k in zip([q_lead, *[q] * len(keys)], keys, strict=False)
    ]
    weights = (torch.cat(scores, dim=1) / SIZE**0.5).softmax(1)
    return (weights[:, None] @ torch.cat(values, dim=1)).squeeze(1)


@pytest.mark.parametrize("function", [attend, attend_gathered])
def test_rows_read_their_windows_and_no_more(function) -> None:  # type: ignore[no-untyped-def]
    pages = random_pages()
    q, q_lead, k, v = torch.randn(4, 4, HEADS, SIZE).unbind()
    found = function(q[:2], q_lead[:2], k[:2], v[:2], pages, rows_of(WINDOW, slice(2)))
    assert torch.equal(pages.keys[3, :, :, 8], k[0])
    assert torch.equal(pages.values[1, :, 0], v[1])
    for row in range(2):
        assert torch.allclose(found[row], plain(q, q_lead, pages, row), atol=2e-6)
    changed = Pages(pages.keys.clone(), pages.values.clone())
    for page, at in ((0, slice(5)), (3, slice(9, 32)), (5, slice(None)), (4, slice(None))):
        changed.keys[page, :, :, at], changed.values[page, :, at] = 1e3, 1e3
    again = function(q[:2], q_lead[:2], k[:2], v[:2], changed, rows_of(WINDOW, slice(2)))
    assert torch.equal(again, found)


def test_a_row_without_a_path_gives_zeros_and_writes_nothing() -> None:
    pages, (q, k, v) = random_pages(), torch.randn(3, 4, HEADS, SIZE).unbind()
    before = pages.keys[0].clone()
    found = attend(q, q, k, v, pages, WINDOW)
    assert not found[3].any()
    assert torch.equal(pages.keys[0], before)
    assert torch.allclose(found, attend_gathered(q, q, k, v, pages, WINDOW), atol=2e-6)


def test_scores_far_apart_do_not_overflow() -> None:
    pages, (q, k, v) = random_pages(), torch.randn(3, 4, HEADS, SIZE).unbind()
    found = attend(300 * q, 300 * q, k, v, pages, WINDOW)
    assert torch.allclose(found, attend_gathered(300 * q, 300 * q, k, v, pages, WINDOW), atol=1e-4)


def test_a_row_gives_the_same_bits_wherever_it_stands() -> None:
    pages, (q, k, v) = random_pages(), torch.randn(3, 4, HEADS, SIZE).unbind()
    whole = attend(q, q, k, v, pages, WINDOW)
    one = slice(1, 2)
    assert torch.equal(attend(q[one], q[one], k[one], v[one], pages, rows_of(WINDOW, one)), whole[one])


def test_a_history_is_written_page_by_page() -> None:
    pages = Pages.empty(NUM_PAGES, HEADS, SIZE, "cpu")
    keys, values = torch.randn(2, HEADS, PAGE + 3, SIZE).unbind()
    pages.fill(np.array([4, 1]), keys, values)
    assert torch.equal(pages.keys[4].mT, keys[:, :PAGE])
    assert torch.equal(pages.values[1, :, :3], values[:, PAGE:])
    assert not pages.values[1, :, 3:].any()


def rows_of(window: Window, rows: slice) -> Window:
    arrays = [getattr(window, name)[rows] for name in ("table", "used", "begin", "skip", "count")]
    return Window(*arrays, window.num_lead)
