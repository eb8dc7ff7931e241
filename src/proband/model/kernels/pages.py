"""Keys and values of single positions in pages, and attention to them.

A page holds ``PAGE`` positions of one history or one path. What a row attends to is a list of page numbers,
so a history's pages serve any number of paths, a path grows without being copied, and rows may change places
by their lists alone.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from proband.model.kernels.rotate import RotaryAngles, rotate

PAGE = 16
"""Positions of a page: as many as compiled code works on at once: :data:`proband.core.running.lanes.LANES`"""


class Places(NamedTuple):
    """A window as tensors on the device of the pages.

    Attributes:
        table: Page numbers; 0 where nothing is read.
        known: Positions that are read.
        leading: Whether a page is a leading one.
        live: Rows that hold a path.
        page: The page to which each of them writes.
        at: The position there.
    """

    table: Int[Tensor, "rows wide"]
    known: Bool[Tensor, "rows wide page"]
    leading: Bool[Tensor, " wide"]
    live: Int[Tensor, " live"]
    page: Int[Tensor, " live"]
    at: Int[Tensor, " live"]


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
        device: Where the pages lie.
    """

    table: Int[np.ndarray, "rows width"]
    used: UInt8[np.ndarray, "rows width"]
    begin: Int[np.ndarray, " rows"]
    skip: Int[np.ndarray, " rows"]
    count: Int[np.ndarray, " rows"]
    num_lead: int
    device: torch.device | str = "cpu"

    @functools.cached_property
    def order(self) -> Int[np.ndarray, " rows"]:
        """All rows; those that share a first page lie next to each other."""
        return np.argsort(self.table[:, 0], kind="stable")

    @functools.cached_property
    def places(self) -> Places:
        """The window as tensors, made once for all blocks."""
        wide = max(int(self.count.max()), 1)
        page, at = np.arange(wide), np.arange(PAGE)
        read = (page < self.count[:, None]) & ((page >= self.begin[:, None]) | (page < self.num_lead))
        first = np.where(page == self.begin[:, None], self.skip[:, None], 0)
        known = read[..., None] & (at < self.used[:, :wide, None]) & (at >= first[..., None])
        live = np.flatnonzero(self.count)
        own = live, self.count[live] - 1
        arrays = (
            np.where(read, self.table[:, :wide], 0),
            known,
            page < self.num_lead,
            live,
            self.table[own].astype(np.int64),
            self.used[own].astype(np.int64) - 1,
        )
        return Places(*(torch.from_numpy(array).to(self.device) for array in arrays))


@dataclass(frozen=True)
class Pages:
    """One block's keys and values.

    Attributes:
        keys: By head, one after another along the last axis.
        values: Likewise, one row each, filled up with zeros to a multiple of twice the lanes.
    """

    keys: Float[Tensor, "pages heads head_dim page"]
    values: Float[Tensor, "pages heads page wide"]

    @classmethod
    def empty(cls, num_pages: int, num_heads: int, head_dim: int, device: torch.device | str) -> Pages:
        """Pages of zeros, which take memory only once they are written."""
        shape = (num_pages, num_heads)
        # NumPy's, since it asks the system for large memory pages, which are a good deal faster to address.
        keys, values = (
            torch.from_numpy(np.zeros((*shape, *page), dtype=np.float32)).to(device)
            for page in ((head_dim, PAGE), (PAGE, _wide(head_dim)))
        )
        return cls(keys, values)

    def fill(
        self,
        pages: Int[np.ndarray, " pages"],
        keys: Float[Tensor, "heads length head_dim"],
        values: Float[Tensor, "heads length head_dim"],
    ) -> None:
        """Write a history's keys and values to ``pages``, in order."""
        heads, length, size = keys.shape
        padding = (0, 0, 0, len(pages) * PAGE - length)
        into = torch.from_numpy(pages).to(self.keys.device)
        paged = [F.pad(item, padding).view(heads, len(pages), PAGE, size) for item in (keys, values)]
        self.keys[into] = paged[0].permute(1, 0, 3, 2).to(self.keys.dtype)
        self.values[into, :, :, :size] = paged[1].permute(1, 0, 2, 3).to(self.values.dtype)

    def write(
        self,
        places: Places,
        keys: Float[Tensor, "rows heads head_dim"],
        values: Float[Tensor, "rows heads head_dim"],
    ) -> None:
        """Write each row's own token to the last position its window uses."""
        live, page, at = places.live, places.page, places.at
        self.keys[page, :, :, at] = keys[live]
        self.values[page, :, at, : values.shape[-1]] = values[live]


def page_bytes(num_heads: int, head_dim: int) -> int:
    """Memory of a page's keys and values in one block."""
    return 4 * num_heads * PAGE * (head_dim + _wide(head_dim))


def _wide(head_dim: int) -> int:
    return 2 * PAGE * math.ceil(head_dim / (2 * PAGE))


def attend(
    projected: Float[Tensor, "rows 3 heads head_dim"],
    angles: RotaryAngles,
    lead_angles: RotaryAngles | None,
    pages: Pages,
    window: Window,
) -> Float[Tensor, "rows heads head_dim"]:
    """Write each row's own key and value, then softmax attention of each row to its window.

    Args:
        projected: Queries, keys and values of the rows' own positions.
        angles: Rotary angles of queries and keys.
        lead_angles: Further rotation of queries to the leading pages, if any.
        pages: Keys and values.
        window: Where to look.

    Returns:
        What each row read; zeros for a row without a window.
    """
    if projected.device.type != "cpu":
        return attend_gathered(projected, angles, lead_angles, pages, window)
    # Imported here: numba takes a fifth of a second, which training need not pay.
    from proband.model.kernels.paged_numba import attend_paged

    mixed = torch.empty(len(projected), *projected.shape[2:])
    attend_paged(
        projected.detach().contiguous().numpy(),
        angles[:, 0, 0, 0].numpy(),
        (angles[:0] if lead_angles is None else lead_angles)[:, 0, 0, 0].numpy(),
        pages.keys.numpy(),
        pages.values.numpy(),
        window.table,
        window.used,
        window.begin,
        window.skip,
        window.count,
        window.order,
        window.num_lead,
        mixed.numpy(),
    )
    return mixed


def attend_gathered(
    projected: Float[Tensor, "rows 3 heads head_dim"],
    angles: RotaryAngles,
    lead_angles: RotaryAngles | None,
    pages: Pages,
    window: Window,
) -> Float[Tensor, "rows heads head_dim"]:
    """:func:`attend` on any device, with each row's pages gathered to one stretch."""
    q, k = rotate(projected[:, None, :2], angles)[:, 0].unbind(1)
    q_lead = q if lead_angles is None else rotate(q[:, None, None], lead_angles)[:, 0, 0]
    places = window.places
    pages.write(places, k, projected[:, 2])
    chosen = torch.where(places.leading[:, None, None], q_lead[:, None], q[:, None])
    scores = torch.einsum("rjhd,rjhdt->rhjt", chosen, pages.keys[places.table]) * q.shape[-1] ** -0.5
    scores = scores.masked_fill(~places.known[:, None], -torch.inf)
    weights = scores.flatten(2).softmax(-1).nan_to_num().view_as(scores)
    mixed = torch.einsum("rhjt,rjhtd->rhd", weights, pages.values[places.table])
    return mixed[..., : q.shape[-1]]
