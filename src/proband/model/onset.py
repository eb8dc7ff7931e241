"""Onset: hazards of first occurrences on the person's clock.

At a query (any date t within follow-up, the history read up to it) and for every task d, the first occurrence
of a set of tokens, in bins b of the time ahead:

    log hazard_d(t + u) = log rate_d(age at t + u, sex) + g_{d,b(u)}
    g_{d,b} = bias_{d,b} + decay_b (w_d x + mean over networks of (<task_d, time_b(z)> + its bias_{d,b}))
              + sum over modalities of beta_d (standardised values)

``rate`` is incidence by age and sex, smoothed on train and fixed. x is the record summary beside the trunk's
state, standardised; z a small network of the summary, age and sex; decay says how the record's effects fade
with the time ahead, where those of scores stay. All but the rate starts at 0, so that the untrained head is
the age-sex table; with w alone it is a regression on counts, with beta alone a Cox model on scores.
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
from proband.model.config import BIN_EDGES, ModelConfig, OnsetConfig

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
_DROP_INPUT = 0.5
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
    linear: Tensor
    state_linear: Tensor
    bias: Tensor
    decay: Tensor
    intercept: Tensor
    slope: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        assert config.onset is not None
        shape = config.onset
        self.config = shape
        tasks, features = len(shape.tasks), shape.num_features
        zeros, ones = torch.zeros, torch.ones
        for name, value in {
            "log_rate": zeros(tasks, NUM_SEXES, OLDEST),
            "feature_mean": zeros(features),
            "feature_sd": ones(features),
            "state_mean": zeros(config.dim),
            "state_sd": ones(config.dim),
            "linear": zeros(features, shape.num_named),
            "state_linear": zeros(config.dim, shape.num_named),
            "bias": zeros(tasks, NUM_BINS),
            "decay": ones(NUM_BINS),
            "intercept": zeros(tasks),
            "slope": ones(tasks),
        }.items():
            self.register_buffer(name, value)
        self.networks = nn.ModuleList(OnsetNetwork(shape) for _ in range(shape.num_networks))
        self.modalities = nn.ModuleDict({name: LinearModality(w, tasks) for name, w in shape.linear.items()})

    def forward(self, query: Query) -> Float[Tensor, "n tasks bins"]:
        """Log ratios g to the incidence of age and sex, not calibrated.

        Args:
            query: What is known of each subject at its date.
        """
        return self.bias + self.decay * self.of_record(query) + self.of_modalities(query)[:, :, None]

    def of_record(self, query: Query) -> Float[Tensor, "n tasks bins"]:
        """What record and state say, before it fades: linear terms and the mean of the networks."""
        inputs = self.inputs(query)
        of_networks = torch.stack([network(inputs, query) for network in self.networks])
        return self.linear_terms(inputs)[:, :, None] + of_networks.mean(dim=0)

    def inputs(self, query: Query) -> Inputs:
        """The record summary and the state, standardised."""
        state = F.rms_norm(query.state, query.state.shape[-1:])
        state = ((state - self.state_mean) / self.state_sd).clamp(-_CLIP, _CLIP)
        at_zero = (-self.feature_mean / self.feature_sd).clamp(-_CLIP, _CLIP)
        mean, sd = self.feature_mean[query.features], self.feature_sd[query.features]
        differ = ((query.values - mean) / sd).clamp(-_CLIP, _CLIP) - at_zero[query.features]
        return Inputs(query.bounds, query.features, differ, at_zero, state)

    def linear_terms(self, inputs: Inputs) -> Float[Tensor, "n tasks"]:
        """The linear terms of the record; 0 for tasks without."""
        linear = inputs.times(self.linear) + inputs.state @ self.state_linear
        return F.pad(linear, (0, len(self.bias) - linear.shape[1]))

    def of_modalities(self, query: Query) -> Float[Tensor, "n tasks"]:
        """The linear terms of modalities; a modality that is not given gives 0."""
        total = query.age.new_zeros(len(query.age), len(self.bias))
        for name in self.modalities:
            if name in query.modalities:
                total = total + self.linear_of(name)(query.modalities[name])
        return total

    def linear_of(self, name: str) -> LinearModality:
        """The linear term of a modality."""
        found = self.modalities[name]
        assert isinstance(found, LinearModality)
        return found

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
        log_ratio: Float[Tensor, "n some bins"],
        years: float,
    ) -> Float[Tensor, "n some"]:
        """Log cumulative hazard of the first tasks over ``years`` from each date on, without death."""
        until = torch.full(log_ratio.shape[:2], years, dtype=age.dtype, device=age.device)
        expected = self.expected(age, female, until)
        return (expected * log_ratio.exp()).sum(dim=-1).clamp(min=1e-12).log()

    def expected(
        self, age: Float[Tensor, " n"], female: Float[Tensor, " n"], until: Float[Tensor, "n some"]
    ) -> Float[Tensor, "n some bins"]:
        """Incidence of age and sex added up over each bin, up to ``until`` years, for the first tasks."""
        edges = torch.tensor([*BIN_EDGES, math.inf], dtype=torch.float64, device=age.device)
        at = age.double()[:, None, None] + torch.minimum(edges, until.double()[..., None].clamp(min=0))
        at = at.clamp(0, OLDEST - 1e-9)
        year = at.floor().long()
        rate = self.log_rate.double().exp()
        before = F.pad(rate.cumsum(-1), (1, 0))[..., :-1]
        task = torch.arange(until.shape[1], device=age.device)[:, None]
        sex = sex_rows(female)[:, None, None]
        lived = before[task, sex, year] + (at - year) * rate[task, sex, year]
        return lived.diff(dim=-1).float()

    def log_rate_at(
        self, age: Float[Tensor, "n some"], female: Float[Tensor, " n"]
    ) -> Float[Tensor, "n some"]:
        """Log incidence per year of the first tasks, each at ages of its own."""
        year = age.double().clamp(0, OLDEST - 1e-9).long()
        task = torch.arange(age.shape[1], device=age.device)
        return self.log_rate[task, sex_rows(female)[:, None], year]

    def standardise_with(self, features: tuple[Tensor, Tensor], state: tuple[Tensor, Tensor]) -> None:
        """Set mean and standard deviation of the inputs; a feature that does not vary counts nothing."""
        for name, (mean, sd) in (("feature", features), ("state", state)):
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_sd").copy_(torch.where(sd > 0, sd.clamp(min=_LEAST_SD), torch.inf))


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

    def dense(self) -> Float[Tensor, "n features"]:
        """All features."""
        return _dense(self.bounds, self.features, self.differ, len(self.at_zero)) + self.at_zero


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
