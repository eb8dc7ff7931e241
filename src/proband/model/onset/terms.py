"""Parts of the onset head's log ratios: of single values, of a network, of a modality."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from proband.model.config import BIN_EDGES, FOLDS, OnsetConfig
from proband.model.onset.inputs import CLIP, Inputs, Query

NUM_BINS = len(BIN_EDGES)
"""Bins of the time ahead; the last has no end."""
OF_FOLDS = "_folds"
"""Ends the name of a tensor of what coefficients change by if a fold of the train people is left out."""
_AGE_PERIODS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
_NUM_TIMES = 2 * len(_AGE_PERIODS) + 4
"""Inputs of age, silence and sex."""
_DROP_INPUT = 0.5
_MIDDLE_AGE, _AGE_SCALE = 55.0, 15.0
"""Age enters interactions as (age - 55 years) / 15."""
_KNOT = 0.5
"""Knots of the hinge functions: so many standard deviations on either side of the mean."""
_LEAST_SD = 0.02
AGE_KNOTS = (30.0, 45.0, 60.0, 75.0)
"""Ages, years, between which effects of modalities change linearly; equally far apart."""
_PER_VALUE = 6
_OF_AGE_AND_SEX = 4


class Interactions(nn.Module):
    """Terms of values that are not linear: hinge functions, squares, and differences by age and sex.

    For the mean value m and the last value l of each code with values (standardised; 0, the middle, where
    there is none), a = (age - 55) / 15 and s (1 female, -1 male, 0 unknown): m a, l a, m s, m^2,
    max(m - 1/2, 0), max(-m - 1/2, 0); and a, a^2, s, s a, since values take over a part of what the table of
    age and sex explains. A high pressure means less the older the subject, and above some height no more. All
    columns are standardised again.

    Args:
        num_valued: Codes with values.
        num_named: Tasks.

    Attributes:
        mean, sd: Of the columns; a column that does not vary has an infinite sd and counts nothing.
        weights: Log hazard ratios per standard deviation of a column; 0 until they are fitted.
        weights_folds: What they change by without each fold of the train people.
    """

    mean: Tensor
    sd: Tensor
    weights: Tensor
    weights_folds: Tensor

    def __init__(self, num_valued: int, num_named: int) -> None:
        super().__init__()
        width = _PER_VALUE * num_valued + _OF_AGE_AND_SEX
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("sd", torch.ones(width))
        self.register_buffer("weights", torch.zeros(width, num_named))
        self.register_buffer(f"weights{OF_FOLDS}", torch.zeros(FOLDS, width, num_named))

    def columns(self, values: Float[Tensor, "n both"], query: Query) -> Float[Tensor, "n width"]:
        """The columns, not standardised.

        Args:
            values: Standardised mean values of all codes, then last values.
            query: Gives age and sex.
        """
        mean, last = values.chunk(2, dim=1)
        age = ((query.age - _MIDDLE_AGE) / _AGE_SCALE)[:, None]
        sex = torch.nan_to_num(2 * query.female - 1, nan=0.0)[:, None]
        curved = [mean.square(), (mean - _KNOT).clamp(min=0), (-mean - _KNOT).clamp(min=0)]
        return torch.cat(
            [mean * age, last * age, mean * sex, *curved, age, age.square(), sex, sex * age], dim=1
        )

    @property
    def per_code(self) -> int:
        """Columns of a code."""
        return _PER_VALUE

    def columns_of(self, codes: Int[Tensor, " codes"]) -> Int[Tensor, " columns"]:
        """The columns of some codes with values, and those of age and sex."""
        alone = len(self.mean) - _OF_AGE_AND_SEX
        blocks = torch.arange(0, alone, max(1, alone // _PER_VALUE))[:, None] + codes
        return torch.cat([blocks.flatten(), torch.arange(alone, len(self.mean))])

    def code_of(self, columns: Int[Tensor, " columns"]) -> Int[Tensor, " columns"]:
        """Code with values that each column is of, by number; -1 for those of age and sex."""
        alone = len(self.mean) - _OF_AGE_AND_SEX
        return torch.where(columns < alone, columns % max(1, alone // _PER_VALUE), -1)

    def standardise_with(self, mean: Float[Tensor, " width"], sd: Float[Tensor, " width"]) -> None:
        """Set mean and standard deviation; a column that hardly varies counts nothing."""
        self.mean.copy_(mean)
        self.sd.copy_(torch.where(sd > _LEAST_SD, sd, torch.inf))

    def standardised(self, values: Float[Tensor, "n both"], query: Query) -> Float[Tensor, "n width"]:
        """The columns in standard deviations from the train split's mean."""
        return ((self.columns(values, query) - self.mean) / self.sd).clamp(-CLIP, CLIP)

    def forward(self, values: Float[Tensor, "n both"], query: Query) -> Float[Tensor, "n tasks"]:
        """Their part of the log ratios of the named tasks."""
        return self.standardised(values, query) @ self.weights


class OnsetNetwork(nn.Module):
    """What the linear terms miss: a small network of summary, age and sex, 0 before it is trained.

    It does not read the trunk's state, by which it would know train subjects one by one.

    Args:
        shape: Shape of the head.
    """

    def __init__(self, shape: OnsetConfig) -> None:
        super().__init__()
        self.rank = shape.rank
        features = torch.empty(shape.num_features, shape.hidden).normal_(std=shape.num_features**-0.5)
        self.features = nn.Parameter(features)
        self.first_bias = nn.Parameter(torch.zeros(shape.hidden))
        self.times = nn.Linear(_NUM_TIMES, shape.width)
        self.join = nn.Linear(shape.hidden, shape.width)
        self.norm = nn.RMSNorm(shape.width)
        self.mlp = nn.Sequential(
            nn.Linear(shape.width, 2 * shape.width), nn.SiLU(), nn.Linear(2 * shape.width, shape.width)
        )
        self.out_norm = nn.RMSNorm(shape.width)
        self.time = nn.Linear(shape.width, NUM_BINS * shape.rank)
        self.task = nn.Parameter(torch.zeros(len(shape.tasks), shape.rank))
        self.bias = nn.Parameter(torch.zeros(len(shape.tasks), NUM_BINS))

    @property
    def is_zero(self) -> bool:
        """Whether it adds nothing to any task, as before it is trained."""
        return not (self.task.any() or self.bias.any())

    def forward(self, inputs: Inputs, query: Query) -> Float[Tensor, "n tasks bins"]:
        """Its part of the log ratios."""
        drop = _DROP_INPUT if self.training else 0.0
        z = self.join(F.silu(inputs.times(self.features, drop) + self.first_bias)) + self.times(
            _time_inputs(query)
        )
        z = self.out_norm(z + self.mlp(self.norm(z)))
        times = self.time(z).unflatten(-1, (NUM_BINS, self.rank))
        return self.bias + torch.einsum("nbr,tr->ntb", times, self.task)


class LinearModality(nn.Module):
    """Log hazard ratios per standard deviation of a modality's values, such as scores, by age.

    Args:
        width: Values.
        tasks: Tasks.
        num_named: How many of them, the first, are named.

    Attributes:
        mean, sd: Of the values; one that does not vary has an infinite sd and counts nothing.
        beta: Log hazard ratios; 0 until they are fitted.
        beta_folds: What those of the named tasks change by without each fold of the train people.
        by_age: Factors of them at :data:`AGE_KNOTS`, 1 until they are fitted.
        level: Added for subjects who have the modality, at the same ages: their mean hazard ratio is 1.
    """

    mean: Tensor
    sd: Tensor
    beta: Tensor
    beta_folds: Tensor
    by_age: Tensor
    level: Tensor

    def __init__(self, width: int, tasks: int, num_named: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("sd", torch.ones(width))
        self.register_buffer("beta", torch.zeros(width, tasks))
        self.register_buffer(f"beta{OF_FOLDS}", torch.zeros(FOLDS, width, num_named))
        self.register_buffer("by_age", torch.ones(len(AGE_KNOTS), tasks))
        self.register_buffer("level", torch.zeros(len(AGE_KNOTS), tasks))

    def standardised(self, values: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
        """Values in standard deviations from the train split's mean; 0 where missing."""
        return ((values - self.mean) / self.sd).clamp(-CLIP, CLIP).nan_to_num(nan=0.0)

    def factor(self, age: Float[Tensor, " n"]) -> Float[Tensor, "n tasks"]:
        """By what all effects are multiplied at an age."""
        return age_weights(age) @ self.by_age

    def effects(self, values: Float[Tensor, "n width"], age: Float[Tensor, " n"]) -> Float[Tensor, "n tasks"]:
        """Effects of the values at an age, the level left out."""
        return (self.standardised(values) @ self.beta) * self.factor(age)

    def change(
        self, values: Float[Tensor, "n width"], age: Float[Tensor, " n"], fold: int
    ) -> Float[Tensor, "n named"]:
        """What effects on the named tasks change by if a fold of the train people is left out."""
        of_fold = self.beta_folds[fold]
        return (self.standardised(values) @ of_fold) * self.factor(age)[:, : of_fold.shape[1]]

    def forward(self, values: Float[Tensor, "n width"], age: Float[Tensor, " n"]) -> Float[Tensor, "n tasks"]:
        """Its part of the log hazards; subjects without the modality (all NaN) get 0."""
        level = age_weights(age) @ self.level
        return self.effects(values, age) + torch.where(is_given(values)[:, None], level, 0.0)


def is_given(values: Float[Tensor, "n width"]) -> Bool[Tensor, " n"]:
    """Who has a modality: any of its values."""
    return ~values.isnan().all(dim=1)


def age_weights(age: Float[Tensor, " n"]) -> Float[Tensor, "n knots"]:
    """Weights of :data:`AGE_KNOTS` in linear interpolation; before the first and after the last it holds.

    >>> age_weights(torch.tensor([20.0, 52.5]))
    tensor([[1.0000, 0.0000, 0.0000, 0.0000],
            [0.0000, 0.5000, 0.5000, 0.0000]])
    """
    first, second, *_ = AGE_KNOTS
    place = (age.clamp(first, AGE_KNOTS[-1]) - first) / (second - first)
    knots = torch.arange(len(AGE_KNOTS), device=age.device)
    return (1 - (place[:, None] - knots).abs()).clamp(min=0)


def _time_inputs(query: Query) -> Float[Tensor, "n inputs"]:
    """Age in waves and linearly, silence, and sex (0 and 0 where unknown)."""
    phase = query.age[:, None] * torch.tensor(
        [2 * math.pi / period for period in _AGE_PERIODS], device=query.age.device
    )
    rest = torch.stack(
        [
            query.age / 100,
            torch.log1p(query.silence.clamp(min=0) * 365) / 8,
            (query.female == 1).float(),
            (query.female == 0).float(),
        ],
        dim=1,
    )
    return torch.cat([phase.sin(), phase.cos(), rest], dim=1).float()
