"""Train the trunk on new outcomes: the onset loss, through the state that the head reads."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from proband.core.running.progress import track
from proband.core.running.team import Team
from proband.core.seeds import generator, name_key
from proband.model.onset.head import OnsetHead
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.history.queries import query_batches
from proband.train.finetune.choices import MODES
from proband.train.finetune.config import FinetuneConfig
from proband.train.finetune.modes import Mode
from proband.train.onset.fit import Part, mean_loss
from proband.train.onset.piecewise_exponential import negative_log_likelihood
from proband.train.pretrain.state import BEST, STATE, Progress, load_state, load_weights, save_state

_BETAS = (0.9, 0.98)
_WEIGHT_DECAY = 0.01
_CLIP_NORM = 1.0
_WARM_UP = 0.05
_FINAL_SHARE = 0.05


class TrunkFit:
    """Trains the trunk beside a fitted head of the new tasks, of which the weights of the state move too.

    Resumable: the same work folder goes on from its last evaluation, with the same order and dropout.

    Args:
        model: Pretrained, on ``device``; what the mode says is trained.
        head: Of the new tasks, fitted on the frozen model; fixed but for ``state_linear``.
        store: Tokens.
        train, tuning: Labelled dates.
        config: Settings, with the mode.
        work: Folder for states.
        device: Where to compute.
    """

    def __init__(
        self,
        model: Proband,
        head: OnsetHead,
        store: TokenStore,
        train: Part,
        tuning: Part,
        config: FinetuneConfig,
        work: Path,
        device: torch.device,
    ) -> None:
        self.model, self.head, self.store = model, head, store
        self.mode: Mode = MODES[config.mode]()
        self.train, self.tuning, self.config = train, tuning, config
        self.work, self.device = work, device
        for module in (model, head):
            module.requires_grad_(False)
        torch.manual_seed(name_key("finetune weights", config.seed))
        self.mode.prepare(model, config.rank)
        head.state_linear = nn.Parameter(head.state_linear.clone())
        self.module = nn.ModuleDict({"model": model, "head": head})
        trained = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        self.rate = config.learning_rate or self.mode.learning_rate
        self.optimizer = torch.optim.AdamW(trained, lr=self.rate, betas=_BETAS, weight_decay=_WEIGHT_DECAY)
        self.subjects, self.bounds = _by_subject(train)
        self.steps = max(1, math.ceil(len(self.subjects) / config.batch_subjects))
        self.last = max(1, math.ceil(config.epochs * self.steps))
        self.every = max(1, self.steps // config.evaluations)
        self.is_begun = (work / STATE).is_file()
        self.progress = load_state(work / STATE, self.module, self.optimizer) if self.is_begun else Progress()

    def run(self, report: Callable[[dict[str, float]], None]) -> Progress:
        """Train to the end or to early stopping, and take the weights of the best evaluation.

        Args:
            report: Takes ``step`` and ``tuning`` (nats per date) of each evaluation.
        """
        progress = self.progress
        if not (self.work / STATE).is_file():
            self._evaluate(report)
        left = range(progress.step, self.last)
        for step in track(left, "Training the trunk", len(left)):
            if progress.stopped:
                break
            self._step(step)
            progress.step = step + 1
            if progress.step % self.every == 0 or progress.step == self.last:
                self._evaluate(report)
        load_weights(self.work / BEST, self.module)
        self.mode.finish(self.model)
        self.module.requires_grad_(False).eval()
        return progress

    def _step(self, step: int) -> None:
        """One step of AdamW on the dates of some subjects."""
        epoch, at = divmod(step, self.steps)
        order = self._order(epoch)[at * self.config.batch_subjects :][: self.config.batch_subjects]
        dates = np.concatenate([np.arange(*self.bounds[own : own + 2]) for own in np.sort(order)])
        torch.manual_seed(name_key("finetune dropout", self.config.seed, step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * _schedule(step / self.last)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        for chosen, state in self._states(dates):
            query, followed = self.train.batch(chosen, self.device)
            query = replace(query, state=state)
            loss = negative_log_likelihood(self.head, query, self.head(query), followed).sum() / len(dates)
            loss.backward()
        nn.utils.clip_grad_norm_([*self.module.parameters()], _CLIP_NORM)
        self.optimizer.step()
        self.model.eval()

    @functools.lru_cache(maxsize=1)  # noqa: B019 - one fit a process, and the order of one pass
    def _order(self, epoch: int) -> Int[np.ndarray, " subjects"]:
        return generator(self.config.seed, "finetune order", epoch).permutation(len(self.subjects))

    def _states(self, dates: Int[np.ndarray, " dates"]) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Dates batch by batch, with the trunk's states, which have gradients."""
        queries = self.train.queries
        batches = query_batches(
            self.store, {}, queries.rows[dates], queries.minutes[dates], self.model.config.context, False
        )
        for windows, rows, columns, numbers in batches:
            batch = windows.to(self.device)
            hidden, _ = self.model.hidden(batch.tokens, batch.ages, batch.statics, batch.modalities)
            at = torch.from_numpy(rows).to(self.device), torch.from_numpy(columns).to(self.device)
            yield dates[numbers], hidden[at]

    def _evaluate(self, report: Callable[[dict[str, float]], None]) -> None:
        """Measure the tuning loss, keep the weights if it is the lowest, and save the state."""
        progress, queries = self.progress, self.tuning.queries
        batches = query_batches(
            self.store, {}, queries.rows, queries.minutes, self.model.config.context, False
        )
        state = self.model.eval().states(batches, len(queries))
        part = replace(self.tuning, queries=replace(queries, state=state))
        loss = mean_loss(self.head, part, self.device)
        progress.evaluated = progress.step
        if loss < progress.best_loss:
            progress.best_loss, progress.best_step, progress.num_worse = loss, progress.step, 0
            self._save(BEST)
        else:
            progress.num_worse += 1
            progress.stopped = progress.num_worse >= self.config.patience
        if progress.first_loss == float("inf"):
            progress.first_loss = loss
        report({"step": float(progress.step), "tuning": loss})
        self._save(STATE)

    def _save(self, name: str) -> None:
        save_state(self.work / name, self.module, self.optimizer, self.progress, Team())


def _by_subject(part: Part) -> tuple[Int[np.ndarray, " subjects"], Int[np.ndarray, " bounds"]]:
    """Subjects with dates, and where the dates of each, which lie together, begin and end."""
    rows = part.queries.rows
    begin = np.flatnonzero(np.diff(rows, prepend=-1))
    return rows[begin], np.append(begin, len(rows))


def _schedule(progress: float) -> float:
    """Share of the peak rate: a short warm-up, then linearly down to 5%."""
    return min(1.0, progress / _WARM_UP + 1e-3) * (1 - (1 - _FINAL_SHARE) * progress)
