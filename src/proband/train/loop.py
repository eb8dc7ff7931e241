"""The training loop: steps, tuning evaluations, early stopping, resumable at any step."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file

from proband.core.batch import Batch
from proband.core.errors import ConfigError
from proband.core.progress import say
from proband.model.checkpoint import write_tensors
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import Windows, epoch_batches, load_batch, make_windows, sequential_batches
from proband.tokens.modality import ModalityTable
from proband.train.config import TrainConfig
from proband.train.interrupt import StepInterrupt
from proband.train.likelihood import Likelihood, measure
from proband.train.log import MetricsLog
from proband.train.optimizer import make_optimizer, rate_at
from proband.train.state import BEST, STATE, Progress, load_state, save_state

_EVALUATE_STEPS = (25, 2000)


class Trainer:
    """Fits one model.

    Args:
        model: Freshly initialised.
        store: Tokens with train and tuning splits.
        tables: Modalities by name.
        config: Settings.
        work: Folder for states; an existing state there is continued.
    """

    def __init__(
        self,
        model: Proband,
        store: TokenStore,
        tables: Mapping[str, ModalityTable],
        config: TrainConfig,
        work: Path,
    ) -> None:
        self.model, self.store, self.tables, self.config, self.work = model, store, tables, config, work
        self.optimizer = make_optimizer(model, config)
        self.windows: Windows = make_windows(store, store.rows_of("train"), config.context)
        self.tuning_rows = store.rows_of("tuning")
        self.kinds = store.vocabulary.kinds()
        first = epoch_batches(self.windows, config.token_budget, config.seed, 0)
        self.steps_per_epoch = len(first)
        low, high = _EVALUATE_STEPS
        self.evaluate_every = min(max(self.steps_per_epoch, low), high)
        resumed = (work / STATE).is_file()
        torch.manual_seed(config.seed)
        self.progress = load_state(work, model, self.optimizer, config) if resumed else Progress()
        self.log = MetricsLog(work, self.progress.step)
        self._events_since, self._seconds_since = 0, 0.0
        self._clock = time.monotonic()

    @property
    def share_done(self) -> float:
        """Share of training done, 0 to 1."""
        if self.config.minutes is not None:
            return min(1.0, self.progress.seconds / (60 * self.config.minutes))
        return min(1.0, self.progress.step / max(1, round(self.config.epochs * self.steps_per_epoch)))

    def run(self) -> Likelihood:
        """Train to the end (or to early stopping) and return the best model's tuning likelihood."""
        saved = self._clock = time.monotonic()
        with StepInterrupt() as interrupt:
            for batch in self._batches():
                self._step(batch)
                if self.progress.step % self.evaluate_every == 0:
                    self._evaluate()
                if interrupt.asked or time.monotonic() - saved > self.config.save_seconds:
                    self._save()
                    saved = time.monotonic()
                if interrupt.asked:
                    say(f"train: state saved in {self.work}; continue with --resume")
                    raise KeyboardInterrupt
        if self.log.last_step != self.progress.step:
            self._evaluate()
        self._save()
        self.model.load_state_dict(load_file(self.work / BEST))
        return self._tuning()

    def _batches(self) -> Iterator[Batch]:
        while self.share_done < 1 and not self.progress.stopped:
            plan = epoch_batches(
                self.windows, self.config.token_budget, self.config.seed, self.progress.epoch
            )
            for index in plan[self.progress.batch :]:
                yield load_batch(self.store, self.windows.take(index), self.tables)
                if self.share_done >= 1 or self.progress.stopped:
                    return
            self.progress.epoch += 1
            self.progress.batch = 0

    def _tick(self) -> float:
        """Add the time since the last tick to the training time, and return it."""
        now = time.monotonic()
        elapsed, self._clock = now - self._clock, now
        self.progress.seconds += elapsed
        return elapsed

    def _step(self, batch: Batch) -> None:
        self.model.train()
        rate = rate_at(self.share_done, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.model(batch).mean
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        value = float(loss.detach())
        if not (math.isfinite(value) and math.isfinite(float(norm))):
            raise ConfigError(
                "the loss or its gradient is not a finite number",
                where=f"step {self.progress.step + 1}, learning rate {rate:.2e}",
                remedy="start anew with a lower --learning-rate and --overwrite",
            )
        self.optimizer.step()
        self.progress.step += 1
        self.progress.batch += 1
        self._events_since += batch.num_scored
        self._seconds_since += self._tick()
        self._show(value)

    def _show(self, loss: float) -> None:
        if not sys.stderr.isatty() or self.progress.step % 10:
            return
        speed = self._events_since / max(self._seconds_since, 1e-9)
        left = self.progress.seconds * (1 / max(self.share_done, 1e-9) - 1)
        line = (
            f"train {self.share_done:4.0%}  step {self.progress.step:,}  loss {loss:.3f}  "
            f"tuning {self.progress.best_loss:.3f}  {speed:,.0f} events/s  {left / 60:.1f} min left"
        )
        print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)

    def _tuning(self) -> Likelihood:
        batches = sequential_batches(
            self.store, self.tuning_rows, self.config.context, 2 * self.config.token_budget, self.tables
        )
        return measure(self.model, batches, self.kinds)

    def _evaluate(self) -> None:
        result = self._tuning()
        progress = self.progress
        if result.total < progress.best_loss:
            progress.best_loss, progress.best_step, progress.num_worse = result.total, progress.step, 0
            write_tensors(self.model.state_dict(), self.work / BEST)
        else:
            progress.num_worse += 1
            progress.stopped = progress.num_worse >= self.config.patience
        self._tick()
        parts = {name: round(value, 5) for name, value in result.per_event().items() if name != "total"}
        self.log.write(
            step=progress.step,
            epoch=progress.epoch,
            seconds=round(progress.seconds, 1),
            events_per_second=round(self._events_since / max(self._seconds_since, 1e-9)),
            tuning=round(result.total, 5),
            **parts,
        )
        self._events_since, self._seconds_since = 0, 0.0

    def _save(self) -> None:
        save_state(self.work, self.model, self.optimizer, self.progress, self.config)
