"""Values among those of the train split."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from onset_world import head_of
from proband.explain.attribution.standard import Standard
from proband.tokens.modalities.modality import GENOME, ModalityTable
from small_world import HandStore, Record

VALUES = np.array([[0.0, 5.0], [1.0, np.nan], [1.0, 5.0], [3.0, 5.0], [9.0, 5.0]], dtype=np.float32)


def standard(*splits: str) -> Standard:
    head = head_of([2], [7], linear={GENOME: 2})
    head.linear_of(GENOME).mean.copy_(torch.tensor([1.0, 5.0]))
    head.linear_of(GENOME).sd.copy_(torch.tensor([2.0, torch.inf]))
    store = HandStore([Record([2], [5], split=split) for split in splits])
    zeros, offsets = np.zeros(5, np.int64), np.arange(6)
    return Standard.of(head, store, GENOME, ModalityTable(VALUES, zeros, offsets, ("S1", "S2")))


def test_percentiles_are_among_train_subjects() -> None:
    found = standard("train", "train", "train", "train", "held_out")
    assert found.train[:, 0].tolist() == [-0.5, 0.0, 0.0, 1.0]
    assert not found.train[:, 1].any()  # a value that does not vary, or is missing, is the mean
    asked = np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])
    assert found.percentiles(asked)[:, 0].tolist() == [0.0, 50.0, 87.5, 100.0]
    assert found.percentiles(asked)[:, 1].tolist() == [50.0] * 4
    assert found.at(np.array([0.0, 100.0]))[:, 0].tolist() == [-0.5, 1.0]
    assert found.correlations() == pytest.approx(np.eye(2))


def test_without_train_subjects_percentiles_are_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    found = standard(*["held_out"] * 5)
    assert len(found.rows) == 5
    said = "no train subject has genome; percentiles are those of all subjects who have it"
    assert said in capsys.readouterr().err
