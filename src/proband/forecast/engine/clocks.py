"""Onsets on sampled paths at the hazards of the onset head: one clock for each outcome that is a task.

A code softmax asks once per event, of a state that a next-event likelihood trained; the onset head reads the
record summary and is calibrated. So on sampled paths the first occurrence of an outcome that is a task, and
death, come at the head's hazards as seen from the prediction time, competing with the next event of the
generative model, which draws everything else:

    T_c = inverse of Λ_c at an exponential draw,  next event = the earlier of min_c T_c and the model's own.

The code of an onset is drawn by the model among the outcome's. While an outcome has not happened the model's
own events cannot be it: their codes are renormalised without it, but a death drawn there is none, and the
wait goes on. Where outcomes share codes, the smaller set's clock draws them, and the larger one's runs at
what is left of its hazard, at least 0. Exact where what a smaller set's clock draws lies all inside or all
outside the larger set, as of nested sets, and of sets that have death alone in common. Where it lies in part
inside, the larger set's risk is too low: hazards do not tell which of the codes come how often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from proband.core.statistics.incidence import MONTHS
from proband.core.units import MINUTES_PER_YEAR
from proband.forecast.engine.sampling import path_uniforms

NEVER = 1 << 40
"""Minutes after the prediction time of an onset beyond the last horizon."""
NO_TASK = -1
"""Task of an outcome that has no clock; outcome of a clock that is none."""


@dataclass(frozen=True)
class Clocks:
    """The clocks of a question, smaller sets first.

    Attributes:
        members: Tokens that are each clock's outcome.
        own: Those of them that it draws: not those of smaller sets.
        outcome: Outcome of each clock; ``NO_TASK`` for death where nobody asked about it.
        tasks: Its task in the onset head.
        death: Token of death if it has a clock, else ``NO_TASK``.
    """

    members: Bool[Tensor, "clocks vocabulary"]
    own: Bool[Tensor, "clocks vocabulary"]
    outcome: Int[Tensor, " clocks"]
    tasks: tuple[int, ...]
    death: int

    @classmethod
    def of(
        cls,
        outcomes: Bool[Tensor, "outcomes vocabulary"],
        tasks: Sequence[int],
        death: int,
        death_task: int | None,
    ) -> Clocks | None:
        """The clocks of outcomes and of death; None without any.

        Args:
            outcomes: Tokens of each outcome.
            tasks: Task that each outcome is, ``NO_TASK`` if none.
            death: Token of death.
            death_task: Its task; None leaves death to the generative model, or out of a world without.
        """
        rows = [(outcomes[at], at, task) for at, task in enumerate(tasks) if task != NO_TASK]
        if death_task is not None and death_task not in tasks:
            rows.append((torch.arange(outcomes.shape[1]) == death, NO_TASK, death_task))
        if not rows:
            return None
        rows.sort(key=lambda row: int(row[0].sum()))
        members = torch.stack([row[0] for row in rows])
        smaller = torch.nn.functional.pad(members.cumsum(0)[:-1] > 0, (0, 0, 1, 0))
        outcome, numbers = torch.tensor([row[1] for row in rows]), tuple(row[2] for row in rows)
        return cls(members, members & ~smaller, outcome, numbers, NO_TASK if death_task is None else death)

    def to(self, device: torch.device) -> Clocks:
        """The same on a device."""
        members, own, outcome = (item.to(device) for item in (self.members, self.own, self.outcome))
        return Clocks(members, own, outcome, self.tasks, self.death)

    def pending(self, asked: Bool[Tensor, "points outcomes"]) -> Bool[Tensor, "points clocks"]:
        """Which clocks run from the start: of outcomes that are asked about, and of death."""
        others = asked.new_ones(len(asked), 1)  # the last column, which ``NO_TASK`` names
        return torch.cat([asked, others], dim=1)[:, self.outcome]

    def own_cumulative(
        self, cumulative: Float[Tensor, "points clocks months"], pending: Bool[Tensor, "points clocks"]
    ) -> Float[Tensor, "points clocks months"]:
        """Cumulative hazard of what each clock draws itself, from that of its outcome; 0 if it does not run.

        Args:
            cumulative: Cumulative hazards at the ends of months, the first 0.
            pending: Clocks that run.
        """
        hazard = cumulative.diff(dim=-1)
        own = torch.zeros_like(hazard)
        for at in range(len(self.members)):
            overlap = (self.own[:at] & self.members[at]).any(dim=1)
            left = (hazard[:, at] - own[:, :at][:, overlap].sum(dim=1)).clamp(min=0)
            own[:, at] = left * (pending[:, at] & self.own[at].any())[:, None]
        return torch.nn.functional.pad(own.cumsum(dim=-1), (1, 0))


def onset_minutes(
    own: Float[Tensor, "clocks months"],
    seed: int,
    subject_id: int,
    paths: Sequence[int],
) -> Int[Tensor, "paths clocks"]:
    """When each clock goes off on each path, minutes after the prediction time; ``NEVER`` beyond the last.

    A draw depends on seed, subject, path and the clock's number alone.

    Args:
        own: Cumulative hazards at the ends of months, the first 0.
        seed: Seed of the paths.
        subject_id: The subject.
        paths: Numbers of the paths.
    """
    clocks = np.arange(len(own))
    path, clock = (item.ravel() for item in np.meshgrid(np.array(paths), clocks, indexing="ij"))
    uniform = path_uniforms(seed, "onset", np.full(len(path), subject_id), path, clock)
    wanted = -uniform.log().reshape(len(paths), len(own)).T.to(own)
    after = torch.searchsorted(own, wanted.contiguous()).clamp(1, own.shape[1] - 1)
    low, high = own.gather(1, after - 1), own.gather(1, after)
    within = ((wanted - low) / (high - low)).nan_to_num().clamp(0, 1)
    minutes = ((after - 1 + within) * (MINUTES_PER_YEAR / MONTHS)).long().clamp(min=1)
    return torch.where(wanted <= own[:, -1:], minutes, NEVER).T
