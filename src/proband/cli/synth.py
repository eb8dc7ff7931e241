"""``proband synth``."""

from __future__ import annotations

from proband.cli.options import Out, Overwrite, Workers
from proband.synth.config import SynthConfig


def command(out: Out, config: SynthConfig, workers: Workers = None, overwrite: Overwrite = False) -> None:
    """Make a synthetic biobank with known truth: OMOP, genotypes, scoring files, task.

    A stopped run goes on where it stopped when the same command is given again. A process takes up to 3 GB.

    Example: proband synth biobank/ --preset demo --seed 7

    Example: proband synth large/ --subjects 100000 --scores 3481
    """
    from proband.synth import synth

    synth(out, config=config, workers=workers, overwrite=overwrite)
