"""The paths that run together, one per slot, and the histories they go on from."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.forecast.engine.clocks import onset_minutes
from proband.forecast.engine.request import End, Question, Trajectory
from proband.forecast.estimators.path_values import PathValues
from proband.model.fusion.layer import Prepared

MAIN = -1
"""Branch of an ordinary path; a path on which one outcome cannot happen has the outcome's number."""


_OF_HISTORY = ("hidden", "seen", "statics", "age", "log_wait", "start", "at_least", "pending")
"""What a path takes over from its history."""


@dataclass(eq=False)
class Started:
    """A history that was read and that paths go on from.

    Attributes:
        point: Which history of the queue.
        pages: Its pages in the cache.
        length: Its tokens.
        hidden: State after its last token.
        age: Age at its last token, minutes.
        log_wait: Log expected years of waiting with which the last token's time stamp came.
        start: Prediction time, minutes.
        at_least: Smallest gap of a path's first event, in steps.
        seen: Codes in the history.
        statics: Static codes.
        prepared: Per block, what the fusion layer prepared.
        subject_id: For the random streams.
        asked: Which outcomes are asked about.
        values: What its paths contribute.
        onsets: Cumulative hazard of each clock at the ends of months, the first 0.
        pending: Clocks that run.
        num_paths: Ordinary paths to draw.
        begun: Ordinary paths started.
        branches: Further paths to draw: (path, outcome that cannot happen).
        running: Paths begun and not ended.
        trajectories: Paths that ended, if they are recorded.
    """

    point: int
    pages: Int[np.ndarray, " pages"]
    length: int
    hidden: Float[Tensor, " dim"]
    age: int
    log_wait: Float[Tensor, ""]
    start: int
    at_least: int
    seen: Bool[Tensor, " vocabulary"]
    statics: Int[Tensor, " statics"]
    prepared: list[Prepared]
    subject_id: int
    asked: Bool[Tensor, " outcomes"]
    values: PathValues
    onsets: Float[Tensor, "clocks months"]
    pending: Bool[Tensor, " clocks"]
    num_paths: int
    begun: int = 0
    branches: deque[tuple[int, int]] = field(default_factory=deque)
    running: int = 0
    trajectories: list[Trajectory] = field(default_factory=list)

    @property
    def left(self) -> int:
        """Paths not begun yet."""
        return self.num_paths - self.begun + len(self.branches)

    def next_paths(self, most: int) -> list[tuple[int, int]]:
        """(path, branch) of at most so many paths, which count as begun."""
        branches = [self.branches.popleft() for _ in range(min(most, len(self.branches)))]
        until = min(self.num_paths, self.begun + most - len(branches))
        ordinary = [(path, MAIN) for path in range(self.begun, until)]
        self.begun = until
        self.running += len(branches) + len(ordinary)
        return branches + ordinary

    def add_paths(self, number: int, question: Question) -> None:
        """Ask for more ordinary paths."""
        self.values = self.values.joined(PathValues.empty(number, *self.values.value.shape[1:]))
        self.num_paths += number


class Slots:
    """State of the paths; the first ``live`` slots are in use.

    Args:
        like: A history, for shapes, types and device.
        num_slots: Paths at most.
        question: What is asked.

    Attributes:
        hidden: State after the path's last token.
        seen: Codes in history and path.
        statics: Static codes.
        prepared: Per block, what the fusion layer prepared.
        age, previous: Ages at the last token and the one before it, minutes.
        log_wait: Log expected years of waiting with which the last token's time stamp came.
        token: The last token.
        position: Its position, leading positions counted.
        start: Prediction time.
        at_least: Smallest gap of the next event, in steps.
        step: Events drawn so far.
        is_censored_death: Whether the last draw was a death, which net risks leave out.
        open: Outcomes to which the path may still contribute.
        value: Its contributions, by the first horizon they count for; those beyond all come last.
        survival: Π (1 − p) per outcome; 1 for estimators that do not use it.
        branch: The outcome that cannot happen, or ``MAIN``.
        pending: Clocks whose outcome has not happened.
        due: When each goes off, minutes after the prediction time; ``NEVER`` within no horizon or not again.
        path: Number of the path.
        subject_id: For the random streams.
        tokens, minutes, length: The path's events, if they are recorded, and their number.
        origin: The history that each path continues.
        live: Slots in use.
    """

    def __init__(self, like: Started, num_slots: int, question: Question) -> None:
        device = like.hidden.device

        def empty(item: Tensor) -> Tensor:
            return item.new_zeros(num_slots, *item.shape)

        def numbers() -> Int[Tensor, " slots"]:
            return torch.zeros(num_slots, dtype=torch.int64, device=device)

        outcomes = (num_slots, len(question.outcomes))
        self.hidden, self.seen, self.statics = empty(like.hidden), empty(like.seen), empty(like.statics)
        self.prepared = [tuple(empty(item) for item in block) for block in like.prepared]
        self.age, self.previous, self.token, self.position = numbers(), numbers(), numbers(), numbers()
        self.log_wait = empty(like.log_wait)
        self.start, self.step, self.at_least, self.branch = numbers(), numbers(), numbers(), numbers()
        self.is_censored_death = torch.zeros(num_slots, dtype=torch.bool, device=device)
        self.open = torch.zeros(outcomes, dtype=torch.bool, device=device)
        self.value = torch.zeros(*outcomes, len(question.horizons) + 1, dtype=torch.float64, device=device)
        self.survival = torch.zeros(outcomes, dtype=torch.float64, device=device)
        self.pending = empty(like.pending)
        self.due = torch.zeros(self.pending.shape, dtype=torch.int64, device=device)
        self.seed = question.seed
        self.path, self.subject_id, self.length = np.zeros((3, num_slots), dtype=np.int64)
        events = (num_slots, question.max_events if question.record else 0)
        self.tokens, self.minutes = np.zeros(events, dtype=np.int32), np.zeros(events, dtype=np.int64)
        self.origin: list[Started] = []
        self.live = 0

    def _tensors(self) -> list[Tensor]:
        own = [value for value in vars(self).values() if isinstance(value, Tensor)]
        return own + [item for block in self.prepared for item in block]

    def _arrays(self) -> list[np.ndarray]:
        return [self.path, self.subject_id, self.length, self.tokens, self.minutes]

    def begin(self, origin: Started, paths: list[tuple[int, int]], first_position: int) -> None:
        """Begin paths, given as (path, branch), in the next empty slots."""
        slots = slice(self.live, self.live + len(paths))
        for name in _OF_HISTORY:
            getattr(self, name)[slots] = getattr(origin, name)
        for store, block in zip(self.prepared, origin.prepared, strict=True):
            for to, item in zip(store, block, strict=True):
                to[slots] = item
        branch = torch.tensor([branch for _, branch in paths])
        self.branch[slots] = branch.to(self.branch.device)
        outcomes = torch.arange(self.open.shape[1])
        own = (branch[:, None] == MAIN) | (branch[:, None] == outcomes)
        self.open[slots] = (own & origin.asked).to(self.open.device)
        self.position[slots], self.step[slots], self.value[slots], self.survival[slots] = (
            first_position,
            0,
            0,
            1,
        )
        self.due[slots] = onset_minutes(
            origin.onsets, self.seed, origin.subject_id, [path for path, _ in paths]
        )
        self.token[slots] = 0  # padding, until something happens
        self.path[slots] = [path for path, _ in paths]
        self.subject_id[slots], self.length[slots] = origin.subject_id, 0
        self.origin += [origin] * len(paths)
        self.live = slots.stop

    def move_on(
        self,
        rows: int,
        time: Int[Tensor, " rows"],
        tokens: Int[Tensor, " rows"],
        waited: Int[Tensor, " rows"],
        log_wait: Float[Tensor, " rows"],
        members: Int[Tensor, "vocabulary members"],
    ) -> None:
        """Append the drawn events to the paths of the first rows; a death left out for net risks is none.

        Args:
            rows: How many.
            time: Ages at the events, minutes.
            tokens: Their codes.
            waited: Smallest gap in steps of the next event where the death was left out.
            log_wait: Log expected years of waiting with which their time stamps came.
            members: Per token, the tokens that count as seen with it.
        """
        idle = self.is_censored_death[:rows]
        self.log_wait[:rows] = torch.where(idle, self.log_wait[:rows], log_wait)
        self.previous[:rows] = torch.where(idle, self.previous[:rows], self.age[:rows])
        self.age[:rows] = torch.where(idle, self.age[:rows], time)
        self.token[:rows] = torch.where(idle, self.token[:rows], tokens)
        self.at_least[:rows] = torch.where(idle, waited, 0)
        self.position[:rows] += ~idle
        self.seen[torch.arange(rows, device=tokens.device)[:, None], members[self.token[:rows]]] = True

    def trajectory(self, slot: int, end: End) -> Trajectory:
        """The recorded path in a slot."""
        events = slice(int(self.length[slot]))
        return Trajectory(
            int(self.path[slot]), self.tokens[slot, events].copy(), self.minutes[slot, events].copy(), end
        )

    def leave_to_branches(
        self, row: int, drawn: Bool[Tensor, " outcomes"], may_become_one: bool
    ) -> list[int]:
        """Close outcomes that were drawn on an ordinary path; they need branches.

        If no other outcome is open, the path itself may go on as the first one's branch.

        Returns:
            Outcomes that need a branch of this path, from its beginning.
        """
        branches = drawn.nonzero().squeeze(-1).tolist()
        self.open[row] &= ~drawn
        if may_become_one and not self.open[row].any():
            self.branch[row] = branches.pop(0)
            self.open[row, self.branch[row]] = True
        return branches

    def record(self, rows: Int[np.ndarray, " rows"]) -> None:
        """Note the last event of the paths in ``rows``."""
        at = self.length[rows]
        self.tokens[rows, at] = self.token[torch.from_numpy(rows)].cpu().numpy()
        self.minutes[rows, at] = self.age[torch.from_numpy(rows)].cpu().numpy()
        self.length[rows] += 1

    def move(self, to: Int[np.ndarray, " moved"], origin: Int[np.ndarray, " moved"], live: int) -> None:
        """Move the paths in slots ``origin`` to ``to``, so that the first ``live`` are all in use"""
        into, out_of = torch.from_numpy(to), torch.from_numpy(origin)
        for tensor in self._tensors():
            tensor[into] = tensor[out_of]
        for array in self._arrays():
            array[to] = array[origin]
        for hole, last in zip(to.tolist(), origin.tolist(), strict=True):
            self.origin[hole] = self.origin[last]
        del self.origin[live:]
        self.live = live
