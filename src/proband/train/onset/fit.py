"""Fit the onset head: standardise its inputs, then AdamW on queries of the train split, by tuning loss."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from proband.core.running.progress import track
from proband.core.seeds import generator, name_key
from proband.model.onset.head import OnsetHead
from proband.model.onset.inputs import Query
from proband.model.onset.queries import Queries
from proband.train.config import OnsetOptions
from proband.train.onset.piecewise_exponential import FollowUp, Outcomes, negative_log_likelihood

_BETAS = (0.9, 0.98)
_FINAL_SHARE = 0.05
_WARM_UP = 0.03
_CLIP_NORM = 1.0
_JUDGED_AT_ONCE = 2048
_EVALUATIONS = 4


@dataclass(frozen=True)
class Part:
    """One split's queries and what followed them."""

    queries: Queries
    followed: FollowUp

    def __len__(self) -> int:
        return len(self.queries)

    @property
    def per_subject(self) -> float:
        """Dates per subject in the mean: each counts as one over it, so that priors meet subjects."""
        return len(self) / self.followed.num_people

    def dates(self, most: int) -> Int[np.ndarray, " some"]:
        """Numbers of dates equally far apart, at most so many."""
        return np.arange(0, len(self), max(1, -(-len(self) // most)))

    def onsets(self, number: int) -> Float[Tensor, " tasks"]:
        """Onsets that followed the dates, of the first tasks; a subject's dates count as one, in the mean."""
        total = torch.zeros(number, dtype=torch.float64)
        for begin in range(0, len(self), _JUDGED_AT_ONCE):
            index = np.arange(begin, min(begin + _JUDGED_AT_ONCE, len(self)))
            total += self.followed.batch(index).first(number).happened.sum(dim=0)
        return total / self.per_subject

    def batch(self, index: Int[np.ndarray, " some"], device: torch.device) -> tuple[Query, Outcomes]:
        """Some of them, on ``device``."""
        query = self.queries.batch(index).map(lambda item: item.to(device))
        return query, Outcomes(*(item.to(device) for item in self.followed.batch(index)))

    def batches(self, size: int, device: torch.device) -> Iterator[tuple[Query, Outcomes]]:
        """All of them, in order."""
        for begin in range(0, len(self), size):
            yield self.batch(np.arange(begin, min(begin + size, len(self))), device)


def standardise(head: OnsetHead, queries: Queries) -> None:
    """Give the head mean and standard deviation of its inputs over the train queries."""
    count, features = len(queries), queries.features
    sums = np.bincount(features.indices, features.values, minlength=features.num_features)
    squares = np.bincount(features.indices, features.values.astype(np.float64) ** 2, features.num_features)
    mean = sums / count
    sd = np.sqrt(np.maximum(squares / count - mean**2, 0))
    state = torch.nn.functional.rms_norm(torch.from_numpy(queries.state), queries.state.shape[-1:])
    summary = torch.from_numpy(mean).float(), torch.from_numpy(sd).float()
    head.standardise_with(summary, (state.mean(dim=0), state.std(dim=0, correction=0)))


def fit_networks(
    head: OnsetHead,
    train: Part,
    tuning: Part,
    options: OnsetOptions,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> float:
    """Fit the networks one after another, each beside the terms of the record alone, with draws of its own.

    A network that tuning does not keep stays 0 and is the last one: the next would hardly be kept.

    Args:
        head: Standardised, its record terms fitted. Left with each network's weights of the best tuning loss.
        train, tuning: Queries.
        options: Recipe.
        seed: Of order and dropout.
        device: Where the head is.
        report: Takes the values of each evaluation: ``network``, ``epoch``, ``train``, ``tuning`` (nats per
            date).

    Returns:
        The tuning loss of all networks together, nats per date.
    """
    networks = head.networks
    for number, network in enumerate(networks):
        head.networks = nn.ModuleList([network])
        say = functools.partial(_report, report, number)
        _fit_network(head, train, tuning, options, name_key("onset network", seed, number), device, say)
        if network.is_zero:
            break
    head.networks = networks
    return mean_loss(head, tuning, device)


def _report(report: Callable[[dict[str, float]], None], number: int, values: dict[str, float]) -> None:
    report({"network": float(number)} | values)


def _fit_network(
    head: OnsetHead,
    train: Part,
    tuning: Part,
    options: OnsetOptions,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> None:
    """AdamW on the network of ``head``, its only one, by the loss of all tasks."""
    network = head.networks[0]
    optimizer = _optimizer(network, options)
    best, best_loss = copy.deepcopy(network.state_dict()), mean_loss(head, tuning, device)
    report({"epoch": 0.0, "tuning": best_loss})
    steps = max(1, math.ceil(len(train) / options.batch_queries))
    last = math.ceil(options.epochs * steps)
    every, seen = max(1, last // _EVALUATIONS), [0.0, 0]
    order = np.zeros(0, dtype=np.int64)
    for step in track(range(last), "Fitting onset hazards", last):
        if step % steps == 0:
            order = generator(seed, "onset order", step // steps).permutation(len(train))
        chosen = np.sort(order[(step % steps) * options.batch_queries :][: options.batch_queries])
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * _schedule(step / last)
        torch.manual_seed(name_key("onset dropout", seed, step))
        seen[0] += _step(head, optimizer, *train.batch(chosen, device))
        seen[1] += 1
        if (step + 1) % every == 0 or step + 1 == last:
            loss = mean_loss(head, tuning, device)
            report({"epoch": (step + 1) / steps, "train": seen[0] / seen[1], "tuning": loss})
            seen = [0.0, 0]
            if loss < best_loss:
                best, best_loss = copy.deepcopy(network.state_dict()), loss
    network.load_state_dict(best)


def _step(head: OnsetHead, optimizer: torch.optim.Optimizer, query: Query, followed: Outcomes) -> float:
    """One step; returns the loss of the named tasks, nats per date."""
    head.train()
    optimizer.zero_grad(set_to_none=True)
    losses = negative_log_likelihood(head, query, head(query), followed) / len(query.age)
    losses.sum().backward()
    torch.nn.utils.clip_grad_norm_(head.networks.parameters(), _CLIP_NORM)
    optimizer.step()
    return float(losses[: head.config.num_named].sum().detach())


@torch.no_grad()
def mean_loss(
    head: OnsetHead,
    part: Part,
    device: torch.device,
    log_ratios: Callable[[Query], Tensor] | None = None,
) -> float:
    """Loss of the named tasks, nats per date, of the head's log ratios or of others made of a query.

    The head is left in evaluation mode.
    """
    head.eval()
    named, total = head.config.num_named, 0.0
    for query, followed in part.batches(_JUDGED_AT_ONCE, device):
        log_ratio = (log_ratios or head)(query)[:, :named]
        total += float(negative_log_likelihood(head, query, log_ratio, followed.first(named)).sum())
    return total / len(part)


def _optimizer(network: nn.Module, options: OnsetOptions) -> torch.optim.AdamW:
    parameters = list(network.parameters())
    groups = [
        {"params": [item for item in parameters if item.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [item for item in parameters if item.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=_BETAS)


def _schedule(progress: float) -> float:
    """Share of the peak rate: a short warm-up, then linearly down to 5%."""
    return min(1.0, progress / _WARM_UP + 1e-3) * (1 - (1 - _FINAL_SHARE) * progress)
