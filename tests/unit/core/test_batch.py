from __future__ import annotations

import torch

from proband.core.batch import CENSORED, EVENT, NOT_SCORED, Batch, ModalityInput


def test_moving_keeps_everything() -> None:
    grid = torch.arange(3)[None]
    batch = Batch(
        tokens=grid,
        ages=grid,
        statics=grid[:, :1],
        seen_before=grid[:, :1],
        target=torch.tensor([[EVENT, NOT_SCORED, CENSORED]]),
        next_tokens=grid,
        gaps=grid,
        waited=grid,
        rows=torch.tensor([4]),
        modalities={
            "panel": ModalityInput(torch.ones(1, 1, 2), torch.tensor([[True]]), torch.tensor([[70]]))
        },
    )
    moved = batch.to("cpu")
    assert torch.equal(moved.target, batch.target)
    assert torch.equal(moved.rows, batch.rows)
    assert torch.equal(moved.modalities["panel"].values, torch.ones(1, 1, 2))
    assert moved.modalities["panel"].minutes.tolist() == [[70]]
