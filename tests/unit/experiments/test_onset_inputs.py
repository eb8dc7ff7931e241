"""What the onset head reads: gains of fits, by seed and beyond the record summary."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onset_fits
import pytest
from biobank import SIZES
from onset_inputs import BOTH, PRETRAINING, SUBJECTS, SUMMARY, TRUNK, fit, left, read, rows_of


def fitted(inputs: str, blocks: list[float], pretraining: float = 1e4) -> dict[str, Any]:
    labels = {"subjects": 400, "pretraining": pretraining, "passes": 2.0, "tasks": 17}
    return labels | {"inputs": inputs, "blocks": blocks}


def test_gains_are_means_of_blocks_and_those_beyond_the_summary_are_paired() -> None:
    rows = list(rows_of(3, [fitted(SUMMARY, [0.01, 0.03]), fitted(BOTH, [0.012, 0.032])]))
    assert [(row["head_reads"], row["gain"], row["passes"]) for row in rows] == [
        (SUMMARY, "over age and sex", None),
        (BOTH, "over age and sex", 2.0),
        (BOTH, "beyond the summary", 2.0),
    ]
    assert {row["seed"] for row in rows} == {3}
    # Standard error of 10 and 30: 14.142 / sqrt(2) = 10; of the paired differences, 2 and 2: 0.
    assert [rows[0][name] for name in ("value", "low", "high")] == pytest.approx([20, 0.4, 39.6])
    assert [rows[2][name] for name in ("value", "low", "high")] == pytest.approx([2, 2, 2])


def test_fits_that_are_there_are_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def fits(
        split: Any, task: Path, tokens: float, kinds: dict[str, tuple[bool, bool]], settings: Any
    ) -> Any:
        asked.append(list(kinds))
        assert settings["depth"] == SIZES["tiny"].train["depth"]
        yield from (fitted(kind, [0.0, 0.0], tokens) for kind in kinds)

    monkeypatch.setattr(onset_fits, "fits", fits)
    bank: Any = SimpleNamespace(seed=0, size=SIZES["tiny"], tokens=tmp_path, task=tmp_path / "task.yaml")
    log = tmp_path / "fits.jsonl"
    log.write_text(json.dumps(fitted(TRUNK, [0.1, 0.2])) + "\n")
    for _ in range(2):
        fit(bank, log, 400, 1e4, left(read(log), 400, 1e4, is_first=True))
    assert asked == [[SUMMARY, BOTH]]


def test_every_size_has_subjects_and_pretraining_that_rise() -> None:
    for sizes in (SUBJECTS, PRETRAINING):
        assert set(sizes) == set(SIZES)
        assert all(list(some) == sorted(set(some)) for some in sizes.values())
