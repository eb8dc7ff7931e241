import numpy as np
import polars as pl

from proband.core.schema import SCENARIO_FOLDS
from proband.forecast.scenario.summary import summarised


def test_the_same_bits_every_time():
    rng, rows = np.random.default_rng(0), 4000
    risks = pl.DataFrame(
        {
            "scenario": ["a", "b"] * (rows // 2),
            "outcome": rng.choice(["x", "y", "z", "w"], rows),
            "horizon_years": rng.choice([1.0, 5.0], rows),
            "subject_id": rng.integers(0, 300, rows),
            "is_changed": True,
            "risk_baseline": rng.random(rows) ** 9,
            "risk": rng.random(rows) ** 9,
            "standard_error": 0.0,
        }
    ).with_columns(difference=pl.col("risk") - pl.col("risk_baseline"))
    first = summarised(risks.lazy(), SCENARIO_FOLDS.empty())
    assert first["standard_error"].null_count() == 0
    assert all(summarised(risks.lazy(), SCENARIO_FOLDS.empty()).equals(first) for _ in range(30))
