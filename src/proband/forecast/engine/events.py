"""One event on every path: its gap, its code, and its contribution to the risks.

The gap is drawn given that the event falls within the last horizon, and whether it does is drawn apart; then
the code given the gap. Where an outcome has a clock (:mod:`proband.forecast.engine.clocks`) that goes off
first, its onset is the event.

With reach an outcome must not happen on the paths that estimate its risk, and yet all outcomes share their
paths: an ordinary path serves an outcome as long as it has not been drawn. Where it is, a branch is asked
for: the same path drawn again with the same random numbers, on which that outcome alone cannot happen, its
codes being drawn anew among the others. That gives each outcome paths of exactly the law it needs. An outcome
with a clock needs none: its risk is known without paths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.forecast.choices import ESTIMATORS
from proband.forecast.engine.active_paths import MAIN, Slots
from proband.forecast.engine.clocks import NEVER, NO_TASK
from proband.forecast.engine.request import Question
from proband.forecast.engine.sampling import draw_codes, path_uniforms
from proband.forecast.estimators.estimator import EventStep, PathEstimator
from proband.model.next_event.clock import Moment
from proband.model.transformer import Proband


class Drawn(NamedTuple):
    """An event on every path.

    Attributes:
        tokens: Its code.
        steps: Its gap in steps, given that it is within the last horizon.
        elapsed: Minutes from the prediction time.
        inside: Whether it happens within the last horizon; else the path is over.
        is_no_death: Whether it is a death that does not happen: the wait for the next event goes on.
        log_wait: Log expected years of waiting with which its time stamp came.
        branches: (slot, outcome) of the branches that are asked for.
    """

    tokens: Int[Tensor, " rows"]
    steps: Int[Tensor, " rows"]
    elapsed: Int[Tensor, " rows"]
    inside: Bool[Tensor, " rows"]
    is_no_death: Bool[Tensor, " rows"]
    log_wait: Float[Tensor, " rows"]
    branches: list[tuple[int, int]]


@dataclass(frozen=True)
class _Hits:
    """Outcomes that the events of some rows are.

    Attributes:
        rows: The rows.
        outcomes: Their outcomes, of those that are open.
        codes: Probability of every code at their events.
    """

    rows: Int[Tensor, " some"]
    outcomes: Bool[Tensor, "some outcomes"]
    codes: Float[Tensor, "some vocabulary"]


class Events:
    """Draws events, and adds up what they contribute.

    Args:
        model: The model.
        question: What is asked.
        device: Where to compute.
    """

    def __init__(self, model: Proband, question: Question, device: torch.device) -> None:
        self.model, self.question, self.device = model, question, device
        self.estimator: PathEstimator = ESTIMATORS[question.estimator]()
        self.horizons = question.horizons.to(device)
        self.outcomes = question.outcomes.to(device)
        # Only columns of outcomes are summed up.
        self.columns = question.outcomes.any(dim=0).nonzero().squeeze(-1).to(device)
        self.members = self.outcomes[:, self.columns].T.double()
        self.clocks = question.clocks.to(device) if question.clocks else None
        self.is_dying = not question.net and (self.clocks is None or self.clocks.death == NO_TASK)

    def draw(self, slots: Slots, rows: int) -> Drawn:
        """Draw the next event of the first rows and add its contributions."""
        bins = self.model.bins
        log_mass = self.model.when(slots.hidden[:rows])
        mass = log_mass.double().exp()
        due = slots.due[:rows].amin(dim=1, keepdim=True) if self.clocks else self.horizons[-1:]
        last = torch.minimum(self.horizons[-1:], due.squeeze(-1))
        until = bins.steps(last + slots.start[:rows] - slots.age[:rows])
        gaps = bins.draw_until(mass, self._uniforms("gap", slots, rows), slots.at_least[:rows], until)
        drawn = self._timed(slots, slice(rows), gaps.steps, log_mass, gaps.inside)
        codes = self._codes(slots, slice(rows), drawn, self._reserved(slots, rows))
        tokens = draw_codes(codes, self._uniforms("code", slots, rows))
        drawn = drawn._replace(tokens=tokens)
        happens = gaps.inside & ~self._is_no_death(drawn)
        happened = self.outcomes[:, tokens].T & happens[:, None] & slots.open[:rows]
        step = EventStep(
            codes=self._of_the_living(codes),
            columns=self.columns,
            members=self.members,
            happened=happened,
            open=slots.open[:rows],
            inside=gaps.inside,
            share=gaps.share,
            survival=slots.survival[:rows],
        )
        self._add(slots, slice(rows), drawn.elapsed, self.estimator.contribution(step))
        hit = happened[: slots.live].any(dim=1).nonzero().squeeze(-1)
        self._leave(slots, _Hits(hit, happened[hit], codes[hit]), drawn)
        drawn = drawn._replace(is_no_death=self._is_no_death(drawn))  # another code may have been drawn
        return self._with_onsets(slots, rows, drawn, log_mass) if self.clocks else drawn

    def _timed(
        self,
        slots: Slots,
        rows: slice | Int[Tensor, " some"],
        steps: Int[Tensor, " some"],
        log_mass: Float[Tensor, "some bins"],
        inside: Bool[Tensor, " some"],
    ) -> Drawn:
        """Events after so many steps, their codes not known."""
        bins = self.model.bins
        elapsed = slots.age[rows] + steps * bins.resolution_minutes - slots.start[rows]
        log_wait = torch.where(steps > 0, bins.log_wait(log_mass, steps), slots.log_wait[rows])
        return Drawn(steps, steps, elapsed, inside, torch.zeros_like(inside), log_wait, [])

    def _codes(
        self,
        slots: Slots,
        rows: slice | Int[Tensor, " some"],
        at: Drawn,
        excluded: Bool[Tensor, "some vocabulary"] | None,
    ) -> Float[Tensor, "some vocabulary"]:
        """Probability of every code given the time of the event, none of those excluded."""
        bins = self.model.bins
        ages = slots.age[rows] + at.steps * bins.resolution_minutes
        moment = Moment(ages, at.log_wait, slots.statics[rows])
        log_codes = self.model.log_codes(slots.hidden[rows], bins.bin_of(at.steps), slots.seen[rows], moment)
        if excluded is None:
            return log_codes.exp()
        return log_codes.masked_fill(excluded, -torch.inf).softmax(dim=-1).nan_to_num()

    def _reserved(self, slots: Slots, rows: int) -> Bool[Tensor, "rows vocabulary"] | None:
        """Codes that only a clock may draw; a death of the model's own is drawn and does not happen."""
        if self.clocks is None:
            return None
        reserved = (slots.pending[:rows].float() @ self.clocks.members.float()) > 0
        if self.clocks.death != NO_TASK:
            reserved[:, self.clocks.death] = False
        return reserved

    def _is_no_death(self, drawn: Drawn) -> Bool[Tensor, " rows"]:
        """Where the model's own event is a death that does not happen: it is left out, or has a clock."""
        return drawn.inside & (drawn.tokens == self.question.death) & (not self.is_dying)

    def _of_the_living(self, codes: Float[Tensor, "rows vocabulary"]) -> Float[Tensor, "rows vocabulary"]:
        """Probabilities of codes that happen: of the model's own deaths none, where death has a clock."""
        if self.clocks is None or self.clocks.death == NO_TASK:
            return codes
        living = codes.clone()
        living[:, self.clocks.death] = 0
        return living

    def _add(
        self,
        slots: Slots,
        rows: slice | Int[Tensor, " some"],
        elapsed: Int[Tensor, " some"],
        contribution: Float[Tensor, "some outcomes"],
    ) -> None:
        every = torch.arange(len(slots.value), device=self.device)[rows]
        slots.value[every, :, torch.bucketize(elapsed, self.horizons)] += contribution

    def _with_onsets(
        self, slots: Slots, rows: int, drawn: Drawn, log_mass: Float[Tensor, "rows bins"]
    ) -> Drawn:
        """Put onsets in the place of events that would come after them."""
        assert self.clocks
        due, clock = slots.due[:rows].min(dim=1)
        is_due = ~drawn.inside & (due <= self.horizons[-1])
        at = is_due[: slots.live].nonzero().squeeze(-1)
        if not len(at):
            return drawn
        steps = self.model.bins.steps(due[at] + slots.start[at] - slots.age[at])
        inside = torch.ones_like(is_due[at])
        onset = self._timed(slots, at, torch.maximum(steps, slots.at_least[at]), log_mass[at], inside)
        codes = self._codes(slots, at, onset, ~self.clocks.own[clock[at]])
        onset = onset._replace(tokens=draw_codes(codes, self._uniforms("code", slots, rows)[at]))
        self._count_onsets(slots, at, onset, codes)
        slots.pending[at] &= ~self.clocks.members[:, onset.tokens].T
        slots.due[at] = torch.where(slots.pending[at], slots.due[at], NEVER)
        for name in ("tokens", "steps", "elapsed", "inside", "log_wait"):
            getattr(drawn, name)[at] = getattr(onset, name)
        drawn.branches.extend(onset.branches)
        return drawn

    def _count_onsets(
        self,
        slots: Slots,
        at: Int[Tensor, " some"],
        onset: Drawn,
        codes: Float[Tensor, "some vocabulary"],
    ) -> None:
        """Add what onsets contribute to outcomes by their codes, and close those that they are."""
        survival = slots.survival[at]
        happened = self.outcomes[:, onset.tokens].T & slots.open[at]
        step = EventStep(
            codes=codes,
            columns=self.columns,
            members=self.members,
            happened=happened,
            open=slots.open[at],
            inside=onset.inside,
            share=survival.new_ones(len(at)),
            survival=survival,
        )
        self._add(slots, at, onset.elapsed, self.estimator.contribution(step))
        slots.survival[at] = survival
        hit = happened.any(dim=1).nonzero().squeeze(-1)
        self._leave(slots, _Hits(at[hit], happened[hit], codes[hit]), onset, hit)

    def _uniforms(self, name: str, slots: Slots, rows: int) -> Float[Tensor, " rows"]:
        step = slots.step[:rows].cpu().numpy()
        draws = path_uniforms(self.question.seed, name, slots.subject_id[:rows], slots.path[:rows], step)
        return draws.to(self.device)

    def _leave(
        self, slots: Slots, hits: _Hits, drawn: Drawn, places: Int[Tensor, " some"] | None = None
    ) -> None:
        """Close outcomes that happened. Where they must not, draw the event again, in place, or ask for a
        path on which they do not.

        Args:
            slots: The paths.
            hits: Rows with such outcomes.
            drawn: The events, changed in place; branches that are asked for are added as (slot, outcome).
            places: Where the hits are among the events; default where their rows are.
        """
        if not self.estimator.redraws:
            slots.open[hits.rows] &= ~hits.outcomes
            return
        for row, outcomes in zip(hits.rows.tolist(), hits.outcomes, strict=True):
            if slots.branch[row] == MAIN:
                asked = slots.leave_to_branches(row, outcomes, may_become_one=not self.question.record)
                drawn.branches.extend((row, outcome) for outcome in asked)
        again = slots.branch[hits.rows] != MAIN
        if again.any():
            rows = hits.rows[again]
            others = hits.codes[again].masked_fill(self.outcomes[slots.branch[rows]], 0)
            uniform = self._uniforms("again", slots, int(rows.max()) + 1)[rows]
            places = hits.rows if places is None else places
            drawn.tokens[places[again]] = draw_codes(others, uniform)
