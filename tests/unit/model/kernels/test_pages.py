from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from proband.core.running.lanes import LANES
from proband.model.kernels.pages import PAGE, Pages, Window, attend, attend_gathered, page_bytes
from proband.model.kernels.rotate import rotate
from proband.model.trunk.rotary import Rotary

HEADS, SIZE, NUM_PAGES = 2, 12, 40


def random_pages(seed: int = 0) -> Pages:
    torch.manual_seed(seed)
    pages = Pages.empty(NUM_PAGES, HEADS, SIZE, "cpu")
    pages.keys.normal_(std=3)
    pages.values[..., :SIZE].normal_()
    return pages


def random_rows(number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values of some rows, their turns and those to leading pages."""
    turns = [
        Rotary(SIZE)(torch.randint(0, 300, (number, 1)), torch.randint(0, 40_000_000, (number, 1)))
        for _ in range(2)
    ]
    return torch.randn(number, 3, HEADS, SIZE), turns[0], turns[1]


WINDOW = Window(
    table=np.array([[2, 5, 0, 3], [2, 6, 1, 0], [2, 4, 0, 0], [0, 0, 0, 0]], dtype=np.int32),
    used=np.array([[3, 16, 16, 9], [3, 16, 1, 0], [3, 1, 0, 0], [0, 0, 0, 0]], dtype=np.uint8),
    begin=np.array([2, 1, 1, 1]),
    skip=np.array([5, 0, 0, 0]),
    count=np.array([4, 3, 2, 0]),
    num_lead=1,
)
# (page, from, to) that each row reads, the leading ones first
READ = [[(2, 0, 3), (0, 5, 16), (3, 0, 9)], [(2, 0, 3), (6, 0, 16), (1, 0, 1)]]


def plain(projected: Tensor, turn: Tensor, lead_turn: Tensor | None, pages: Pages, row: int) -> Tensor:
    q = rotate(projected[row : row + 1, None, :1], turn[row : row + 1])
    q_lead = q if lead_turn is None else rotate(q, lead_turn[row : row + 1])
    keys = [pages.keys[page, :, :, a:b] for page, a, b in READ[row]]
    values = [pages.values[page, :, a:b, :SIZE] for page, a, b in READ[row]]
    scores = [
        (x[0, 0, 0, :, None] @ k).squeeze(1) for x, k in zip([q_lead, *[q] * len(keys)], keys, strict=False)
    ]
    weights = (torch.cat(scores, dim=1) / SIZE**0.5).softmax(1)
    return (weights[:, None] @ torch.cat(values, dim=1)).squeeze(1)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("function", [attend, attend_gathered])
def test_rows_read_their_windows_and_no_more(function, turned: bool) -> None:  # type: ignore[no-untyped-def]
    pages = random_pages()
    projected, turn, lead_turn = (item[:2] for item in random_rows(4))
    asked = projected, turn, lead_turn if turned else None
    found = function(*asked, pages, rows_of(WINDOW, slice(2)))
    key = rotate(projected[:1, None, 1:2], turn[:1])[0, 0, 0]
    torch.testing.assert_close(pages.keys[3, :, :, 8], key)
    assert torch.equal(pages.values[1, :, 0, :SIZE], projected[1, 2])
    for row in range(2):
        assert torch.allclose(found[row], plain(*asked, pages, row), atol=2e-6)
    changed = Pages(pages.keys.clone(), pages.values.clone())
    for page, at in ((0, slice(5)), (3, slice(9, 16)), (5, slice(None)), (4, slice(None))):
        changed.keys[page, :, :, at], changed.values[page, :, at] = 1e3, 1e3
    again = function(*asked, changed, rows_of(WINDOW, slice(2)))
    assert torch.equal(again, found)


def test_a_row_without_a_path_gives_zeros_and_writes_nothing() -> None:
    pages, rows = random_pages(), random_rows(4)
    before = pages.keys[0].clone()
    found = attend(*rows, pages, WINDOW)
    assert not found[3].any()
    assert torch.equal(pages.keys[0], before)
    assert torch.allclose(found, attend_gathered(*rows, pages, WINDOW), atol=2e-6)


def test_scores_far_apart_do_not_overflow() -> None:
    pages, (projected, *turns) = random_pages(), random_rows(4)
    projected[:, 0] *= 300
    found = attend(projected, *turns, pages, WINDOW)
    assert torch.allclose(found, attend_gathered(projected, *turns, pages, WINDOW), atol=1e-4)


def many_rows() -> Window:
    """Eleven rows of one history (pages 0 to 3), which some have begun to leave, and three of another."""
    table, used = np.zeros((14, 6), dtype=np.int32), np.zeros((14, 6), dtype=np.uint8)
    order = np.random.default_rng(0).permutation(14)
    for row, at in enumerate(order):
        pages, fill = ([0, 1, 2, 3], [4, 16, 16, 5]) if at < 11 else ([4, 5], [4, 9])
        own = [10 + 2 * row, 11 + 2 * row][: 1 + at % 2]
        number = len(pages) + len(own)
        table[row, :number] = pages + own
        used[row, :number] = [*fill, *[16] * (len(own) - 1), 1 + at]
    begin = np.where((order < 11) & (order % 3 == 0), 2, 1)
    return Window(table, used, begin, np.where(order % 4 == 0, 3, 0), (used > 0).sum(1), 1)


def test_rows_that_take_turns_give_what_each_gives_alone_to_the_bit() -> None:
    window, rows = many_rows(), random_rows(14)
    pages, others = random_pages(), random_pages()
    whole = attend(*rows, pages, window)
    assert torch.allclose(whole, attend_gathered(*rows, others, window), atol=2e-6)
    for row in range(14):
        one = slice(row, row + 1)
        assert torch.equal(attend(*(item[one] for item in rows), pages, rows_of(window, one)), whole[one])


def test_a_history_is_written_page_by_page() -> None:
    pages = Pages.empty(NUM_PAGES, HEADS, SIZE, "cpu")
    keys, values = torch.randn(2, HEADS, PAGE + 3, SIZE).unbind()
    pages.fill(np.array([4, 1]), keys, values)
    assert torch.equal(pages.keys[4].mT, keys[:, :PAGE])
    assert torch.equal(pages.values[1, :, :3, :SIZE], values[:, PAGE:])
    assert not pages.values[1, :, 3:].any()
    assert not pages.values[..., SIZE:].any()


def test_pages_are_as_long_as_lanes_and_take_the_memory_that_is_planned() -> None:
    assert PAGE == LANES
    pages = Pages.empty(NUM_PAGES, HEADS, SIZE, "cpu")
    assert pages.keys.nbytes + pages.values.nbytes == NUM_PAGES * page_bytes(HEADS, SIZE)


def rows_of(window: Window, rows: slice) -> Window:
    arrays = [getattr(window, name)[rows] for name in ("table", "used", "begin", "skip", "count")]
    return Window(*arrays, window.num_lead)
