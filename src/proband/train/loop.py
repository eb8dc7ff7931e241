"""The training loop: steps, tuning evaluations, early stopping, resumable at any step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

from proband.core.progress import say
from proband.model.transformer import Proband
from proband.tokens.dataset import TokenStore
from proband.tokens.modality import ModalityTable
from proband.train.config import TrainConfig
from proband.train.distributed import Team
from proband.train.feed import Ahead, Step, StepStream
from proband.train.health import Watch
from proband.train.interrupt import StepInterrupt
from proband.train.likelihood import Likelihood, measure
from proband.train.log import Meter, MetricsLog
from proband.train.optimizer import make_optimizer, rate_at
from proband.train.state import BEST, STATE, Progress, load_state, load_weights, save_state

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
        team: The processes that train together; default this one alone.
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
        self.model, self.config, self.work, self.clock = model, config, work, clock
        self.team = team or Team()
        self.optimizer = make_optimizer(model, config)
        self.stream = StepStream(store, tables, config, self.team)
        self.kinds = store.vocabulary.kinds()
        low, high = _EVALUATE_STEPS
        self.evaluate_steps = config.evaluate_steps or min(max(self.stream.steps_per_epoch, low), high)
        resumed = (work / STATE).is_file()
        self.progress = load_state(work / STATE, model, self.optimizer) if resumed else Progress()
        self.log = MetricsLog(work, self.progress.step)
        self.meter = Meter()
        self._ticked = self.clock()

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
        self._ticked = self.clock()
        self._measure_start()
        watch = Watch(self.progress, self.config, self.work)
        saved = time.monotonic()
        stream = self.stream.steps(self.progress.epoch, self.progress.index)
        with StepInterrupt() as interrupt, Ahead(stream) as ahead:
            steps = iter(ahead)
            while not self.finished:
                self._step(next(steps), watch, ahead)
                if self.finished or self.progress.step % self.evaluate_steps == 0:
                    self._evaluate()
                elif self.progress.step % _LOG_STEPS == 0:
                    self._write()
                if interrupt.asked or time.monotonic() - saved > self.config.save_seconds:
                    self._save(STATE)
                    saved = time.monotonic()
                if interrupt.asked:
                    say(f"train: state saved in {self.work}; the same command goes on from there")
                    interrupt.leave()
        if self.log.last_evaluated != self.progress.step:
            self._evaluate()
        self._save(STATE)
        load_weights(self.work / BEST, self.model)
        return self._tuning()

    def _step(self, step: Step, watch: Watch, ahead: Ahead[Step]) -> None:
        self.model.train()
        rate = rate_at(self.share_done, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        self.optimizer.zero_grad(set_to_none=True)
        nats, num_events = self._gradients(step)
        events = max(1, num_events)
        norm = self._rescale(1 / events)
        watch.check(float(nats.sum()) / events, norm, rate)
        self.optimizer.step()
        progress = self.progress
        progress.step, progress.epoch, progress.index = progress.step + 1, step.epoch, step.index
        self.meter.add(
            nats=nats,
            num_events=num_events,
            num_real=step.num_real,
            num_padded=step.num_padded,
            seconds=self._tick(),
            waited=ahead.take_waited(),
            norm=norm,
        )

    def _gradients(self, step: Step) -> tuple[np.ndarray, int]:
        """Add up the gradients of the step's total nats; returns when, what, censoring, and the events."""
        nats = torch.zeros(3, dtype=torch.float64, device=self.team.device)
        num_events = 0
        for batch, key in zip(step.micro, step.keys, strict=True):
            torch.manual_seed(key)
            terms = self.model(batch)
            parts = torch.stack([terms.when, terms.what, terms.censoring])
            parts.sum().backward()
            nats += parts.detach()
            num_events += terms.num_events
        sums = self.team.sum(np.append(nats.cpu().numpy(), float(num_events)))
        return sums[:3], int(sums[3])

    def _rescale(self, scale: float) -> float:
        """Turn gradients of total nats into gradients per event, clipped; returns their norm before."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        norm = float(torch.nn.utils.get_total_norm(gradients)) * scale
        torch._foreach_mul_(gradients, scale * min(1.0, self.config.clip_norm / max(norm, 1e-12)))
        return norm

    def _tick(self) -> float:
        """Add the time since the last tick to the training time, and return it."""
        now = self.clock()
        elapsed, self._ticked = now - self._ticked, now
        self.progress.seconds += elapsed
        return elapsed

    def _measure_start(self) -> None:
        """The untrained model's loss on the first steps' windows, by which divergence is judged."""
        if self.progress.step:
            return
        self.model.eval()
        nats, num_events = 0.0, 0
        with torch.no_grad(), Ahead(self.stream.steps()) as ahead:
            for _, step in zip(range(_FIRST_LOSS_STEPS), ahead, strict=False):
                for batch in step.micro:
                    terms = self.model(batch)
                    nats += float(terms.when + terms.what + terms.censoring)
                    num_events += terms.num_events
        total, events = self.team.sum(np.array([nats, float(num_events)]))
        self.progress.first_loss = float(total / max(1.0, events))

    def _tuning(self) -> Likelihood:
        config = self.config
        budget = 2 * (config.token_budget or config.batch_tokens // self.team.size)
        with Ahead(self.stream.tuning(budget)) as batches:
            return measure(self.model, batches, self.kinds, self.team.sum)

    def _evaluate(self) -> None:
        result = self._tuning()
        progress = self.progress
        if result.total < progress.best_loss:
            progress.best_loss, progress.best_step, progress.num_worse = result.total, progress.step, 0
            self._save(BEST)
        else:
            progress.num_worse += 1
            progress.stopped = progress.num_worse >= self.config.patience
        self._tick()
        names = {"total": "tuning"}
        self._write(
            **{names.get(name, f"tuning_{name}"): value for name, value in result.per_event().items()}
        )

    def _write(self, **tuning: float) -> None:
        progress = self.progress
        rate = self.optimizer.param_groups[0]["lr"]
        values = self.meter.values() | {"learning_rate": rate} | tuning
        self.meter = Meter()
        self.log.write(progress.step, progress.epoch, progress.seconds, values)

    def _save(self, name: str) -> None:
        save_state(self.work / name, self.model, self.optimizer, self.progress)
