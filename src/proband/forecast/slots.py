"""The paths that run together, one per slot, and the histories they go on from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.forecast.sums import PathSums
from proband.model.fusion import Prepared


@dataclass
class Started:
    """A history that was read and that paths go on from.

    Attributes:
        point: Which history of the queue.
        pages: Its pages in the cache.
        length: Its tokens.
        hidden: State after its last token.
        age: Age at its last token, minutes.
        start: Prediction time, minutes.
        had: Codes the subject has had.
        statics: Static codes.
        prepared: Per block, what the fusion layer prepared.
        subject_id: For the random streams.
        sums: What its paths gave.
        num_paths: Paths to draw, over all arms.
        begun: Paths begun.
        ended: Paths ended.
    """

    point: int
    pages: Int[np.ndarray, " pages"]
    length: int
    hidden: Float[Tensor, " dim"]
    age: int
    start: int
    had: Bool[Tensor, " vocabulary"]
    statics: Int[Tensor, " statics"]
    prepared: list[Prepared]
    subject_id: int
    sums: PathSums
    num_paths: int
    begun: int = 0
    ended: int = 0


class Slots:
    """State of the paths; the first ``live`` slots are in use.

    Args:
        like: A history, for shapes, types and device.
        num_slots: Paths at most.
        num_outcomes: Outcomes that are summed up on one path.
        num_horizons: Horizons.

    Attributes:
        hidden: State after the path's last token.
        had: Codes had in history and path.
        statics: Static codes.
        prepared: Per block, what the fusion layer prepared.
        age, previous: Ages at the last token and the one before it, minutes.
        token: The last token.
        position: Its position, leading positions counted.
        start: Prediction time.
        step: Events so far.
        hit_at: First horizon by which the outcome happened; their number if it has not.
        expected: Sum of p before the outcome happened, by the first horizon it counts for; the last column
            is for what lies beyond all.
        log_escape: Sum of log(1 − p), likewise, where the outcome cannot happen.
        arm: The outcome that cannot happen on the path; 0 where all can.
        path: Number of the path in its arm.
        subject_id: For the random streams.
        origin: The history each path goes on from.
        live: Slots in use.
    """

    def __init__(self, like: Started, num_slots: int, num_outcomes: int, num_horizons: int) -> None:
        def empty(item: Tensor) -> Tensor:
            return item.new_zeros(num_slots, *item.shape)

        def numbers() -> Int[Tensor, " slots"]:
            return torch.zeros(num_slots, dtype=torch.int64, device=like.hidden.device)

        sums = (num_slots, num_outcomes, num_horizons + 1)
        self.hidden, self.had, self.statics = empty(like.hidden), empty(like.had), empty(like.statics)
        self.prepared = [tuple(empty(item) for item in block) for block in like.prepared]
        self.age, self.previous, self.token, self.position = numbers(), numbers(), numbers(), numbers()
        self.start, self.step = numbers(), numbers()
        self.hit_at = torch.zeros(sums[:2], dtype=torch.int64, device=like.hidden.device)
        self.expected = torch.zeros(sums, dtype=torch.float64, device=like.hidden.device)
        self.log_escape = torch.zeros_like(self.expected)
        self.arm = numbers()
        self.path, self.subject_id = np.zeros((2, num_slots), dtype=np.int64)
        self.origin: list[Started] = []
        self.live = 0

    def _tensors(self) -> list[Tensor]:
        own = [value for value in vars(self).values() if isinstance(value, Tensor)]
        return own + [item for block in self.prepared for item in block]

    def begin(self, origin: Started, paths: slice, first_position: int, arm: int, path: int) -> None:
        """Begin paths ``path``, ``path`` + 1, ... of one arm in the empty slots ``paths``."""
        for name in ("hidden", "had", "statics", "age", "start"):
            getattr(self, name)[paths] = getattr(origin, name)
        for store, block in zip(self.prepared, origin.prepared, strict=True):
            for to, item in zip(store, block, strict=True):
                to[paths] = item
        self.position[paths], self.arm[paths], self.step[paths] = first_position, arm, 0
        self.expected[paths], self.log_escape[paths] = 0, 0
        self.hit_at[paths] = self.expected.shape[-1] - 1
        self.path[paths] = path + np.arange(paths.stop - paths.start)
        self.subject_id[paths] = origin.subject_id
        self.origin += [origin] * (paths.stop - paths.start)
        self.live = paths.stop

    def move(self, to: Int[np.ndarray, " moved"], origin: Int[np.ndarray, " moved"], live: int) -> None:
        """Let the paths in slots ``origin`` go on in ``to``, so that the first ``live`` are all in use."""
        into, out_of = torch.from_numpy(to), torch.from_numpy(origin)
        for tensor in self._tensors():
            tensor[into] = tensor[out_of]
        for array in (self.path, self.subject_id):
            array[to] = array[origin]
        for hole, last in zip(to.tolist(), origin.tolist(), strict=True):
            self.origin[hole] = self.origin[last]
        del self.origin[live:]
        self.live = live
