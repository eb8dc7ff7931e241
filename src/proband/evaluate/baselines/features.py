"""What regressions and trees read: sparse columns of a moment, and dense ones of its subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Features:
    """Columns of moments: those of the moment itself, then those of its subject, such as scores.

    A score is the same at all moments of a subject: it is held, and multiplied, once for all of them.

    Attributes:
        of_moment: A SciPy CSR matrix (moments, columns), NaN where unknown.
        of_subject: Further columns, a row for each subject, NaN where unknown.
        subject: Row of ``of_subject`` of each moment.
    """

    of_moment: Any
    of_subject: Float[np.ndarray, "subjects columns"]
    subject: Int[np.ndarray, " moments"]

    @classmethod
    def of_moments(cls, matrix: Any) -> Features:
        """A SciPy CSR matrix alone.

        >>> from scipy.sparse import csr_matrix
        >>> Features.of_moments(csr_matrix(np.eye(3))).shape
        (3, 3)
        """
        number = matrix.shape[0]
        return cls(matrix, np.zeros((1, 0), dtype=np.float32), np.zeros(number, dtype=np.int64))

    @property
    def shape(self) -> tuple[int, int]:
        """Moments and columns."""
        return self.of_moment.shape[0], self.of_moment.shape[1] + self.of_subject.shape[1]

    def take(self, rows: Int[np.ndarray, " rows"]) -> Features:
        """Some of the moments, and of the subjects theirs alone."""
        subjects, place = np.unique(self.subject[rows], return_inverse=True)
        return Features(self.of_moment[rows], self.of_subject[subjects], place.reshape(-1))

    def times(self, beta: Float[np.ndarray, " columns"]) -> Float[np.ndarray, " moments"]:
        """The matrix times a vector."""
        own = self.of_moment.shape[1]
        return self.of_moment @ beta[:own] + (self.of_subject @ beta[own:])[self.subject]

    def transposed_times(self, values: Float[np.ndarray, " moments"]) -> Float[np.ndarray, " columns"]:
        """The transposed matrix times a vector."""
        by_subject = np.bincount(self.subject, values, minlength=len(self.of_subject))
        return np.concatenate([self.of_moment.T @ values, by_subject @ self.of_subject])

    def joined(self) -> Any:
        """All columns as one SciPy CSR matrix."""
        from scipy.sparse import csr_matrix, hstack

        if not self.of_subject.shape[1]:
            return self.of_moment
        return hstack([self.of_moment, csr_matrix(self.of_subject[self.subject])], format="csr")
