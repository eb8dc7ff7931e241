"""What the onset head reads: record summary, state of the trunk, age, sex, modalities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

CLIP = 5.0
"""Standardised inputs are cut to this many standard deviations."""
_DENSE_FEATURES = 4096
"""Up to so many features a dense product is faster than a sum over those that are not 0 (measured: 0.7 to 1.5
against 3.2 to 3.5 ms for 256 queries of 125 of 741 features, forward and backward, one core)."""


@dataclass(frozen=True)
class Query:
    """What the head reads of n queries.

    Attributes:
        bounds: Query r has the entries ``bounds[r]`` to ``bounds[r + 1]`` of ``features`` and ``values``.
        features: Features of the record summary that are not 0.
        values: Their values, not standardised.
        state: The trunk's state at the last token by the query.
        age: Age, years.
        silence: Years since that token.
        female: 1 female, 0 male, NaN unknown.
        modalities: For each modality with a linear term its raw values, NaN where missing.
    """

    bounds: Int[Tensor, " n_and_one"]
    features: Int[Tensor, " entries"]
    values: Float[Tensor, " entries"]
    state: Float[Tensor, "n dim"]
    age: Float[Tensor, " n"]
    silence: Float[Tensor, " n"]
    female: Float[Tensor, " n"]
    modalities: dict[str, Float[Tensor, "n _width"]]

    def map(self, function: Callable[[Tensor], Tensor]) -> Query:
        """The queries with ``function`` applied to every tensor."""
        names = [name for name in self.__dataclass_fields__ if name != "modalities"]
        modalities = {name: function(item) for name, item in self.modalities.items()}
        return replace(self, **{name: function(getattr(self, name)) for name in names}, modalities=modalities)


@dataclass(frozen=True)
class Inputs:
    """Standardised inputs of n queries; features are sparse.

    Attributes:
        bounds, features: As in :class:`Query`.
        differ: What each feature that is not 0 differs from its standardised value at 0.
        at_zero: Standardised values of features that are 0.
        state: Standardised state.
    """

    bounds: Int[Tensor, " n_and_one"]
    features: Int[Tensor, " entries"]
    differ: Float[Tensor, " entries"]
    at_zero: Float[Tensor, " features"]
    state: Float[Tensor, "n dim"]

    def times(
        self, weights: Float[Tensor, "features columns"], drop: float = 0.0
    ) -> Float[Tensor, "n columns"]:
        """Features times weights, a share ``drop`` of the entries left out at random."""
        differ = F.dropout(self.differ, drop) if drop else self.differ
        return _sparse_product(self.bounds, self.features, differ, weights) + self.at_zero @ weights

    def columns(self, begin: int, end: int) -> Float[Tensor, "n some"]:
        """Features ``begin`` to ``end``."""
        return self.chosen(torch.arange(begin, end, device=self.at_zero.device))

    def chosen(self, features: Int[Tensor, " some"]) -> Float[Tensor, "n some"]:
        """Some features, each once at most, in their order."""
        places = torch.full_like(self.at_zero, -1, dtype=torch.int64)
        places[features] = torch.arange(len(features), device=places.device)
        place = places[self.features]
        here = place >= 0
        passed = F.pad(here.cumsum(0), (1, 0))[self.bounds]
        return _dense(passed, place[here], self.differ[here], len(features)) + self.at_zero[features]

    def dense(self) -> Float[Tensor, "n features"]:
        """All features."""
        return _dense(self.bounds, self.features, self.differ, len(self.at_zero)) + self.at_zero


def _sparse_product(
    bounds: Int[Tensor, " n_and_one"],
    features: Int[Tensor, " entries"],
    values: Float[Tensor, " entries"],
    weights: Float[Tensor, "features columns"],
) -> Float[Tensor, "n columns"]:
    """Sparse rows times a matrix."""
    if len(weights) > _DENSE_FEATURES:
        return F.embedding_bag(features, weights, bounds[:-1], mode="sum", per_sample_weights=values)
    return _dense(bounds, features, values, len(weights)) @ weights


def _dense(
    bounds: Int[Tensor, " n_and_one"],
    features: Int[Tensor, " entries"],
    values: Float[Tensor, " entries"],
    num_features: int,
) -> Float[Tensor, "n features"]:
    """Sparse rows with their zeros."""
    sizes = bounds.diff()
    row = torch.repeat_interleave(torch.arange(len(sizes), device=features.device), sizes)
    found = values.new_zeros(len(sizes) * num_features)
    return found.index_add(0, row * num_features + features, values).view(len(sizes), -1)
