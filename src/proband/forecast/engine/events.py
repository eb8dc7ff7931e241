"""One event on every path: its gap, its code, and its contribution to the risks.

The gap is drawn given that the event falls within the last horizon, and whether it does is drawn apart; then
the code given the gap.

With reach an outcome must not happen on the paths that estimate its risk, and yet all outcomes share their
paths: an ordinary path serves an outcome as long as it has not been drawn. Where it is, a branch is asked
for: the same path drawn again with the same random numbers, on which that outcome alone cannot happen, its
codes being drawn anew among the others. That gives each outcome paths of exactly the law it needs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.forecast.choices import ESTIMATORS
from proband.forecast.engine.active_paths import MAIN, Slots
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
        log_wait: Log expected years of waiting with which its time stamp came.
        branches: (slot, outcome) of the branches that are asked for.
    """

    tokens: Int[Tensor, " rows"]
    steps: Int[Tensor, " rows"]
    elapsed: Int[Tensor, " rows"]
    inside: Bool[Tensor, " rows"]
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

    def draw(self, slots: Slots, rows: int) -> Drawn:
        """Draw the next event of the first rows and add its contributions."""
        bins = self.model.bins
        log_mass = self.model.when(slots.hidden[:rows])
        mass = log_mass.double().exp()
        until = bins.steps(self.horizons[-1] + slots.start[:rows] - slots.age[:rows])
        gaps = bins.draw_until(mass, self._uniforms("gap", slots, rows), slots.at_least[:rows], until)
        elapsed = slots.age[:rows] + gaps.steps * bins.resolution_minutes - slots.start[:rows]
        log_wait = torch.where(gaps.steps > 0, bins.log_wait(log_mass, gaps.steps), slots.log_wait[:rows])
        ages = slots.age[:rows] + gaps.steps * bins.resolution_minutes
        moment = Moment(ages, log_wait, slots.statics[:rows])
        gap_bins = bins.bin_of(gaps.steps)
        log_codes = self.model.log_codes(slots.hidden[:rows], gap_bins, slots.seen[:rows], moment)
        probability = log_codes.exp()
        tokens = draw_codes(probability, self._uniforms("code", slots, rows))
        drawn = self.outcomes[:, tokens].T & gaps.inside[:, None] & slots.open[:rows]
        step = EventStep(
            codes=probability,
            columns=self.columns,
            members=self.members,
            happened=drawn,
            open=slots.open[:rows],
            inside=gaps.inside,
            share=gaps.share,
            survival=slots.survival[:rows],
        )
        contribution = self.estimator.contribution(step)
        every, span = torch.arange(rows, device=self.device), torch.bucketize(elapsed, self.horizons)
        slots.value[every, :, span] += contribution
        branches: list[tuple[int, int]] = []
        if self.estimator.redraws:
            branches = self._branch_off(slots, tokens, drawn[: slots.live], probability)
        else:
            slots.open[:rows] &= ~drawn
        return Drawn(tokens, gaps.steps, elapsed, gaps.inside, log_wait, branches)

    def _uniforms(self, name: str, slots: Slots, rows: int) -> Float[Tensor, " rows"]:
        step = slots.step[:rows].cpu().numpy()
        draws = path_uniforms(self.question.seed, name, slots.subject_id[:rows], slots.path[:rows], step)
        return draws.to(self.device)

    def _branch_off(
        self,
        slots: Slots,
        tokens: Int[Tensor, " rows"],
        drawn: Bool[Tensor, "live outcomes"],
        probability: Float[Tensor, "rows vocabulary"],
    ) -> list[tuple[int, int]]:
        """Where an outcome was drawn that must not happen, draw again, in place, or ask for a path that does.

        Returns:
            (slot, outcome) of the paths asked for.
        """
        hit = drawn.any(dim=1).nonzero().squeeze(-1)
        branches: list[tuple[int, int]] = []
        for row in hit.tolist():
            if slots.branch[row] == MAIN:
                asked = slots.leave_to_branches(row, drawn[row], may_become_one=not self.question.record)
                branches += [(row, outcome) for outcome in asked]
        again = hit[slots.branch[hit] != MAIN]
        if len(again):
            others = probability[again].masked_fill(self.outcomes[slots.branch[again]], 0)
            tokens[again] = draw_codes(others, self._uniforms("again", slots, len(tokens))[again])
        return branches
