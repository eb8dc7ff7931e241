from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from proband.synth.config import SynthConfig
from proband.synth.genomes.polygenic.scores import make_scores
from synthetic_genomes import Genomes, make_genomes


@pytest.fixture(scope="session")
def tiny_config() -> SynthConfig:
    return SynthConfig(
        subjects=200,
        seed=3,
        scores=24,
        related=0.4,
        variants=1100,
        piece_megabases=0.25,
        discovery_panel=150,
        reference_panel=8,
        causal_variants=60,
        missing_calls=0.02,
        null_scores=0.25,
    )


@pytest.fixture(scope="session")
def genomes(tmp_path_factory: pytest.TempPathFactory, tiny_config: SynthConfig) -> Genomes:
    return make_genomes(tiny_config, tmp_path_factory.mktemp("genomes"))


@pytest.fixture(scope="session")
def scores(genomes: Genomes) -> pl.DataFrame:
    return make_scores(genomes.config, genomes.work, genomes.genetics, genomes.out)


@pytest.fixture(scope="session")
def scorefiles(genomes: Genomes, scores: pl.DataFrame) -> list[Path]:
    return [genomes.out / "scorefiles" / f"{name}_hmPOS_GRCh38.txt.gz" for name in scores["pgs_id"]]
