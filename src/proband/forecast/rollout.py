"""Sampled futures of many subjects together, with what every estimator keeps of them.

At each step of a path the model gives the next gap and, given the gap, the probability p of every outcome
set. A path stops at the last horizon, at death, or at its budget of events (then it is unresolved).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.forecast.cache import prefill
from proband.forecast.histories import Histories
from proband.forecast.sampler import draw_codes, path_uniforms
from proband.model.heads import first_positions
from proband.model.transformer import Proband

_COMPACT_BELOW = 0.75
_FLATTEN_BELOW = 0.6


@dataclass(frozen=True)
class Question:
    """What is asked of the paths.

    Attributes:
        outcomes: Tokens of each outcome set.
        horizons: Minutes after the prediction time, ascending.
        masked: Whether outcomes cannot happen on the paths (reach; then there is one outcome).
        death: Token that ends a path.
        num_paths: Paths per subject.
        max_events: Events on a path at most.
        seed: Seed of the paths.
    """

    outcomes: Bool[Tensor, "outcomes vocabulary"]
    horizons: Int[Tensor, " horizons"]
    masked: bool
    death: int
    num_paths: int
    max_events: int
    seed: int


@dataclass(frozen=True)
class PathSums:
    """What is kept of every path, by outcome and horizon.

    Attributes:
        hit: Whether the outcome happened by the horizon.
        expected: Sum of p over the steps before the outcome happened.
        log_escape: Sum of log(1 − p) over all steps.
        cut: Whether the path ended at its budget before the horizon, alive and without the outcome.
    """

    hit: Bool[Tensor, "subjects paths outcomes horizons"]
    expected: Float[Tensor, "subjects paths outcomes horizons"]
    log_escape: Float[Tensor, "subjects paths outcomes horizons"]
    cut: Bool[Tensor, "subjects paths outcomes horizons"]


@torch.no_grad()
def roll_out(model: Proband, histories: Histories, question: Question) -> PathSums:
    """Sample the futures of all histories and sum up what the estimators need."""
    return _Rollout(model, histories, question).run()


class _Rollout:
    """The state of all paths.

    Sums and ``live`` have the shape asked for, (subjects, paths, ...). Everything that is computed on holds
    slots (running subjects, slots): slot k of running subject i is path ``path[i, k]`` of subject ``at[i]``.
    """

    def __init__(self, model: Proband, histories: Histories, question: Question) -> None:
        self.model, self.question = model, question
        num_subjects, num_paths = len(histories.tokens), question.num_paths
        shape = (num_subjects, num_paths, len(question.outcomes), len(question.horizons))
        self.hit = torch.zeros(shape, dtype=torch.bool)
        self.expected = torch.zeros(shape, dtype=torch.float64)
        self.log_escape = torch.zeros(shape, dtype=torch.float64)
        self.live = torch.ones(num_subjects, num_paths, dtype=torch.bool)
        self.last_time = torch.zeros(num_subjects, num_paths, dtype=torch.int64)
        last_hidden, self.cache = prefill(model, histories, num_paths)
        self.hidden = last_hidden[:, None].expand(-1, num_paths, -1)
        self.statics = histories.statics
        self.start = histories.start
        last_age = histories.ages.gather(1, histories.lengths[:, None] - 1)
        self.age = last_age.expand(-1, num_paths)
        first = first_positions(histories.tokens, histories.seen_before, question.outcomes.shape[1])
        self.had = (first < histories.lengths[:, None])[:, None].expand(-1, num_paths, -1).clone()
        self.subject_ids = histories.subject_ids
        self.at = torch.arange(num_subjects)
        self.path = torch.arange(num_paths).expand(num_subjects, -1)

    def run(self) -> PathSums:
        for step in range(self.question.max_events):
            self._advance(step)
            self._compact()
            if not len(self.at):
                break
        # An event at the very horizon may be followed by another in the same step.
        may_go_on = self.last_time[..., None] <= self.question.horizons
        cut = self.live[..., None, None] & may_go_on[:, :, None] & ~self.hit
        return PathSums(self.hit, self.expected, self.log_escape, cut)

    def _running(self) -> Bool[Tensor, "running slots"]:
        return self.live[self.at[:, None], self.path]

    def _advance(self, step: int) -> None:
        subject, slot = self._running().nonzero(as_tuple=True)
        row, path = self.at[subject], self.path[subject, slot]
        hidden = self.hidden[subject, slot]
        gaps = self._draw_gaps(hidden, subject, slot, step)
        time = self.age[subject, slot] + gaps * self.model.bins.resolution_minutes
        elapsed = time - self.start[subject]
        inside = elapsed <= self.question.horizons[-1]
        self.live[row[~inside], path[~inside]] = False
        subject, slot, row, path = subject[inside], slot[inside], row[inside], path[inside]
        tokens = self._draw_codes(hidden[inside], gaps[inside], subject, slot, elapsed[inside], step)
        ended = tokens == self.question.death
        if not self.question.masked and len(self.question.outcomes) == 1:
            ended |= self.hit[row, path, 0, -1]  # nothing more to learn from this path
        self.live[row[ended], path[ended]] = False
        self._append(tokens, time[inside], subject, slot)

    def _draw_gaps(
        self, hidden: Float[Tensor, "n dim"], subject: Tensor, slot: Tensor, step: int
    ) -> Int[Tensor, " n"]:
        """Gaps in steps of the resolution; the first lies beyond the prediction time."""
        mass = self.model.when(hidden).double().exp()
        uniform = self._uniforms("gap", subject, slot, step)
        at_least = torch.zeros_like(subject)
        if step == 0:
            at_least = self.model.bins.steps(self.start[subject] - self.age[subject, slot]) + 1
        return self.model.bins.sample(mass, uniform, at_least)

    def _uniforms(self, name: str, subject: Tensor, slot: Tensor, step: int) -> Float[Tensor, " n"]:
        path = self.path[subject, slot].numpy()
        return path_uniforms(self.question.seed, name, self.subject_ids[subject.numpy()], path, step)

    def _draw_codes(
        self,
        hidden: Float[Tensor, "n dim"],
        gaps: Int[Tensor, " n"],
        subject: Tensor,
        slot: Tensor,
        elapsed: Int[Tensor, " n"],
        step: int,
    ) -> Int[Tensor, " n"]:
        """Draw the codes of the events at ``elapsed`` and add their step to the sums."""
        seen = self.had[subject, slot]
        probability = self.model.log_codes(hidden, self.model.bins.bin_of(gaps), seen).exp()
        row, path, outcomes = self.at[subject], self.path[subject, slot], self.question.outcomes
        p = (probability.double() @ outcomes.double().T).clamp(0, 1)
        counts = elapsed[:, None] <= self.question.horizons
        before = ~self.hit[row, path, :, -1]
        self.expected[row, path] += (p * before)[..., None] * counts[:, None]
        self.log_escape[row, path] += torch.log1p(-p)[..., None].clamp(min=-700) * counts[:, None]
        if self.question.masked:
            probability = probability.masked_fill(outcomes[0], 0)
        tokens = draw_codes(probability, self._uniforms("code", subject, slot, step))
        self.hit[row, path] |= outcomes[:, tokens].T[..., None] & counts[:, None]
        self.last_time[row, path] = elapsed
        return tokens

    def _append(self, tokens: Tensor, time: Tensor, subject: Tensor, slot: Tensor) -> None:
        """Read the drawn tokens; slots whose path ended are carried along unread until compaction."""
        shape = self.age.shape
        drawn, ages = torch.zeros(shape, dtype=torch.int64), self.age.clone()
        drawn[subject, slot], ages[subject, slot] = tokens, time
        self.had[subject, slot, tokens] = True
        self.cache.make_room()
        self.hidden = self.model.step(
            drawn,
            ages,
            self.age,
            self.statics,
            (self.cache.next_position + self.cache.length)[:, None].expand(shape),
            self.cache.prompt,
            self.cache.prompt_mask,
            self.cache.paths,
            self.cache.length,
        )
        self.cache.length += 1
        self.age = ages

    def _compact(self) -> None:
        """Drop ended subjects and ended paths' slots, once they are many enough to be worth the copy.

        Where subjects keep few and uneven numbers of paths, every path becomes a row of its own, with its
        own copy of the prompt: less sharing, no idle slots.
        """
        running = self._running()
        keep = running.any(dim=1).nonzero().squeeze(-1)
        num_slots = int(running.sum(dim=1).max()) if len(keep) else 0
        num_running = int(running.sum())
        if num_running < _FLATTEN_BELOW * len(keep) * num_slots:
            keep, slots = running.nonzero(as_tuple=True)
            slots = slots[:, None]
        elif len(keep) * num_slots <= _COMPACT_BELOW * running.numel():
            slots = running[keep].int().argsort(dim=1, descending=True, stable=True)[:, :num_slots]
        else:
            return
        self.cache.keep(keep, slots)
        self.path, self.age = self.path[keep[:, None], slots], self.age[keep[:, None], slots]
        self.hidden, self.had = self.hidden[keep[:, None], slots], self.had[keep[:, None], slots]
        self.statics, self.start = self.statics[keep], self.start[keep]
        self.subject_ids = self.subject_ids[keep.numpy()]
        self.at = self.at[keep]
