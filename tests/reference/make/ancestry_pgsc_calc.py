"""Make tests/reference/ancestry_pgsc_calc/: populations and adjusted scores by pgsc_calc's own code.

Usage: python tests/reference/make/ancestry_pgsc_calc.py OUT
(in an environment of its own with pgscatalog.calc; made with 0.3.1, scikit-learn 1.9.1)

Writes reference.tsv (components, population, whether unrelated, raw scores) and target.tsv (the same, the
most similar population by both methods, and the three adjusted scores of the target).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from pgscatalog.calc.lib._ancestry.tools import compare_ancestry, pgs_adjust

POPULATIONS = ["AFR", "AMR", "EAS", "EUR"]
CENTRES = np.array([[6, 0, 0, 0], [0, 1, 3, 0], [-2, 5, -1, 1], [-2, -4, -1, -1]], float)
NUM_PCS = 5
SCORES = ["S1", "S2", "S3"]


def people(rng: np.random.Generator, count: int, prefix: str) -> pd.DataFrame:
    number = rng.integers(0, len(POPULATIONS), count)
    pcs = np.column_stack([CENTRES[number], np.zeros(count)]) + rng.normal(size=(count, NUM_PCS)) * 0.9
    table = pd.DataFrame(pcs.round(5), columns=[f"PC{pc + 1}" for pc in range(NUM_PCS)])
    noise = rng.normal(size=(count, 3))
    table["S1"] = 3 + 0.4 * pcs[:, 0] - 0.2 * pcs[:, 1] + noise[:, 0]
    table["S2"] = -50 + pcs[:, 1] * 2 + np.exp(0.15 * pcs[:, 0]) * 5 * noise[:, 1]
    table["S3"] = 0.001 * (noise[:, 2] ** 3 + 0.1 * pcs[:, 2])
    table[SCORES] = table[SCORES].astype(np.float32).astype(float)
    table.insert(0, "population", np.array(POPULATIONS)[number])
    table.insert(0, "is_unrelated", rng.random(count) < 0.9)
    table.index = pd.Index([f"{prefix}{row}" for row in range(count)], name="sample_id")
    return table


def main(out: Path) -> None:
    rng = np.random.default_rng(7)
    reference, target = people(rng, 400, "R"), people(rng, 80, "T").drop(columns="is_unrelated")
    for method, threshold in (("RandomForest", 0.5), ("Mahalanobis", 1e-10)):
        options = {"method": method, "n_pcs": NUM_PCS, "p_threshold": threshold}
        _, assigned, _ = compare_ancestry(reference, "population", target, "is_unrelated", **options)
        target[f"{method}_population"] = assigned["MostSimilarPop"]
        target[f"{method}_low_confidence"] = assigned["MostSimilarPop_LowConfidence"]
    _, adjusted, _ = pgs_adjust(
        reference, target, SCORES, "population", "RandomForest_population", ["empirical", "mean", "mean+var"],
        ref_train_col="is_unrelated", n_pcs=4,
    )  # fmt: skip
    for name in SCORES:
        for kind in ("Z_MostSimilarPop", "Z_norm1", "Z_norm2"):
            target[f"{kind}|{name}"] = adjusted[f"{kind}|{name}"]
    out.mkdir(parents=True, exist_ok=True)
    reference.to_csv(out / "reference.tsv", sep="\t", float_format="%.9g")
    target.to_csv(out / "target.tsv", sep="\t", float_format="%.9g")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
