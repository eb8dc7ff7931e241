"""Phenotype risk score with polygenic scores: elastic net on codes ever recorded and scores.

Which codes a person has had by the date, whether once or often, with all scores, beginning at the log odds
of age and sex. The codes' part of the log odds is a phenotype risk score (PheRS). After Detrois et al.
2025, Nature Genetics, PubMed 40866628, who weigh phecodes of ten years by an elastic net and
join the score with a polygenic score, age and sex; here codes and scores are weighed in one fit, and codes
are those of the record.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from jaxtyping import Float

from proband.evaluate.baselines import tuning
from proband.evaluate.baselines.features import Features
from proband.evaluate.baselines.records.logistic import Linear
from proband.evaluate.baselines.records.record import RecordFeatures

NAME = "phers_pgs"
PENALTIES = (20.0, 60.0, 200.0, 600.0)
"""λ of the penalty λ Σ (½ |β| + ¼ β²), β per standard deviation: a code of less than ½ λ in the gradient of
the log loss has no effect."""
L1_SHARE = 0.5
"""Share of the penalty that is |β|: a choice of ours."""


class EverRecorded:
    """Features of subjects at dates: 1 for each code had by then, age, sex and scores.

    Args:
        record: Gives the record summary, in which a code's number of times is.
    """

    def __init__(self, record: RecordFeatures) -> None:
        self.record = record

    def __call__(self, moments: pl.DataFrame) -> Features:
        """Arguments and errors as of :class:`RecordFeatures`."""
        from scipy.sparse import hstack

        layout = self.record.layout
        found = self.record(moments)
        # Counts of codes stand first; the last of them is that of any event.
        codes = found.of_moment[:, : len(layout.codes) - 1]
        codes.data = (codes.data > 0).astype(np.float32)
        own = hstack([codes, found.of_moment[:, layout.num_features :]], format="csr")
        return Features(own, found.of_subject, found.subject)


class ElasticNet(Linear):
    """:class:`Linear` with a penalty of which half is absolute, so that most effects are 0."""

    def minimised(
        self, train: tuning.Examples, features: Features, setting: float
    ) -> Float[np.ndarray, " terms"]:
        """The same by L-BFGS within bounds: each effect is the difference of two that are at least 0."""
        from scipy.optimize import minimize

        number = features.shape[1]
        absolute, squared = setting * L1_SHARE, setting * (1 - L1_SHARE)

        def loss(at: np.ndarray) -> tuple[float, np.ndarray]:
            beta = at[1 : number + 1] - at[number + 1 :]
            value, slope = self.log_loss(np.concatenate([at[:1], beta]), train, features)
            of_beta = slope[1:] + squared * beta
            value += 0.5 * squared * beta @ beta + absolute * at[1:].sum()
            return value, np.concatenate([slope[:1], absolute + of_beta, absolute - of_beta])

        bounds = [(None, None)] + [(0, None)] * (2 * number)
        options = {"maxiter": tuning.MOST_STEPS}
        start = np.zeros(2 * number + 1)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
        return np.concatenate([found[:1], found[1 : number + 1] - found[number + 1 :]])
