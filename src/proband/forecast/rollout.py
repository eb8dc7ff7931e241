"""Sampled futures of any number of subjects, with what every estimator keeps of them.

A fixed number of slots holds the paths that run; a path that is over leaves its slot to the next of the
queue. At each step a path draws the gap to its next event and, given the gap, the code; beforehand the
probability p of every outcome set is noted. A path stops at the last horizon, at death, or at its budget of
events (then it is unresolved).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from proband.forecast.budget import ROWS, plan_memory
from proband.forecast.cache import Cache
from proband.forecast.histories import Histories
from proband.forecast.sampler import draw_codes, path_uniforms
from proband.forecast.slots import Slots, Started
from proband.forecast.sums import PathSums, Question
from proband.model.heads import first_positions
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
"""New histories are read when one slot in so many is empty: a few together are read faster than one."""
_LOWEST_LOG = -700.0  # of 1 − p: as good as no escape, and finite


def roll_out(
    model: Proband,
    read: Reader,
    lengths: Int[np.ndarray, " points"],
    question: Question,
    memory_gib: float = 1.0,
) -> Iterator[tuple[int, PathSums]]:
    """Sample futures of all points of a queue.

    What a point gives depends on the model, its history and the question alone, to the bit: not on the rest
    of the queue, its order, or the memory.

    Args:
        model: The model, in evaluation mode.
        read: Reads histories.
        lengths: Tokens of each history.
        question: What is asked.
        memory_gib: What caches may take.

    Yields:
        (place in the queue, what its paths gave), in the order of their ends.
    """
    yield from _Rollout(model, read, lengths, question, memory_gib).run()


class _Rollout:
    """The state of one run."""

    def __init__(
        self, model: Proband, read: Reader, lengths: np.ndarray, question: Question, memory_gib: float
    ) -> None:
        self.model, self.read, self.question, self.lengths = model, read, question, lengths
        self.device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
        num_paths = question.num_paths * question.num_arms
        self.budget = plan_memory(
            model,
            longest=int(lengths.max()),
            paths_per_history=num_paths,
            max_events=question.max_events,
            sums=3 * len(question.outcomes) * (len(question.horizons) + 1) // question.num_arms,
            memory_gib=memory_gib,
        )
        self.cache = Cache(model, self.budget, self.device)
        self.queue = deque(range(len(lengths)))
        self.waiting: deque[Started] = deque()
        self.num_started = 0
        self.slots: Slots | None = None
        self.horizons = question.horizons.to(self.device)
        # Only columns of outcomes are summed up.
        self.columns = question.outcomes.any(dim=0).nonzero().squeeze(-1).to(self.device)
        self.outcomes = question.outcomes.to(self.device)
        self.members = self.outcomes[:, self.columns].T.double()

    def run(self) -> Iterator[tuple[int, PathSums]]:
        while self.queue or self.waiting or (self.slots and self.slots.live):
            self._refill()
            for started in self._advance():
                yield started.point, started.sums

    # The queue: histories are read, and paths go on from them.

    @torch.no_grad()
    def _refill(self) -> None:
        live = self.slots.live if self.slots else 0
        if not self.waiting and (self.budget.num_slots - live) * _REFILL_SHARE >= self.budget.num_slots:
            self._start_histories(self.budget.num_slots - live)
        while self.waiting and self.slots and self.slots.live < self.budget.num_slots:
            self._begin_paths(self.waiting[0])

    def _begin_paths(self, started: Started) -> None:
        """Let paths of one arm begin in the empty slots."""
        assert self.slots
        arm, path = divmod(started.begun, self.question.num_paths)
        number = min(self.question.num_paths - path, self.budget.num_slots - self.slots.live)
        slots = slice(self.slots.live, self.slots.live + number)
        self.cache.start(slots, started.pages, started.length)
        self.slots.begin(started, slots, self.cache.num_latents + started.length - 1, arm, path)
        started.begun += number
        if started.begun == started.num_paths:
            self.waiting.popleft()

    def _start_histories(self, num_paths: int) -> None:
        """Read the next histories of the queue, as many as their paths and the cache have room."""
        each = self.question.num_paths * self.question.num_arms
        number = min(math.ceil(num_paths / each), self.budget.num_histories - self.num_started)
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
            outcomes = 1 if self.question.masked else len(self.question.outcomes)
            self.slots = Slots(self.waiting[0], self.budget.num_slots, outcomes, len(self.question.horizons))

    def _read(self, points: np.ndarray, width: int) -> list[Started]:
        filled = np.append(points, np.repeat(points[-1:], max(0, _FEWEST_READ - len(points))))
        histories = self.read(filled).padded(width).to(self.device)
        hidden, blocks = self.model.hidden(
            histories.tokens, histories.ages, histories.statics, histories.modalities
        )
        prepared = self.model.prepare(histories.newest(), len(filled))
        seen = first_positions(histories.tokens, histories.seen_before, self.outcomes.shape[1])
        started = []
        for row, (point, length) in enumerate(zip(points.tolist(), histories.lengths.tolist(), strict=False)):
            started.append(
                Started(
                    point=point,
                    pages=self.cache.keep_history(blocks, row, length),
                    length=length,
                    hidden=hidden[row, length - 1].clone(),
                    age=int(histories.ages[row, length - 1]),
                    start=int(histories.start[row]),
                    had=seen[row] < length,
                    statics=histories.statics[row],
                    prepared=[tuple(item[row].clone() for item in block) for block in prepared],
                    subject_id=int(histories.subject_ids[row]),
                    sums=PathSums.empty(self.question),
                    num_paths=self.question.num_paths * self.question.num_arms,
                )
            )
        return started

    # One event on every path.

    @torch.no_grad()
    def _advance(self) -> list[Started]:
        """Draw an event on every path, take leave of those that end, and read the others' events.

        Returns:
            Histories whose last path has ended.
        """
        slots, rows = self.slots, self._rows()
        assert slots
        gaps = self._draw_gaps(rows)
        time = slots.age[:rows] + gaps * self.model.bins.resolution_minutes
        elapsed = time - slots.start[:rows]
        tokens, know_all = self._draw_codes(rows, gaps, elapsed)
        slots.previous[:rows], slots.age[:rows], slots.token[:rows] = slots.age[:rows], time, tokens
        slots.had[torch.arange(rows, device=self.device), tokens] = True
        slots.step[:rows] += 1
        slots.position[:rows] += 1
        over = (elapsed > self.horizons[-1]) | (tokens == self.question.death) | know_all
        cut = ~over & (slots.step[:rows] == self.question.max_events)
        ended = (over | cut)[: slots.live].nonzero().squeeze(-1)
        finished = self._note(ended, cut[ended], elapsed[ended])
        if len(ended):
            self._close(ended.cpu().numpy())
        if slots.live:
            self._read_events()
        return finished

    def _rows(self) -> int:
        assert self.slots
        return ROWS * math.ceil(self.slots.live / ROWS)

    def _draw_gaps(self, rows: int) -> Int[Tensor, " rows"]:
        """Gaps in steps of the resolution; the first of a path lies beyond the prediction time."""
        slots, bins = self.slots, self.model.bins
        assert slots
        mass = self.model.when(slots.hidden[:rows]).double().exp()
        waited = bins.steps(slots.start[:rows] - slots.age[:rows]) + 1
        at_least = torch.where(slots.step[:rows] == 0, waited.clamp(min=0), 0)
        return bins.sample(mass, self._uniforms("gap", rows), at_least)

    def _uniforms(self, name: str, rows: int) -> Float[Tensor, " rows"]:
        slots = self.slots
        assert slots
        step = slots.step[:rows].cpu().numpy()
        draws = path_uniforms(self.question.seed, name, slots.subject_id[:rows], slots.path[:rows], step)
        return draws.to(self.device)

    def _draw_codes(
        self, rows: int, gaps: Int[Tensor, " rows"], elapsed: Int[Tensor, " rows"]
    ) -> tuple[Int[Tensor, " rows"], Tensor]:
        """Draw the events' codes and add their step to the sums.

        Returns:
            Tokens, and whether there is nothing more to learn from a path.
        """
        slots, masked = self.slots, self.question.masked
        assert slots
        log_codes = self.model.log_codes(slots.hidden[:rows], self.model.bins.bin_of(gaps), slots.had[:rows])
        probability = log_codes.exp()
        p = (probability[:, self.columns].double() @ self.members).clamp(0, 1)
        arm = slots.arm[:rows, None]
        if masked:
            p = p.gather(1, arm)
            probability = probability.masked_fill(self.outcomes[arm[:, 0]], 0)
        tokens = draw_codes(probability, self._uniforms("code", rows))
        span = torch.bucketize(elapsed, self.horizons)
        every = torch.arange(rows, device=self.device)
        if masked:
            slots.log_escape[every, :, span] += torch.log1p(-p).clamp(min=_LOWEST_LOG)
            return tokens, torch.zeros_like(tokens, dtype=torch.bool)
        before = slots.hit_at[:rows] == len(self.horizons)
        slots.expected[every, :, span] += p * before
        happened = before & self.outcomes[:, tokens].T
        slots.hit_at[:rows] = torch.where(happened, span[:, None], slots.hit_at[:rows])
        return tokens, (slots.hit_at[:rows] < len(self.horizons)).all(dim=1)

    def _note(self, ended: Tensor, cut: Tensor, elapsed: Tensor) -> list[Started]:
        """Keep what ended paths gave; returns the histories whose last path this was."""
        slots = self.slots
        assert slots
        horizon = torch.arange(len(self.horizons), device=self.device)
        hit = (slots.hit_at[ended, :, None] <= horizon).cpu()
        sums = [getattr(slots, name)[ended, :, :-1].cumsum(-1).cpu() for name in ("expected", "log_escape")]
        # An event at the very horizon may be followed by another in the same step.
        open_ = (cut[:, None] & (elapsed[:, None] <= self.horizons)).cpu()[:, None] & ~hit
        finished = []
        for at, slot in enumerate(ended.tolist()):
            started, path = slots.origin[slot], int(slots.path[slot])
            arm = int(slots.arm[slot]) if self.question.masked else slice(None)
            for store, values in zip(
                (started.sums.hit, started.sums.expected, started.sums.log_escape, started.sums.cut),
                (hit, *sums, open_),
                strict=True,
            ):
                store[path, arm] = values[at, 0] if self.question.masked else values[at]
            started.ended += 1
            if started.ended == started.num_paths:
                self.cache.give_back(started.pages)
                self.num_started -= 1
                finished.append(started)
        return finished

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
        self.cache.append(slots.live)
        rows = self._rows()
        slots.hidden[:rows] = self.model.step(
            slots.token[:rows],
            slots.age[:rows],
            slots.previous[:rows],
            slots.statics[:rows],
            slots.position[:rows],
            self.cache.pages,
            [tuple(item[:rows] for item in block) for block in slots.prepared],
            self.cache.window(rows),
        )


def _padded(lengths: Int[np.ndarray, " n"], num_latents: int) -> Int[np.ndarray, " n"]:
    """Widths to which histories are padded, so that leading positions and record fill whole rows."""
    return -(-(lengths + num_latents) // _PAD_TO) * _PAD_TO - num_latents
