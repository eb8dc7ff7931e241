"""Sampled futures of any number of subjects: a queue of histories, and the slots in which their paths run.

A fixed number of slots holds the paths that run; the slot of a finished path goes to the next of the
queue. At each step every path draws an event. A path stops when its event lies beyond the last horizon, at
death, or at its budget of events (then it is unresolved).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.forecast.engine.active_paths import MAIN, Slots, Started
from proband.forecast.engine.events import Events
from proband.forecast.engine.histories import Histories
from proband.forecast.engine.kv_cache import Cache
from proband.forecast.engine.memory import ROWS, plan_memory
from proband.forecast.engine.request import End, Finished, Question
from proband.forecast.estimators.path_values import PathValues
from proband.model.transformer import Proband

Reader = Callable[[Int[np.ndarray, " some"]], Histories]
"""Reads the histories at some places of the queue."""

_PAD_TO = 32
"""Histories are padded to a multiple of this by their own length, so that no other's changes their shape."""
_FEWEST_READ = 4
"""Products of fewer rows sum in another order: fewer histories are filled up with copies."""
_READ_TOKENS = 8192
"""Tokens read together, at most."""
_REFILL_SHARE = 8
"""New histories are read when one slot in so many is empty: a batch is read faster than one at a time."""
_LEAST_SURVIVAL = 1e-12
"""Π (1 − p) below which a path contributes nothing more: far below any sampling error."""


def roll_out(
    model: Proband,
    read: Reader,
    lengths: Int[np.ndarray, " points"],
    question: Question,
    memory_gib: float = 1.0,
    asked: Bool[np.ndarray, "points outcomes"] | None = None,
    is_enough: Callable[[Finished], bool] | None = None,
    hazards: Float[Tensor, "points clocks months"] | None = None,
) -> Iterator[Finished]:
    """Sample futures of all points of a queue.

    What a point gives depends on the model, its history and the question alone, to the bit: not on the rest
    of the queue, its order, or the memory.

    Args:
        model: The model, in evaluation mode.
        read: Reads histories.
        lengths: Tokens of each history.
        question: What is asked.
        memory_gib: What caches may take.
        asked: About which outcomes of each point; default all. The values of others are 0.
        is_enough: Whether a point's paths are enough; if not, as many again are drawn, up to
            ``question.max_paths``. Default always.
        hazards: Cumulative onset hazard of the outcome of each clock of the question, at the ends of months
            after the prediction time, from 0 to the last horizon.

    Yields:
        What each point's paths gave, in the order of their ends.
    """
    if asked is None:
        asked = np.ones((len(lengths), len(question.outcomes)), dtype=bool)
    yield from _Rollout(model, read, lengths, question, memory_gib, asked, is_enough, hazards).run()


class _Rollout:
    """The state of one run."""

    def __init__(
        self,
        model: Proband,
        read: Reader,
        lengths: np.ndarray,
        question: Question,
        memory_gib: float,
        asked: np.ndarray,
        is_enough: Callable[[Finished], bool] | None,
        hazards: Tensor | None,
    ) -> None:
        self.model, self.read, self.question, self.lengths = model, read, question, lengths
        self.asked, self.is_enough = torch.from_numpy(asked) & ~question.is_exact, is_enough
        self.pending = torch.zeros(len(lengths), 0, dtype=torch.bool)
        self.onsets = torch.zeros(len(lengths), 0, 2)
        if question.clocks and hazards is not None:
            self.pending = question.clocks.pending(torch.from_numpy(asked))
            self.onsets = question.clocks.own_cumulative(hazards, self.pending)
        self.device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
        self.budget = plan_memory(
            model,
            longest=int(lengths.max()),
            paths_per_history=question.num_paths,
            most_paths=question.max_paths if is_enough else question.num_paths,
            max_events=question.max_events,
            sums=2 * len(question.outcomes) * (len(question.horizons) + 1),
            memory_gib=memory_gib,
        )
        self.cache = Cache(model, self.budget, self.device)
        self.queue = deque(range(len(lengths)))
        self.waiting: deque[Started] = deque()
        self.num_started = 0
        self.slots: Slots | None = None
        self.events = Events(model, question, self.device)
        self.horizons = self.events.horizons

    def run(self) -> Iterator[Finished]:
        while self.queue or self.waiting or (self.slots and self.slots.live):
            self._refill()
            for started in self._advance():
                yield _finished(started)

    # The queue: histories are read, and paths go on from them.

    @torch.no_grad()
    def _refill(self) -> None:
        live = self.slots.live if self.slots else 0
        if not self.waiting and (self.budget.num_slots - live) * _REFILL_SHARE >= self.budget.num_slots:
            self._start_histories()
        while self.waiting and self.slots and self.slots.live < self.budget.num_slots:
            started, slots = self.waiting[0], self.slots
            paths = started.next_paths(self.budget.num_slots - slots.live)
            self.cache.start(slice(slots.live, slots.live + len(paths)), started.pages, started.length)
            slots.begin(started, paths, self.cache.num_latents + started.length - 1)
            if not started.left:
                self.waiting.popleft()

    def _start_histories(self) -> None:
        """Read the next histories of the queue, as many as the cache has room for."""
        number = self.budget.num_histories - self.num_started
        points = np.array([self.queue.popleft() for _ in range(min(number, len(self.queue)))], dtype=np.int64)
        self.num_started += len(points)
        padded = _padded(self.lengths[points], self.cache.num_latents)
        found = {}
        for width in np.unique(padded):
            alike = points[padded == width]
            most = max(1, _READ_TOKENS // int(width))
            for at in range(0, len(alike), most):
                for item in self._read(alike[at : at + most], int(width)):
                    found[item.point] = item
        self.waiting += [found[point] for point in points.tolist()]
        if self.slots is None and self.waiting:
            self.slots = Slots(self.waiting[0], self.budget.num_slots, self.question)

    def _read(self, points: np.ndarray, width: int) -> list[Started]:
        filled = np.append(points, np.repeat(points[-1:], max(0, _FEWEST_READ - len(points))))
        histories = self.read(filled).padded(width).to(self.device)
        hidden, blocks = self.model.hidden(
            histories.tokens, histories.ages, histories.statics, histories.modalities
        )
        log_waits = self.model.stamp_log_waits(hidden, histories.ages)
        prepared = self.model.prepare(histories.newest(), len(filled))
        seen = self.model.first_positions(histories.tokens, histories.seen_before)
        last = histories.ages.gather(1, histories.lengths[:, None] - 1).squeeze(1)
        waited = self.model.bins.steps(histories.start - last) + 1  # the next event is after the prediction
        started = []
        for row, (point, length) in enumerate(zip(points.tolist(), histories.lengths.tolist(), strict=False)):
            started.append(
                Started(
                    point=point,
                    pages=self.cache.keep_history(blocks, row, length),
                    length=length,
                    hidden=hidden[row, length - 1].clone(),
                    age=int(last[row]),
                    log_wait=log_waits[row, length - 1].clone(),
                    start=int(histories.start[row]),
                    at_least=max(0, int(waited[row])),
                    seen=seen[row] < length,
                    statics=histories.statics[row],
                    prepared=[tuple(item[row].clone() for item in block) for block in prepared],
                    subject_id=int(histories.subject_ids[row]),
                    asked=self.asked[point],
                    onsets=self.onsets[point],
                    pending=self.pending[point].to(self.device),
                    values=PathValues.empty(
                        self.question.num_paths, len(self.question.outcomes), len(self.question.horizons)
                    ),
                    num_paths=self.question.num_paths,
                )
            )
        return started

    # One event on every path.

    @torch.no_grad()
    def _advance(self) -> list[Started]:
        """Draw an event on every path, retire finished paths, and read the others' events.

        Returns:
            Histories whose last path has ended.
        """
        slots, rows = self.slots, self._rows()
        assert slots
        drawn = self.events.draw(slots, rows)
        for row, outcome in drawn.branches:
            slots.origin[row].branches.append((int(slots.path[row]), outcome))
            self._enqueue(slots.origin[row])
        tokens, elapsed = drawn.tokens, drawn.elapsed
        died = drawn.inside & (tokens == self.question.death)
        slots.step[:rows] += 1
        # The wait for the next event goes on where a death was drawn that does not happen.
        slots.is_censored_death[:rows] = drawn.is_thinned
        slots.move_on(
            rows, elapsed + slots.start[:rows], tokens, drawn.steps + 1, drawn.log_wait, self.model.members
        )
        over = ~drawn.inside | (died & ~slots.is_censored_death[:rows]) | self._is_settled(rows)
        cut = ~over & (slots.step[:rows] == self.question.max_events)
        ended = (over | cut)[: slots.live].nonzero().squeeze(-1)
        if self.question.record:
            self._record(drawn.inside, died, ended)
        finished = self._note(ended, cut[ended], elapsed[ended])
        if len(ended):
            self._close(ended.cpu().numpy())
        if slots.live:
            self._read_events()
        return finished

    def _rows(self) -> int:
        assert self.slots
        return ROWS * math.ceil(self.slots.live / ROWS)

    def _enqueue(self, started: Started) -> None:
        """Put a history with paths to begin at the head of the waiting queue, so that it ends early."""
        if started.left and started not in self.waiting:
            self.waiting.appendleft(started)

    # The ends of paths.

    def _is_settled(self, rows: int) -> Bool[Tensor, " rows"]:
        """Whether a path can contribute nothing more to any outcome."""
        slots = self.slots
        assert slots
        settled = ~(slots.open[:rows] & (slots.survival[:rows] > _LEAST_SURVIVAL)).any(dim=1)
        return settled & (slots.branch[:rows] != MAIN) if self.question.record else settled

    def _record(self, inside: Bool[Tensor, " rows"], died: Bool[Tensor, " rows"], ended: Tensor) -> None:
        """Keep the events of ordinary paths, and the trajectories of those that end."""
        slots = self.slots
        assert slots
        live = slice(slots.live)
        ordinary = slots.branch[live] == MAIN
        slots.record(
            (inside[live] & ~slots.is_censored_death[live] & ordinary).nonzero().squeeze(-1).cpu().numpy()
        )
        for slot in ended[ordinary[ended]].tolist():
            end: End = "horizon" if not inside[slot] else "budget"
            if died[slot] and not slots.is_censored_death[slot]:
                end = "death"
            slots.origin[slot].trajectories.append(slots.trajectory(slot, end))

    def _note(self, ended: Tensor, cut: Tensor, elapsed: Tensor) -> list[Started]:
        """Keep the values of ended paths; returns the histories whose last path this was."""
        slots = self.slots
        assert slots
        value = slots.value[ended, :, :-1].cumsum(-1)
        # An event at the very horizon may be followed by another in the same step.
        is_open = (cut[:, None] & (elapsed[:, None] <= self.horizons))[:, None] & slots.open[ended, :, None]
        margin = is_open * slots.survival[ended, :, None]
        counts = slots.open[ended] if self.events.estimator.redraws else torch.ones_like(slots.open[ended])
        value, margin, counts = value.cpu(), margin.cpu(), counts.cpu()
        finished = []
        for at, slot in enumerate(ended.tolist()):
            started, path = slots.origin[slot], int(slots.path[slot])
            started.values.value[path, counts[at]] = value[at, counts[at]]
            started.values.margin[path, counts[at]] = margin[at, counts[at]]
            started.running -= 1
            if not started.running and not started.left and self._is_known(started):
                self.cache.free_history(started.pages)
                self.num_started -= 1
                finished.append(started)
        return finished

    def _is_known(self, started: Started) -> bool:
        """Whether a history's paths are enough; if not, more are asked for."""
        more = min(started.num_paths, self.question.max_paths - started.num_paths)
        if self.is_enough is None or more <= 0 or self.is_enough(_finished(started)):
            return True
        started.add_paths(more, self.question)
        self._enqueue(started)
        return False

    def _close(self, ended: Int[np.ndarray, " ended"]) -> None:
        """Free the slots of ended paths and fill the gaps with the last slots' paths."""
        slots = self.slots
        assert slots
        self.cache.end(ended)
        live = slots.live - len(ended)
        holes = ended[ended < live]
        last = np.setdiff1d(np.arange(live, slots.live), ended)
        self.cache.move(holes, last)
        slots.move(holes, last, live)

    def _read_events(self) -> None:
        """Read the events that were drawn."""
        slots = self.slots
        assert slots
        rows = self._rows()
        idle = slots.is_censored_death[:rows].cpu().numpy()
        self.cache.append(np.flatnonzero(~idle[: slots.live]))
        hidden = self.model.step(
            slots.token[:rows],
            slots.age[:rows],
            slots.previous[:rows],
            slots.statics[:rows],
            slots.position[:rows],
            self.cache.pages,
            [tuple(item[:rows] for item in block) for block in slots.prepared],
            self.cache.window(rows, idle),
        )
        slots.hidden[:rows] = torch.where(slots.is_censored_death[:rows, None], slots.hidden[:rows], hidden)


def _finished(started: Started) -> Finished:
    """What a history's paths gave so far."""
    trajectories = sorted(started.trajectories, key=lambda one: one.path)
    return Finished(started.point, started.values, trajectories)


def _padded(lengths: Int[np.ndarray, " n"], num_latents: int) -> Int[np.ndarray, " n"]:
    """Widths to which histories are padded, so that leading positions and record fill whole rows."""
    return -(-(lengths + num_latents) // _PAD_TO) * _PAD_TO - num_latents
