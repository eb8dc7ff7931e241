"""Negative log-likelihood of what followed each position, in nats, with its parts kept apart.

Per scored event: −log density of the gap per day (when) − log p(code | gap, history) (what). Per censored
end: −log P(gap > exit − t_j). With delayed entry both are conditional on no event until entry.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class LossTerms:
    """Sums over a batch.

    Attributes:
        when: Nats of the gaps of events (density per day).
        what: Nats of the codes given the gaps.
        censoring: Nats of the silences until the end of follow-up.
        num_events: Scored events.
        num_impossible: Events left out: a repeat of a code that train never saw repeated.
        rows, positions: Batch row and position of each scored event.
        event_when, event_what: Nats of each scored event.
    """

    when: Float[Tensor, ""]
    what: Float[Tensor, ""]
    censoring: Float[Tensor, ""]
    num_events: int
    num_impossible: int
    rows: Int[Tensor, " events"]
    positions: Int[Tensor, " events"]
    event_when: Float[Tensor, " events"]
    event_what: Float[Tensor, " events"]

    @property
    def mean(self) -> Tensor:
        """The loss: total nats per scored event."""
        return (self.when + self.what + self.censoring) / max(1, self.num_events)
