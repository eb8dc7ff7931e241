from __future__ import annotations

from pathlib import Path

import pytest

from proband.synth import SynthConfig, synth


@pytest.fixture(scope="session")
def small_config() -> SynthConfig:
    return SynthConfig(
        subjects=120,
        seed=3,
        scores=10,
        shard_subjects=50,
        variants=1100,
        piece_megabases=0.25,
        causal_variants=60,
        discovery_panel=150,
        reference_panel=5,
        truth_replicates=6,
    )


@pytest.fixture(scope="session")
def biobank(tmp_path_factory: pytest.TempPathFactory, small_config: SynthConfig) -> Path:
    out = tmp_path_factory.mktemp("synth") / "biobank"
    synth(out, config=small_config, workers=1)
    return out
