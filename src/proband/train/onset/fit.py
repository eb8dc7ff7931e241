"""Fit the onset head: standardise its inputs, then AdamW on queries of the train split, by tuning loss."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from proband.core.seeds import generator, name_key
from proband.model.onset import OnsetHead, Query
from proband.train.config import OnsetOptions
from proband.train.onset.likelihood import FollowUp, Outcomes, negative_log_likelihood
from proband.train.onset.queries import Queries

_BETAS = (0.9, 0.98)
_FINAL_SHARE = 0.05
_WARM_UP = 0.03
_CLIP_NORM = 1.0
_LINEAR_RATE = 0.2
"""Linear terms learn at this share of the rate: each moves few risks and is seldom asked."""
_JUDGED_AT_ONCE = 2048
_EVALUATIONS_PER_PASS = 2


@dataclass(frozen=True)
class Part:
    """One split's queries and what followed them."""

    queries: Queries
    followed: FollowUp

    def __len__(self) -> int:
        return len(self.queries)

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


def fit_head(
    head: OnsetHead,
    train: Part,
    tuning: Part,
    options: OnsetOptions,
    seed: int,
    device: torch.device,
    report: Callable[[dict[str, float]], None],
) -> float:
    """Fit the head; it is left with the weights of the best tuning loss.

    Args:
        head: Standardised, untrained.
        train, tuning: Queries.
        options: Recipe.
        seed: Of order and dropout.
        device: Where the head is.
        report: Takes the values of each evaluation: ``epoch``, ``train``, ``tuning`` (nats per query).

    Returns:
        The best tuning loss, nats per query.
    """
    optimizer = _optimizer(head, options)
    best, best_loss = copy.deepcopy(head.state_dict()), mean_loss(head, tuning, device)
    report({"epoch": 0.0, "tuning": best_loss})
    steps = max(1, math.ceil(len(train) / options.batch_queries))
    last = math.ceil(options.epochs * steps)
    every, seen, num_worse = max(1, steps // _EVALUATIONS_PER_PASS), [0.0, 0], 0
    order = np.zeros(0, dtype=np.int64)
    for step in range(last):
        if step % steps == 0:
            order = generator(seed, "onset order", step // steps).permutation(len(train))
        chosen = np.sort(order[(step % steps) * options.batch_queries :][: options.batch_queries])
        for group in optimizer.param_groups:
            group["lr"] = options.learning_rate * group["scale"] * _schedule(step / last)
        torch.manual_seed(name_key("onset dropout", seed, step))
        seen[0] += _step(head, optimizer, *train.batch(chosen, device))
        seen[1] += 1
        if (step + 1) % every == 0 or step + 1 == last:
            loss = mean_loss(head, tuning, device)
            report({"epoch": (step + 1) / steps, "train": seen[0] / seen[1], "tuning": loss})
            seen = [0.0, 0]
            num_worse = 0 if loss < best_loss else num_worse + 1
            if loss < best_loss:
                best, best_loss = copy.deepcopy(head.state_dict()), loss
            elif num_worse >= options.patience:
                break
    head.load_state_dict(best)
    return best_loss


def _step(head: OnsetHead, optimizer: torch.optim.Optimizer, query: Query, followed: Outcomes) -> float:
    """One step; returns the loss of the named tasks, nats per query."""
    head.train()
    optimizer.zero_grad(set_to_none=True)
    losses = negative_log_likelihood(head, query, head(query), followed) / len(query.age)
    losses.sum().backward()
    torch.nn.utils.clip_grad_norm_(head.parameters(), _CLIP_NORM)
    optimizer.step()
    return float(losses[: head.config.num_named].sum().detach())


@torch.no_grad()
def mean_loss(head: OnsetHead, part: Part, device: torch.device) -> float:
    """Loss of the named tasks, nats per query; the head is left in evaluation mode."""
    return float(task_losses(head, part, device)[: head.config.num_named].sum())


@torch.no_grad()
def task_losses(
    head: OnsetHead,
    part: Part,
    device: torch.device,
    log_ratios: Callable[[Query], Tensor] | None = None,
) -> Float[Tensor, " tasks"]:
    """Loss of every task, nats per query, of the head's log ratios or of others made of a query."""
    head.eval()
    total = torch.zeros(len(head.task), dtype=torch.float64)
    for query, followed in part.batches(_JUDGED_AT_ONCE, device):
        found = negative_log_likelihood(head, query, (log_ratios or head)(query), followed)
        total += found.double().cpu()
    return total / len(part)


def _optimizer(head: OnsetHead, options: OnsetOptions) -> torch.optim.AdamW:
    linear = {"linear", "state_linear.weight"}
    named = dict(head.named_parameters())
    flat = [item for name, item in named.items() if name in linear]
    wide = [item for name, item in named.items() if name not in linear and item.ndim >= 2]
    rest = [item for name, item in named.items() if name not in linear and item.ndim < 2]
    decay = options.weight_decay
    groups = [
        {"params": flat, "scale": _LINEAR_RATE, "weight_decay": decay},
        {"params": wide, "scale": 1.0, "weight_decay": decay},
        {"params": rest, "scale": 1.0, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=_BETAS)


def _schedule(progress: float) -> float:
    """Share of the peak rate: a short warm-up, then linearly down to 5%."""
    return min(1.0, progress / _WARM_UP + 1e-3) * (1 - (1 - _FINAL_SHARE) * progress)
