from __future__ import annotations

from pathlib import Path

import pytest

from proband.synth.config import SynthConfig
from proband.synth.lives.law import Law, table_law
from proband.synth.lives.lives import Lives
from synthetic_lives import shard_lives, write_biobank


@pytest.fixture(scope="session")
def config() -> SynthConfig:
    return SynthConfig(subjects=300, seed=5, truth_replicates=40)


@pytest.fixture(scope="session")
def law() -> Law:
    return table_law()


@pytest.fixture(scope="session")
def lives(law: Law, config: SynthConfig) -> Lives:
    return shard_lives(law, 150, config)


@pytest.fixture(scope="session")
def lived(law: Law, config: SynthConfig, lives: Lives, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The truth of two shards, as a biobank has it."""
    out = tmp_path_factory.mktemp("lived")
    write_biobank(out, [lives, shard_lives(law, 150, config, 1)], law, config)
    return out
