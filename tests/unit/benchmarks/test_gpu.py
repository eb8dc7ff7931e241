"""The arithmetic of benchmarks/gpu.py, on a CPU."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


def test_operations_are_those_that_torch_counts(module: ModuleType) -> None:
    training = importlib.import_module("training")
    store = importlib.import_module("records").drawn_records(1_000, (np.log(64), 0.1), 300, seed=0)
    model = training.make_model(store, 64, depth=2, dim=64, num_heads=2, num_latents=1)
    windows = training.make_windows(store, np.arange(8), 64)
    batch = training.load_batch(store, windows)
    counter = FlopCounterMode(display=False)
    with counter:
        loss = model(batch)
        loss.mean.backward()
    products = sum(
        count for name, count in counter.get_flop_counts()["Global"].items() if "attention" not in str(name)
    )
    rows, length = batch.tokens.shape
    length += model.config.num_latents
    told = training.step_flops(model, rows, length, loss.num_events)
    attention = rows * length * 6 * model.config.depth * model.config.dim * length
    assert told - attention == pytest.approx(products, rel=0.1)
    # Scores and mixing, 2 x 2 operations per head dimension and pair, thrice with the way back, half of them.
    assert attention == 0.5 * 3 * 2 * 2 * rows * length**2 * model.config.dim * model.config.depth


def test_a_device_agrees_with_itself(module: ModuleType) -> None:
    assert set(module.kernel_differences("cpu").values()) == {0.0}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_kernels_of_a_gpu_agree_with_the_cpu(module: ModuleType) -> None:
    assert max(module.kernel_differences("cuda").values()) < module.TOLERANCE


def test_without_a_gpu_one_line_says_so(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 2
    assert capsys.readouterr().out == module.NO_GPU + "\n"
