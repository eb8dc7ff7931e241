from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from proband.core.errors import ConfigError
from proband.core.running.device import choose_device
from proband.core.running.team import Team
from proband.tokens.dataset import TokenStore
from proband.train import train
from proband.train.config import TrainConfig
from proband.train.initial.build import build_model
from proband.train.log import read_metrics
from proband.train.pretrain.feed import StepStream
from proband.train.pretrain.loop import Trainer
from proband.train.pretrain.precision import (
    BFLOAT16_WIDTH,
    choose_precision,
    computing_in,
    explained_memory,
    prepare,
)

CPU = torch.device("cpu")
TOO_MANY_BYTES = 2**60


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == CPU
    with pytest.raises(ConfigError, match=r"no usable GPU; in --device cuda; remedy: give --device cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto").type == choose_device("cuda").type == "cuda"


def test_the_precision_by_width_and_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    assert choose_precision("auto", CPU, BFLOAT16_WIDTH) == torch.bfloat16
    assert choose_precision("auto", CPU, BFLOAT16_WIDTH - 1) == torch.float32
    assert choose_precision("bfloat16", CPU, 96) == torch.bfloat16
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert choose_precision("auto", CPU, 1024) == torch.float32
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert choose_precision("auto", torch.device("cuda"), 96) == torch.bfloat16
    assert choose_precision("float32", torch.device("cuda"), 96) == torch.float32


def loss_and_gradient(world: Path, config: TrainConfig) -> tuple[float, torch.Tensor]:
    store = TokenStore(world / "tokens")
    model = build_model(store, {}, config)
    prepare(model, CPU, config.compile)
    step = next(StepStream(store, {}, config, Team()).steps())
    with computing_in(choose_precision(config.precision, CPU, 16), CPU):
        terms = model(step.micro[0])
    assert terms.event_when.dtype == terms.event_what.dtype == torch.float32
    terms.mean.backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    assert all(gradient.dtype == torch.float32 for gradient in gradients)
    return terms.mean.item(), torch.cat(gradients)


def test_bfloat16_is_close_to_float32(world: Path, small: TrainConfig) -> None:
    config = small.model_copy(update={"dropout": 0.0, "dim": 64, "num_heads": 2})
    loss, gradient = loss_and_gradient(world, config)
    other, rounded = loss_and_gradient(world, config.model_copy(update={"precision": "bfloat16"}))
    assert other != loss  # it did compute in another type
    assert other == pytest.approx(loss, rel=2e-3)
    assert torch.cosine_similarity(gradient, rounded, dim=0) > 0.99


def test_training_in_bfloat16_learns_as_in_float32(world: Path, small: TrainConfig, tmp_path: Path) -> None:
    found = []
    for precision in ("float32", "bfloat16"):
        config = small.model_copy(update={"epochs": 3.0, "precision": precision})
        train(world / "tokens", tmp_path / precision, config=config)
        found.append(read_metrics(tmp_path / precision)[-1]["tuning"])
    assert found[1] != found[0]
    assert found[1] == pytest.approx(found[0], rel=5e-3)


COMPILED = """
import sys
from pathlib import Path
import torch
from proband.tokens.dataset import TokenStore
from proband.train.initial.build import build_model
from proband.train.config import TrainConfig
from proband.core.running.team import Team
from proband.train.pretrain.feed import StepStream
from proband.train.pretrain.precision import prepare
store = TokenStore(Path(sys.argv[1]))
config = TrainConfig(depth=1, dim=16, num_heads=2, context=16, batch_tokens=256, dropout=0.0)
batch = next(StepStream(store, {}, config, Team()).steps()).micro[0]
losses = []
for compiled in (False, True):
    model = build_model(store, {}, config)
    prepare(model, torch.device("cpu"), compiled)
    loss = model(batch).mean
    loss.backward()
    losses.append([loss.item(), *(p.grad.norm().item() for p in model.parameters() if p.grad is not None)])
torch.testing.assert_close(torch.tensor(losses[1]), torch.tensor(losses[0]), rtol=1e-3, atol=1e-5)
assert hasattr(model.blocks[0], "_compiled_call_impl") and model.blocks[0]._compiled_call_impl
"""


@pytest.mark.slow
def test_compiled_blocks_compute_the_same(world: Path) -> None:
    # In a process of its own: the compiler cannot see through the checks of shapes that tests add.
    command = [sys.executable, "-c", COMPILED, str(world / "tokens")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr


def test_a_step_that_memory_does_not_hold_names_the_option(
    world: Path, small: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Trainer._gradients

    def greedy(self: Trainer, *rest: object) -> object:
        if self.progress.step == 3:
            torch.empty(TOO_MANY_BYTES, dtype=torch.uint8)
        return original(self, *rest)

    monkeypatch.setattr(Trainer, "_gradients", greedy)
    message = (
        r"^out of memory; in step 4; found 256 padded tokens.*same command.*lower --token-budget goes on"
    )
    with pytest.raises(ConfigError, match=message) as caught:
        train(world / "tokens", tmp_path / "m", config=small)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    train(world / "tokens", tmp_path / "m", config=small.model_copy(update={"token_budget": 64}))


def test_other_errors_are_not_called_memory() -> None:
    with pytest.raises(RuntimeError, match="another"), explained_memory("step 1", 64):
        raise RuntimeError("another")
    for error in (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), MemoryError()):
        with (
            pytest.raises(ConfigError, match="out of memory; in step 1; found 64"),
            explained_memory("step 1", 64),
        ):
            raise error
