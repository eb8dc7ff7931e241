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
        is_thinned: Whether it is a death that is rejected: the wait for the next event goes on.
        log_wait: Log expected years of waiting with which its time stamp came.
        branches: (slot, outcome) of the branches that are asked for.
    """

    tokens: Int[Tensor, " rows"]
    steps: Int[Tensor, " rows"]
    elapsed: Int[Tensor, " rows"]
    inside: Bool[Tensor, " rows"]
    is_thinned: Bool[Tensor, " rows"]
    log_wait: Float[Tensor, " rows"]
    branches: list[tuple[int, int]]


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
        self.draws_death = not question.net and (self.clocks is None or self.clocks.death == NO_TASK)

    def draw(self, slots: Slots, rows: int) -> Drawn:
        """Draw the next event of the first rows and add its contributions."""
        bins = self.model.bins
        log_mass = self.model.when(slots.hidden[:rows])
        mass = log_mass.double().exp()
        due = slots.due[:rows].amin(dim=1, keepdim=True) if self.clocks else self.horizons[-1:]
        last = torch.minimum(self.horizons[-1:], due.squeeze(-1))
        until = bins.steps(last + slots.start[:rows] - slots.age[:rows])
        gaps = bins.draw_until(mass, self._uniforms("gap", slots, rows), slots.at_least[:rows], until)
        drawn = self._event(slots, slice(rows), gaps.steps, log_mass, gaps.inside)
        codes = self._codes(slots, slice(rows), drawn, self._reserved(slots, rows))
        drawn = drawn._replace(tokens=draw_codes(codes, self._uniforms("code", slots, rows)))
        drawn = drawn._replace(is_thinned=self._is_thinned(drawn))
        self._count(slots, slice(rows), drawn, codes, self._without_thinned(codes), gaps.share)
        drawn = drawn._replace(is_thinned=self._is_thinned(drawn))  # another code may have been drawn
        return self._with_onsets(slots, rows, drawn, log_mass) if self.clocks else drawn

    def _event(
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
        return Drawn(torch.zeros_like(steps), steps, elapsed, inside, torch.zeros_like(inside), log_wait, [])

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

    def _is_thinned(self, drawn: Drawn) -> Bool[Tensor, " rows"]:
        """Where the model's own event is a death, and deaths are left out or have a clock."""
        return drawn.inside & (drawn.tokens == self.question.death) & (not self.draws_death)

    def _without_thinned(self, codes: Float[Tensor, "rows vocabulary"]) -> Float[Tensor, "rows vocabulary"]:
        """Probabilities that a code is drawn and not thinned, where death has a clock."""
        if self.clocks is None or self.clocks.death == NO_TASK:
            return codes
        kept = codes.clone()
        kept[:, self.clocks.death] = 0
        return kept

    def _count(
        self,
        slots: Slots,
        rows: slice | Int[Tensor, " some"],
        drawn: Drawn,
        codes: Float[Tensor, "some vocabulary"],
        kept: Float[Tensor, "some vocabulary"],
        share: Float[Tensor, " some"],
    ) -> None:
        """Add what events contribute; close outcomes that they are or, where these must not happen, redraw.

        Args:
            slots: The paths.
            rows: Those with these events.
            drawn: The events; see :meth:`_close_or_redraw`.
            codes: Probability of every code.
            kept: The same, 0 of what is thinned.
            share: Probability that the event falls within the last horizon and before any clock.
        """
        every = torch.arange(len(slots.value), device=self.device)[rows]
        is_open, survival = slots.open[rows], slots.survival[rows]
        happens = drawn.inside & ~drawn.is_thinned
        happened = self.outcomes[:, drawn.tokens].T & happens[:, None] & is_open
        step = EventStep(
            codes=kept,
            columns=self.columns,
            members=self.members,
            happened=happened,
            open=is_open,
            inside=drawn.inside,
            share=share,
            survival=survival,
        )
        span = torch.bucketize(drawn.elapsed, self.horizons)
        slots.value[every, :, span] += self.estimator.contribution(step)
        slots.survival[rows] = survival
        hit = (happened.any(dim=1) & (every < slots.live)).nonzero().squeeze(-1)
        self._close_or_redraw(slots, every[hit], hit, happened[hit], codes[hit], drawn)

    def _with_onsets(
        self, slots: Slots, rows: int, drawn: Drawn, log_mass: Float[Tensor, "rows bins"]
    ) -> Drawn:
        """Put onsets in the place of events that would come after them.

        A clock none of whose codes can happen any more, such as that of a value bin of a code that comes
        once and came with another value, goes off without an event.
        """
        assert self.clocks
        due, clock = slots.due[:rows].min(dim=1)
        is_due = ~drawn.inside & (due <= self.horizons[-1])
        at = is_due[: slots.live].nonzero().squeeze(-1)
        if not len(at):
            return drawn
        steps = self.model.bins.steps(due[at] + slots.start[at] - slots.age[at])
        inside = torch.ones_like(is_due[at])
        onset = self._event(slots, at, torch.maximum(steps, slots.at_least[at]), log_mass[at], inside)
        codes = self._codes(slots, at, onset, ~self.clocks.own[clock[at]])
        cannot = at[codes.sum(dim=-1) == 0]
        if len(cannot):
            slots.due[cannot, clock[cannot]] = NEVER
            return self._with_onsets(slots, rows, drawn, log_mass)
        onset = onset._replace(tokens=draw_codes(codes, self._uniforms("code", slots, rows)[at]))
        self._count(slots, at, onset, codes, codes, torch.ones_like(onset.elapsed, dtype=torch.float64))
        slots.pending[at] &= ~self.clocks.members[:, onset.tokens].T
        slots.due[at] = torch.where(slots.pending[at], slots.due[at], NEVER)
        for name in ("tokens", "steps", "elapsed", "inside", "log_wait"):
            getattr(drawn, name)[at] = getattr(onset, name)
        drawn.branches.extend(onset.branches)
        return drawn

    def _uniforms(self, name: str, slots: Slots, rows: int) -> Float[Tensor, " rows"]:
        step = slots.step[:rows].cpu().numpy()
        draws = path_uniforms(self.question.seed, name, slots.subject_id[:rows], slots.path[:rows], step)
        return draws.to(self.device)

    def _close_or_redraw(
        self,
        slots: Slots,
        rows: Int[Tensor, " hits"],
        places: Int[Tensor, " hits"],
        outcomes: Bool[Tensor, "hits outcomes"],
        codes: Float[Tensor, "hits vocabulary"],
        drawn: Drawn,
    ) -> None:
        """Close outcomes that happened. Where they must not, draw the event again, in place, or ask for a
        path on which they do not.

        Args:
            slots: The paths.
            rows: Paths on which outcomes happened.
            places: Their places among the events.
            outcomes: Which outcomes.
            codes: Probability of every code at their events.
            drawn: The events, whose codes are changed in place; branches that are asked for are added.
        """
        if not self.estimator.redraws:
            slots.open[rows] &= ~outcomes
            return
        for row, happened in zip(rows.tolist(), outcomes, strict=True):
            if slots.branch[row] == MAIN:
                asked = slots.leave_to_branches(row, happened, may_become_one=not self.question.record)
                drawn.branches.extend((row, outcome) for outcome in asked)
        again = slots.branch[rows] != MAIN
        if again.any():
            others = codes[again].masked_fill(self.outcomes[slots.branch[rows[again]]], 0)
            uniform = self._uniforms("again", slots, slots.live)[rows[again]]
            drawn.tokens[places[again]] = draw_codes(others, uniform)
