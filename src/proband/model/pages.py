"""Keys and values of single positions in pages, and attention to them.

A page holds ``PAGE`` positions of one history or one path. What a row attends to is a list of page numbers,
so a history's pages serve any number of paths, a path grows without being copied, and rows may change places
by their lists alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

PAGE = 32
"""Positions of a page: long enough to be read at full speed, short enough to waste little at a path's end."""


@dataclass(frozen=True)
class Window:
    """What each row of a step attends to: its leading pages, then its pages from ``begin`` to ``count``.

    The last page's last used position is that of the step's own token; attention writes it.

    Attributes:
        table: Page numbers.
        used: Positions in use per page.
        begin: First page read after the leading ones.
        skip: Positions of that page that are no longer read.
        count: End of the pages in use; 0 for a row that holds no path.
        num_lead: Leading pages, which are always read.
    """

    table: Int[np.ndarray, "rows width"]
    used: UInt8[np.ndarray, "rows width"]
    begin: Int[np.ndarray, " rows"]
    skip: Int[np.ndarray, " rows"]
    count: Int[np.ndarray, " rows"]
    num_lead: int


@dataclass(frozen=True)
class Pages:
    """One block's keys (pages, heads, head_dim, PAGE) and values (pages, heads, PAGE, head_dim)."""

    keys: Float[Tensor, "pages heads head_dim page"]
    values: Float[Tensor, "pages heads page head_dim"]

    @classmethod
    def empty(cls, num_pages: int, num_heads: int, head_dim: int, device: torch.device | str) -> Pages:
        """Pages of zeros, which take memory only once they are written."""
        shape = (num_pages, num_heads)
        # NumPy's, since it asks the system for large memory pages, which are a good deal faster to address.
        keys, values = (
            torch.from_numpy(np.zeros((*shape, *page), dtype=np.float32)).to(device)
            for page in ((head_dim, PAGE), (PAGE, head_dim))
        )
        return cls(keys, values)

    def fill(
        self,
        pages: Int[np.ndarray, " pages"],
        keys: Float[Tensor, "heads length head_dim"],
        values: Float[Tensor, "heads length head_dim"],
    ) -> None:
        """Write a history's keys and values to ``pages``, in order."""
        room = (0, 0, 0, len(pages) * PAGE - keys.shape[1])
        heads, _, size = keys.shape
        for store, item, axes in ((self.keys, keys, (1, 0, 3, 2)), (self.values, values, (1, 0, 2, 3))):
            paged = torch.nn.functional.pad(item, room).view(heads, len(pages), PAGE, size)
            store[torch.from_numpy(pages).to(store.device)] = paged.permute(axes).to(store.dtype)

    def write(
        self,
        window: Window,
        keys: Float[Tensor, "rows heads head_dim"],
        values: Float[Tensor, "rows heads head_dim"],
    ) -> None:
        """Write each row's own token to the last position its window uses."""
        rows = np.flatnonzero(window.count)
        last = window.count[rows] - 1
        page = torch.from_numpy(window.table[rows, last].astype(np.int64)).to(self.keys.device)
        at = torch.from_numpy(window.used[rows, last].astype(np.int64) - 1).to(self.keys.device)
        live = torch.from_numpy(rows).to(self.keys.device)
        self.keys[page, :, :, at] = keys[live]
        self.values[page, :, at] = values[live]


def attend(
    q: Float[Tensor, "rows heads head_dim"],
    q_lead: Float[Tensor, "rows heads head_dim"],
    k: Float[Tensor, "rows heads head_dim"],
    v: Float[Tensor, "rows heads head_dim"],
    pages: Pages,
    window: Window,
) -> Float[Tensor, "rows heads head_dim"]:
    """Write each row's own key and value, then softmax attention of each row to its window.

    Args:
        q: Queries.
        q_lead: Queries for the leading pages, which may be turned otherwise.
        k: Keys of the rows' own positions.
        v: Values of the rows' own positions.
        pages: Keys and values.
        window: Where to look.

    Returns:
        What each row read; zeros for a row without a window.
    """
    if q.device.type != "cpu":
        return attend_gathered(q, q_lead, k, v, pages, window)
    # Imported here: numba takes a fifth of a second, which training need not pay.
    from proband.model.compiled import attend_paged

    mixed = torch.empty(q.shape)
    attend_paged(
        *(item.detach().contiguous().numpy() for item in (q, q_lead, k, v)),
        pages.keys.numpy(),
        pages.values.numpy(),
        window.table,
        window.used,
        window.begin,
        window.skip,
        window.count,
        window.num_lead,
        q.shape[-1] ** -0.5,
        mixed.numpy(),
    )
    return mixed


def attend_gathered(q: Tensor, q_lead: Tensor, k: Tensor, v: Tensor, pages: Pages, window: Window) -> Tensor:
    """:func:`attend` on any device, with each row's pages gathered to one stretch."""
    pages.write(window, k, v)
    rows, heads, size = q.shape
    wide = max(int(window.count.max()), 1)
    page, at = np.arange(wide), np.arange(PAGE)
    read = (page < window.count[:, None]) & ((page >= window.begin[:, None]) | (page < window.num_lead))
    first = np.where(page == window.begin[:, None], window.skip[:, None], 0)
    known = read[..., None] & (at < window.used[:, :wide, None]) & (at >= first[..., None])
    table = torch.from_numpy(np.where(read, window.table[:, :wide], 0)).to(q.device)
    leading = torch.arange(wide, device=q.device) < window.num_lead
    chosen = torch.where(leading[:, None, None], q_lead[:, None], q[:, None])
    scores = torch.einsum("rjhd,rjhdt->rhjt", chosen, pages.keys[table]) * size**-0.5
    scores = scores.masked_fill(~torch.from_numpy(known).to(q.device)[:, None], -torch.inf)
    weights = scores.flatten(2).softmax(-1).nan_to_num().view(rows, heads, wide, PAGE)
    return torch.einsum("rhjt,rjhtd->rhd", weights, pages.values[table])
