"""One tiny run of every stage, made once per test session and shared by its worker processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

import fresh_process

SUBJECTS = 300
TASK = """
outcomes:
  hypertension: {codes: [SNOMED//59621000]}
  chronic_kidney_disease: {codes: [SNOMED//709044004], may_be_absent: true}
prediction: {years_after_entry: 2}
horizons_years: [1, 5, 10]
"""


def build(root: Path) -> None:
    """Run all stages into ``root``: biobank, meds, genome, tokens, model, task.yaml, risk, results."""
    from proband.ehr import ehr
    from proband.ehr.config import EhrConfig
    from proband.evaluate import evaluate
    from proband.evaluate.config import EvaluateConfig
    from proband.forecast import forecast
    from proband.forecast.config import ForecastConfig
    from proband.genome import genome
    from proband.synth import synth
    from proband.synth.config import SynthConfig
    from proband.tokens import tokens
    from proband.train import train
    from proband.train.config import OnsetOptions, TrainConfig

    config = SynthConfig(
        subjects=SUBJECTS,
        scores=20,
        variants=2200,
        piece_megabases=0.3,
        causal_variants=60,
        discovery_panel=150,
        reference_panel=20,
        truth_replicates=20,
    )
    synth(root / "biobank", config=config, workers=1)
    ehr(root / "biobank" / "omop", root / "meds", config=EhrConfig(splits=(0.6, 0.1, 0.3)), workers=1)
    genome(root / "biobank" / "genotypes", root / "biobank" / "scorefiles", root / "genome")
    tokens(root / "meds", root / "tokens", workers=1)
    (root / "task.yaml").write_text(TASK, encoding="utf-8")
    onset = OnsetOptions(queries=8, networks=1)
    small = TrainConfig(depth=1, dim=32, num_heads=2, epochs=0.5, context=128, fusion="prefix", onset=onset)
    train(root / "tokens", root / "model", genome=root / "genome", tasks=[root / "task.yaml"], config=small)
    forecast(
        root / "model",
        root / "tokens",
        root / "risk",
        task=root / "task.yaml",
        genome=root / "genome",
        config=ForecastConfig(estimator="scope", paths=4, max_events=100),
    )
    evaluate(
        [root / "risk"],
        root / "meds",
        root / "results",
        genome=root / "genome",
        config=EvaluateConfig(bootstrap=50),
    )


def shared(base: Path) -> Path:
    """The folder of the tiny run below ``base``, built by whichever process comes first."""
    root, done, lock = base / "tiny", base / "tiny.done", base / "tiny.lock"
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        waited = time.monotonic()
        while not done.exists():
            if time.monotonic() - waited > 300:
                raise TimeoutError("the tiny pipeline was not built") from None
            time.sleep(0.2)
        return root
    said = base / "tiny.txt"
    if fresh_process.call(build, root, said=said):
        raise RuntimeError(f"the tiny pipeline was not built: {said.read_text()[-2000:]}")
    done.touch()
    return root
