"""What matters on sparse lifelong records: one change at a time, over as many passes of the train split.

    python experiments/delphi_ablations.py OUT [NAME ...] --data FOLDER --epochs 10

Prints one line of JSON per run: tuning and held-out joint NLL in nats per event with the parts of the
latter, steps and CPU seconds. Changes that are settings go through them; others replace a part of the
model for the run. OUT is that of delphi.py. Without names, all of :data:`ABLATIONS` run.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import delphi
import torch
from torch import nn

from proband.model import embedding
from proband.model.next_event import heads
from proband.model.trunk import rotary
from proband.tokens.dataset import TokenStore
from proband.tokens.loader import sequential_batches
from proband.train.initial import build
from proband.train.log_likelihood import measure
from proband.train.pretrain import loop

TOKEN_DROPOUT = 0.15
MUON_NAMES = ("blocks.", "what.mix")


def settings(**changes: Any) -> Callable:
    """An ablation that only changes options of delphi.py."""

    @contextmanager
    def change(options: Any) -> Iterator[None]:
        vars(options).update(changes)
        yield

    return change


def replaced(target: Any, name: str, make: Callable[[Any], Any]) -> Callable:
    """An ablation that replaces an attribute by ``make(old)`` for the time of a run."""

    @contextmanager
    def change(options: Any) -> Iterator[None]:
        with patch.object(target, name, make(getattr(target, name))):
            yield

    return change


def _without_age(old: Callable) -> Callable:
    def init(self: rotary.Rotary, head_dim: int) -> None:
        old(self, head_dim)
        self.age_rates.zero_()

    return init


def _blind_to_the_gap(old: Callable) -> Callable:
    return lambda self, hidden, gap_bins, *rest: old(self, hidden, torch.zeros_like(gap_bins), *rest)


def _untied(old: Callable) -> Callable:
    def init(self: heads.WhatHead, config: Any, *rest: Any) -> None:
        old(self, config, *rest)
        self.own = nn.Parameter(torch.randn(config.vocabulary_size, config.dim) * 0.02)

    return init


def _own_weights(old: Callable) -> Callable:
    return lambda self, hidden, gap_bins, shared, *rest: old(self, hidden, gap_bins, self.own, *rest)


@contextmanager
def untied(options: Any) -> Iterator[None]:
    """Output weights apart from the token vectors."""
    with ExitStack() as stack:
        for name, make in (("__init__", _untied), ("_logits", _own_weights)):
            stack.enter_context(patch.object(heads.WhatHead, name, make(getattr(heads.WhatHead, name))))
        yield


def _hide_tokens(old: Callable) -> Callable:
    """In training, some tokens of the history are read as padding; the targets stay."""

    def forward(self: embedding.Embedding, tokens: torch.Tensor, *rest: Any) -> torch.Tensor:
        if self.training:
            tokens = tokens.masked_fill(torch.rand(tokens.shape) < TOKEN_DROPOUT, 0)
        return old(self, tokens, *rest)

    return forward


class MuonBesideAdamW:
    """Muon (Jordan et al. 2024) for the trunk's matrices, AdamW for the rest, at one learning rate."""

    def __init__(self, model: nn.Module, config: Any) -> None:
        chosen = [p for name, p in model.named_parameters() if p.ndim == 2 and name.startswith(MUON_NAMES)]
        rate, decay = config.learning_rate, config.weight_decay
        muon = torch.optim.Muon(chosen, lr=rate, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        self.adam, self.muon = _adam(model, config), muon
        ids = {id(parameter) for parameter in chosen}
        for group in self.adam.param_groups:
            group["params"] = [p for p in group["params"] if id(p) not in ids]
        for group in muon.param_groups:
            group["scale"] = 1.0
        self.param_groups = [*self.adam.param_groups, *muon.param_groups]
        self.state: dict = {}

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        self.adam.zero_grad(set_to_none)
        self.muon.zero_grad(set_to_none)

    def step(self) -> None:
        """Take one step of both."""
        self.adam.step()
        self.muon.step()


_adam = loop.make_optimizer
ABLATIONS: dict[str, Callable] = {
    "base": settings(),
    "seed 1": settings(seed=1),
    "seed 2": settings(seed=2),
    "no families": replaced(build, "share_families", lambda old: lambda *_: None),
    "untied": untied,
    "position rotary only": replaced(rotary.Rotary, "__init__", _without_age),
    "code head blind to the gap": replaced(heads.WhatHead, "_logits", _blind_to_the_gap),
    "4,096 tokens a step": settings(batch_tokens=4096),
    "dropout 0.1, weight decay 0.1": settings(dropout=0.1, weight_decay=0.1),
    "depth 2": settings(depth=2),
    "depth 6": settings(depth=6, dim=96),
    "width 192": settings(dim=192),
    "learning rate 2e-3": settings(learning_rate=2e-3),
    "learning rate 8e-3": settings(learning_rate=8e-3),
    "history tokens dropped": replaced(embedding.Embedding, "forward", _hide_tokens),
    "Muon": replaced(loop, "make_optimizer", lambda old: MuonBesideAdamW),
}


def run(name: str, options: Any, store: TokenStore) -> dict[str, Any]:
    """Train with one change and measure."""
    with ABLATIONS[name](options), tempfile.TemporaryDirectory() as work:
        config = delphi.settings(options, minutes=None, epochs=options.epochs)
        model, spent, steps = delphi.train_on(store, Path(work), config)
        parts = {}
        for split in ("tuning", "held_out"):
            batches = sequential_batches(store, store.rows_of(split), 256, delphi.TOKENS_AT_ONCE)
            parts[split] = measure(model, batches, store.vocabulary.kinds()).per_event()
    return {
        "name": name,
        "seconds": round(spent, 1),
        "steps": steps,
        "tuning": round(parts["tuning"]["total"], 4),
        **{key: round(parts["held_out"][key], 4) for key in ("total", "when", "what")},
    }


def main() -> None:
    parser = delphi.arguments()
    parser.description = __doc__
    parser.add_argument("--epochs", type=float, default=10, help="Passes over the train split.")
    parser.add_argument("names", nargs="*", help="Ablations; default all.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    delphi.prepare(options.data, options.out)
    store = TokenStore(options.out / "tokens")
    for name in options.names or ABLATIONS:
        print(json.dumps(run(name, parser.parse_args(), store)), flush=True)


if __name__ == "__main__":
    main()
