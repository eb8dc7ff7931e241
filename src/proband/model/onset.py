"""Onset: hazards of first occurrences on the person's clock.

At a query (any date t within follow-up, the history read up to it) and for every task d, the first occurrence
of a set of tokens, in bins b of the time ahead:

    log hazard_d(t + u) = log rate_d(age at t + u, sex) + g_{d,b(u)}
    g_{d,b} = bias_{d,b} + <task_d, time_b(z)> + w_d x + sum over modalities of beta_d (standardised values)

``rate`` is incidence by age and sex, smoothed on train and fixed. x is the record summary beside the trunk's
state, standardised; z a small network of x, age and sex. All but the rate starts at 0, so that the untrained
head is the age-sex table; with w alone it is a regression on counts, with beta alone a Cox model on scores.
After MOTOR (Steinberg et al. 2024, arXiv 2301.03150); the offset and the linear modalities are ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from proband.core.incidence import OLDEST
from proband.model.config import BIN_EDGES, ModelConfig

CALIBRATION_YEARS = 10.0
"""Cumulative hazards of so many years are calibrated."""
NUM_BINS = len(BIN_EDGES)
"""Bins of the time ahead; the last has no end."""
NUM_SEXES = 3
"""Rows of the rates: male, female, unknown (the mean of both)."""
_CLIP = 5.0
"""Standardised inputs are cut to this many standard deviations."""
_LEAST_SD = 0.02
_AGE_PERIODS = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
_NUM_TIMES = 2 * len(_AGE_PERIODS) + 4
"""Inputs of age, silence and sex."""
_DROP_INPUT = 0.2
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


class OnsetHead(nn.Module):
    """Log ratios of onset hazards to incidence by age and sex.

    Args:
        config: The model's shape, with that of the head.
    """

    log_rate: Tensor
    feature_mean: Tensor
    feature_sd: Tensor
    state_mean: Tensor
    state_sd: Tensor
    intercept: Tensor
    slope: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.onset is not None
        shape = config.onset
        self.config = shape
        tasks, features = len(shape.tasks), shape.num_features
        self.inputs = nn.Parameter(torch.empty(features, shape.hidden).normal_(std=features**-0.5))
        self.linear = nn.Parameter(torch.zeros(features, shape.num_named))
        self.state_inputs = nn.Linear(config.dim, shape.hidden)
        self.state_linear = nn.Linear(config.dim, shape.num_named, bias=False)
        self.times = nn.Linear(_NUM_TIMES, shape.width)
        self.join = nn.Linear(shape.hidden, shape.width)
        self.norm = nn.RMSNorm(shape.width)
        self.mlp = nn.Sequential(
            nn.Linear(shape.width, 2 * shape.width), nn.SiLU(), nn.Linear(2 * shape.width, shape.width)
        )
        self.out_norm = nn.RMSNorm(shape.width)
        self.time = nn.Linear(shape.width, NUM_BINS * shape.rank)
        self.task = nn.Parameter(torch.zeros(tasks, shape.rank))
        self.bias = nn.Parameter(torch.zeros(tasks, NUM_BINS))
        nn.init.zeros_(self.state_linear.weight)
        self.register_buffer("log_rate", torch.zeros(tasks, NUM_SEXES, OLDEST))
        self.register_buffer("feature_mean", torch.zeros(features))
        self.register_buffer("feature_sd", torch.ones(features))
        self.register_buffer("state_mean", torch.zeros(config.dim))
        self.register_buffer("state_sd", torch.ones(config.dim))
        self.register_buffer("intercept", torch.zeros(tasks))
        self.register_buffer("slope", torch.ones(tasks))
        self.modalities = nn.ModuleDict({name: LinearModality(w, tasks) for name, w in shape.linear.items()})

    def forward(self, query: Query) -> Float[Tensor, "n tasks bins"]:
        """Log ratios g to the incidence of age and sex, not calibrated.

        Args:
            query: What is known of each subject at its date.
        """
        record, z = self._read(query)
        log_ratio = self.bias + torch.einsum("nbr,tr->ntb", self._times(z), self.task)
        flat = record + self._of_modalities(query)
        return log_ratio + flat[:, :, None]

    def calibrated(self, query: Query) -> Float[Tensor, "n tasks bins"]:
        """The log ratios after the calibration found on the tuning split.

        log H' = intercept + slope log H for the cumulative hazard H of ten years, at unchanged shape of the
        hazard over time.
        """
        log_ratio = self(query)
        log_total = self.log_expected(query.age, query.female, log_ratio, CALIBRATION_YEARS)
        return log_ratio + (self.intercept + (self.slope - 1) * log_total)[:, :, None]

    def log_expected(
        self,
        age: Float[Tensor, " n"],
        female: Float[Tensor, " n"],
        log_ratio: Float[Tensor, "n tasks bins"],
        years: float,
    ) -> Float[Tensor, "n tasks"]:
        """Log cumulative hazard over ``years`` from each date on, without death."""
        until = torch.full((len(age), len(self.task)), years, dtype=age.dtype, device=age.device)
        expected = self.expected(age, female, until)
        return (expected * log_ratio.exp()).sum(dim=-1).clamp(min=1e-12).log()

    def expected(
        self, age: Float[Tensor, " n"], female: Float[Tensor, " n"], until: Float[Tensor, "n tasks"]
    ) -> Float[Tensor, "n tasks bins"]:
        """Cumulative incidence rate of age and sex in each bin of the time ahead, up to ``until`` years."""
        edges = torch.tensor([*BIN_EDGES, math.inf], dtype=torch.float64, device=age.device)
        at = age.double()[:, None, None] + torch.minimum(edges, until.double()[..., None].clamp(min=0))
        at = at.clamp(0, OLDEST - 1e-9)
        year = at.floor().long()
        rate = self.log_rate.double().exp()
        before = F.pad(rate.cumsum(-1), (1, 0))[..., :-1]
        task = torch.arange(len(self.task), device=age.device)[:, None]
        sex = sex_rows(female)[:, None, None]
        lived = before[task, sex, year] + (at - year) * rate[task, sex, year]
        return lived.diff(dim=-1).float()

    def log_rate_at(
        self, age: Float[Tensor, "n tasks"], female: Float[Tensor, " n"]
    ) -> Float[Tensor, "n tasks"]:
        """Log incidence per year of each task at ages of its own."""
        year = age.double().clamp(0, OLDEST - 1e-9).long()
        task = torch.arange(len(self.task), device=age.device)
        return self.log_rate[task, sex_rows(female)[:, None], year]

    def linear_of(self, name: str) -> LinearModality:
        """The linear term of a modality."""
        found = self.modalities[name]
        assert isinstance(found, LinearModality)
        return found

    def standardise_with(self, features: tuple[Tensor, Tensor], state: tuple[Tensor, Tensor]) -> None:
        """Set mean and standard deviation of the inputs; a feature that does not vary counts nothing."""
        for name, (mean, sd) in (("feature", features), ("state", state)):
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_sd").copy_(torch.where(sd > 0, sd.clamp(min=_LEAST_SD), torch.inf))

    def _read(self, query: Query) -> tuple[Float[Tensor, "n tasks"], Float[Tensor, "n width"]]:
        """The linear terms of the record, 0 for tasks without, and the network's state."""
        state = F.rms_norm(query.state, query.state.shape[-1:])
        state = ((state - self.state_mean) / self.state_sd).clamp(-_CLIP, _CLIP)
        linear = self._features(query, self.linear) + self.state_linear(state)
        drop = _DROP_INPUT if self.training else 0.0
        first = self._features(query, self.inputs, drop) + self.state_inputs(F.dropout(state, drop))
        z = self.join(F.silu(first)) + self.times(_time_inputs(query))
        z = self.out_norm(z + self.mlp(self.norm(z)))
        return F.pad(linear, (0, len(self.task) - linear.shape[1])), z

    def _times(self, z: Float[Tensor, "n width"]) -> Float[Tensor, "n bins rank"]:
        return self.time(z).unflatten(-1, (NUM_BINS, self.config.rank))

    def _features(
        self, query: Query, weights: Float[Tensor, "features columns"], drop: float = 0.0
    ) -> Float[Tensor, "n columns"]:
        """Standardised features times weights: what features of 0 give, and what the others differ by."""
        at_zero = (-self.feature_mean / self.feature_sd).clamp(-_CLIP, _CLIP)
        mean, sd = self.feature_mean[query.features], self.feature_sd[query.features]
        differ = ((query.values - mean) / sd).clamp(-_CLIP, _CLIP) - at_zero[query.features]
        if drop:
            differ = F.dropout(differ, drop)
        return _sparse_product(query.bounds, query.features, differ, weights) + at_zero @ weights

    def _of_modalities(self, query: Query) -> Float[Tensor, "n tasks"]:
        total = query.age.new_zeros(len(query.age), len(self.task))
        for name in self.modalities:
            if name in query.modalities:
                total = total + self.linear_of(name)(query.modalities[name])
        return total


class LinearModality(nn.Module):
    """Log hazard ratios per standard deviation of a modality's values, such as scores.

    Args:
        width: Values.
        tasks: Tasks.
    """

    mean: Tensor
    sd: Tensor
    beta: Tensor

    def __init__(self, width: int, tasks: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("sd", torch.ones(width))
        self.register_buffer("beta", torch.zeros(width, tasks))

    def standardised(self, values: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
        """Values in standard deviations from the train split's mean; 0 where missing."""
        return ((values - self.mean) / self.sd).clamp(-_CLIP, _CLIP).nan_to_num(nan=0.0)

    def forward(self, values: Float[Tensor, "n width"]) -> Float[Tensor, "n tasks"]:
        """Its part of the log hazards; subjects without the modality (all NaN) get 0."""
        return self.standardised(values) @ self.beta


def sex_rows(female: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Row of the rates for each sex: 0 male, 1 female, 2 unknown (NaN)."""
    return torch.nan_to_num(female, nan=float(NUM_SEXES - 1)).long()


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


def _sparse_product(
    bounds: Int[Tensor, " n_and_one"],
    features: Int[Tensor, " entries"],
    values: Float[Tensor, " entries"],
    weights: Float[Tensor, "features columns"],
) -> Float[Tensor, "n columns"]:
    """Sparse rows times a matrix."""
    if len(weights) > _DENSE_FEATURES:
        return F.embedding_bag(features, weights, bounds[:-1], mode="sum", per_sample_weights=values)
    sizes = bounds.diff()
    row = torch.repeat_interleave(torch.arange(len(sizes), device=features.device), sizes)
    dense = values.new_zeros(len(sizes) * len(weights))
    dense = dense.index_add(0, row * len(weights) + features, values)
    return dense.view(len(sizes), -1) @ weights
