"""The training loop: steps, tuning evaluations, early stopping, resumable at any step."""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import torch

from proband.core.batch import Batch
from proband.core.running.progress import say
from proband.core.running.team import Team
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.modalities.modality import ModalityTable
from proband.train.config import TrainConfig
from proband.train.display import Display, terminal
from proband.train.log import Meter, MetricsLog
from proband.train.log_likelihood import Likelihood, measure
from proband.train.pretrain.average import WeightAverage
from proband.train.pretrain.feed import Ahead, Step, StepStream
from proband.train.pretrain.health import Watch
from proband.train.pretrain.interrupt import StepInterrupt
from proband.train.pretrain.optimizer import make_optimizer, rate_at
from proband.train.pretrain.parallel import accumulating, full_tensor, share_model
from proband.train.pretrain.precision import choose_precision, computing_in, explained_memory, prepare
from proband.train.pretrain.state import AVERAGE, BEST, STATE, Progress, load_state, load_weights, save_state

_EVALUATE_STEPS = (25, 2000)
_LOG_STEPS = 10
_FIRST_LOSS_STEPS = 16
"""Steps' windows that measure the untrained model: a third of their cost, and noise well below the margin."""


class Trainer:
    """Fits one model.

    Args:
        model: Freshly initialised.
        store: Tokens with train and tuning splits.
        tables: Modalities by name.
        config: Settings.
        work: Folder for states; an existing state there is continued.
        team: The process group; default this process alone.
        clock: Seconds that ``minutes`` count; wall time unless told otherwise.
    """

    def __init__(
        self,
        model: Proband,
        store: TokenStore,
        tables: Mapping[str, ModalityTable],
        config: TrainConfig,
        work: Path,
        team: Team | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.config, self.work, self.clock = config, work, clock
        self.team = team or Team()
        self.precision = choose_precision(config.precision, self.team.device, model.config.dim)
        self.stream = StepStream(store, tables, config, self.team)
        self.kinds = store.vocabulary.kinds()
        low, high = _EVALUATE_STEPS
        self.evaluate_steps = config.evaluate_steps or min(max(self.stream.steps_per_epoch, low), high)
        self.micro_tokens = config.token_budget or config.batch_tokens // self.team.size
        self._full_model = copy.deepcopy(model) if self.team.is_first else None
        prepare(model, self.team.device, config.compile)
        self.model, self.shared = model, share_model(model, self.team, config.parallel)
        self.optimizer = make_optimizer(model, config)
        self.average = WeightAverage(model)
        resumed = self.team.decide((work / STATE).is_file)
        self.progress = Progress()
        if resumed:
            self.progress = load_state(work / STATE, model, self.optimizer, self.average.values)
        self.watch = Watch(self.progress, self.team, work)
        self.log = MetricsLog(work, self.progress.step) if self.team.is_first else None
        self.meter = Meter()
        self.interrupt = StepInterrupt()
        self._ticked = self._saved = 0.0

    @property
    def share_done(self) -> float:
        """Share of training done, 0 to 1."""
        if self.config.minutes is not None:
            return min(1.0, self.progress.seconds / (60 * self.config.minutes))
        return min(1.0, self.progress.step / max(1, round(self.config.epochs * self.stream.steps_per_epoch)))

    @property
    def finished(self) -> bool:
        """Whether the last step is done."""
        return self.progress.stopped or self.share_done >= 1

    def run(self) -> Likelihood:
        """Train to the end (or to early stopping) and return the best model's tuning likelihood.

        Raises:
            ConfigError: The loss is no number or diverges, or memory does not suffice.
            KeyboardInterrupt: After Ctrl-C, with the state saved.
            SystemExit: With status 0 after SIGTERM, with the state saved.
        """
        is_first = self.team.is_first
        with Display(terminal() if is_first else None, plain=is_first) as display:
            return self._run(display)

    def _run(self, display: Display) -> Likelihood:
        self._ticked, self._saved = self.clock(), time.monotonic()
        self._measure_start()
        stream = self.stream.steps(self.progress.epoch, self.progress.index)
        with self.interrupt, Ahead(stream) as ahead:
            steps = iter(ahead)
            while not self.finished:
                *signals, is_save_due = self._step(next(steps), ahead.take_waited())
                self._show(display)
                if self.finished or self.progress.step % self.evaluate_steps == 0:
                    self._evaluate()
                elif self.progress.step % _LOG_STEPS == 0:
                    self._write()
                if is_save_due or any(signals):
                    self._save(STATE)
                self._leave_if(signals)
            if self.progress.evaluated != self.progress.step:
                self._evaluate()
            self._save(STATE)
            # A signal during the last evaluation, after which no step asks for signals.
            flags = self.team.sum(np.array(self.interrupt.flags, dtype=np.float64))
            self._leave_if([bool(number) for number in flags])
        if self.log:
            self.log.close()
        load_weights(self.work / BEST, self.model, AVERAGE)
        return self._tuning()

    def _leave_if(self, signals: list[bool]) -> None:
        """End where a process met a signal; the state is saved."""
        if any(signals):
            if self.team.is_first:
                say(f"train: state saved in {self.work}; the same command goes on from there")
            self.interrupt.leave(signals)

    def best_model(self) -> Proband:
        """The model of the best evaluation, unsharded; on rank 0 only."""
        assert self._full_model is not None
        load_weights(self.work / BEST, self._full_model, AVERAGE)
        return self._full_model

    @property
    def _is_save_due(self) -> bool:
        return self.team.is_first and time.monotonic() - self._saved > self.config.save_seconds

    def _step(self, step: Step, waited: float) -> list[bool]:
        """Take one step; returns whether any process met a signal or is to save, all-reduced."""
        progress = self.progress
        rate = rate_at(self.share_done, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        where = f"step {progress.step + 1}"
        with explained_memory(where, self.micro_tokens):
            nats, num_events = self._gradients(step)
        seconds = self._tick() if self.team.is_first else 0.0
        own = [*nats, num_events, step.num_real, step.num_padded, seconds, waited / self.team.size]
        own += [*self.interrupt.flags, self._is_save_due]
        sums = self.team.sum(np.array(own, dtype=np.float64))
        events = max(1.0, sums[3])
        progress.events += float(sums[3])
        # Gradients are means over the processes. Divided by the mean number of events of a step, not by the
        # step's own, every event weighs the same, in a step of short records as in one of long ones.
        norm = self._rescale(self.team.size * (progress.step + 1) / max(1.0, progress.events))
        self.watch.check(float(sums[:3].sum()) / events, norm, rate)
        with explained_memory(where, self.micro_tokens):
            self.optimizer.step()
        progress.step, progress.epoch, progress.index = progress.step + 1, step.epoch, step.index
        self.average.update(progress.step)
        progress.seconds += float(sums[6])
        self.meter.add(sums[:8], norm)
        return [bool(value) for value in sums[8:]]

    def _gradients(self, step: Step) -> tuple[list[float], int]:
        """Add up the gradients of the step's total nats; returns when, what, censoring, and the events."""
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        nats = torch.zeros(3, dtype=torch.float64, device=self.team.device)
        num_events = 0
        for number, (batch, key) in enumerate(zip(step.micro, step.keys, strict=True), 1):
            torch.manual_seed(key)
            with accumulating(self.shared, number == len(step.micro)):
                with computing_in(self.precision, self.team.device):
                    terms = self.shared(batch)
                parts = torch.stack([terms.when, terms.what, terms.censoring])
                parts.sum().backward()
            nats += parts.detach()
            num_events += terms.num_events
        return nats.tolist(), num_events

    def _rescale(self, scale: float) -> float:
        """Turn gradients of total nats into gradients per event, clipped; returns their norm before."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = float(full_tensor(torch.nn.utils.get_total_norm(gradients))) * scale
        torch._foreach_mul_(gradients, scale * min(1.0, self.config.clip_norm / max(norm, 1e-12)))
        return norm

    def _tick(self) -> float:
        """Seconds since the last tick."""
        now = self.clock()
        elapsed, self._ticked = now - self._ticked, now
        return elapsed

    def _measure_start(self) -> None:
        """The untrained model's loss on the first steps' windows, by which divergence is judged."""
        if self.progress.step:
            return
        with Ahead(itertools.islice(self.stream.steps(), _FIRST_LOSS_STEPS)) as ahead:
            result = self._likelihood((batch for step in ahead for batch in step.micro), self.micro_tokens)
        self.progress.first_loss = result.total

    def _tuning(self) -> Likelihood:
        tokens = 2 * self.micro_tokens  # what gradients do not need
        with Ahead(self.stream.tuning(tokens)) as batches:
            return self._likelihood(batches, tokens)

    def _likelihood(self, batches: Iterable[Batch], tokens: int) -> Likelihood:
        where = f"an evaluation after step {self.progress.step}"
        with explained_memory(where, tokens), computing_in(self.precision, self.team.device):
            return measure(self.model, batches, self.kinds, self.team.sum)

    def _evaluate(self) -> None:
        with self.average.in_place():
            result = self._tuning()
        progress = self.progress
        seconds = self.team.sum(np.array([self._tick() if self.team.is_first else 0.0]))
        progress.seconds += float(seconds[0])
        progress.evaluated = progress.step
        if result.total < progress.best_loss:
            progress.best_loss, progress.best_step, progress.num_worse = result.total, progress.step, 0
            self._save(BEST)
        else:
            progress.num_worse += 1
            progress.stopped = progress.num_worse >= self.config.patience
        parts = {f"tuning_{name}": value for name, value in result.per_event().items() if name != "total"}
        self._write(tuning=result.total, **parts)

    def _write(self, **tuning: float) -> None:
        progress, rate = self.progress, self.optimizer.param_groups[0]["lr"]
        values = self.meter.values() | {"learning_rate": rate} | tuning
        self.meter = Meter()
        if self.log:
            self.log.write(progress.step, progress.epoch, progress.seconds, values)

    def _show(self, display: Display) -> None:
        progress = self.progress
        values = self.meter.values()
        display.show(self.share_done, progress.step, progress.seconds, progress.best_loss, values)

    def _save(self, name: str) -> None:
        save_state(
            self.work / name, self.model, self.optimizer, self.progress, self.team, self.average.values
        )
        if name == STATE:  # training resumes from STATE, never from BEST
            self._saved = time.monotonic()
