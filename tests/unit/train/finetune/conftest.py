"""A model of the known world that has one outcome as a task, and a task file of another."""

from __future__ import annotations

from pathlib import Path

import pytest

import known_law
from proband.tokens import tokens
from proband.tokens.config import TokensConfig
from proband.train import train
from proband.train.config import OnsetOptions, TrainConfig

TASK = "outcomes:\n{}prediction: {{years_after_entry: 0.5}}\nhorizons_years: [5]\n"


def write_task(path: Path, **codes: str) -> Path:
    """A task file of outcomes of one code each."""
    path.write_text(TASK.format("".join(f"  {name}: {{codes: {code}}}\n" for name, code in codes.items())))
    return path


@pytest.fixture(scope="session")
def adapted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tokens/, model/ with the task b and the code X//D, and task files by the outcomes they name."""
    root = tmp_path_factory.mktemp("finetune")
    known_law.write_meds(known_law.simulate(200, 0), root / "meds")
    tokens(root / "meds", root / "tokens", config=TokensConfig(min_subjects=1), workers=1)
    write_task(root / "old.yaml", b="X//B")
    write_task(root / "new.yaml", d="X//D")
    write_task(root / "same.yaml", same="X//B")
    write_task(root / "both.yaml", b="X//B", d="X//D")
    config = TrainConfig(
        depth=1,
        dim=16,
        num_heads=2,
        context=16,
        batch_tokens=256,
        epochs=0.3,
        onset=OnsetOptions(queries=4, networks=1),
    )
    train(root / "tokens", root / "model", tasks=[root / "old.yaml"], config=config)
    return root
