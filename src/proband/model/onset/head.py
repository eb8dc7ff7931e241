"""Onset: hazards of first occurrences on the person's clock.

At a query (any date t within follow-up, the history read up to it) and for every task d, the first occurrence
of a set of tokens, in bins b of the time ahead:

    log hazard_d(t + u) = log rate_d(age at t + u, sex) + g_{d,b(u)}
    g_{d,b} = bias_{d,b}
              + decay_b (w_d x + v_d q + mean over networks of (<task_d, time_b(z)> + its bias_{d,b}))
              + tau_b rho_d m
              + sum over modalities of c_d(age at t) beta_d (standardised values) + l_d(age at t)

``rate`` is incidence by age and sex, smoothed on train and fixed. x is the record summary beside the trunk's
state, standardised; q hinge functions and squares of its values, and values times age and sex; z a small
network of the summary, age and sex; decay says how the record's effects fade with the time ahead, where those
of scores stay, and rho which of m, recencies, values and squares of last values, fade more or less than that
(tau: how late the bin is, 0 in the mean over onsets); a label, over one window, has neither. c says how
effects of scores change with age, and l makes the mean hazard ratio of those who have scores 1 at every age.
All but the rate starts at 0 (decay and c at 1), so that the untrained head is the age-sex table; with w alone
it is a regression on counts, with beta alone a Cox model on scores. After MOTOR (Steinberg et al. 2024, arXiv
2301.03150); offset, interactions, values by time and linear modalities are ours.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from proband.core.statistics.incidence import OLDEST
from proband.model.config import BIN_EDGES, FOLDS, ModelConfig
from proband.model.onset.inputs import CLIP, Inputs, Query
from proband.model.onset.terms import NUM_BINS, OF_FOLDS, Interactions, LinearModality, OnsetNetwork

_LAST_MIDDLE = 15.0
"""Years, for the middle of the last bin of the time ahead, which has no end. Rounded choice of ours."""
_MIDDLES = (*((begin + end) / 2 for begin, end in itertools.pairwise(BIN_EDGES)), _LAST_MIDDLE)
TAU = tuple(math.log1p(years) for years in _MIDDLES)
"""How late each bin is: log(1 + its middle in years); the mean over onsets is taken from it."""
CALIBRATION_YEARS = 10.0
"""Cumulative hazards of so many years are calibrated."""
NUM_SEXES = 3
"""Rows of the rates: male, female, unknown (the mean of both)."""
_LEAST_SD = 0.02
_SQUARED_TO = 3.0
"""Standard deviations up to which squares rise: beyond, few people tell how."""


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
    fitted: Tensor
    linear_folds: Tensor
    state_linear: Tensor
    state_linear_folds: Tensor
    by_time: Tensor
    fitted_by_time: Tensor
    by_time_folds: Tensor
    tau: Tensor
    bias: Tensor
    decay: Tensor
    intercept: Tensor
    slope: Tensor
    is_label: Tensor

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
            "fitted": torch.arange(shape.num_fitted),
            f"linear{OF_FOLDS}": zeros(FOLDS, shape.num_fitted, shape.num_named),
            "state_linear": zeros(config.dim, shape.num_named),
            f"state_linear{OF_FOLDS}": zeros(FOLDS, config.dim, shape.num_named),
            "by_time": zeros(shape.num_timed_columns, shape.num_named),
            "fitted_by_time": torch.arange(shape.num_fitted_by_time),
            f"by_time{OF_FOLDS}": zeros(FOLDS, shape.num_fitted_by_time, shape.num_named),
            "tau": torch.tensor(TAU),
            "bias": zeros(tasks, NUM_BINS),
            "decay": ones(NUM_BINS),
            "intercept": zeros(tasks),
            "slope": ones(tasks),
        }.items():
            self.register_buffer(name, value)
        is_label = torch.tensor([task.is_label for task in shape.tasks])
        self.register_buffer("is_label", is_label, persistent=False)
        self.interactions = Interactions(shape.num_valued, shape.num_named)
        self.networks = nn.ModuleList(OnsetNetwork(shape) for _ in range(shape.num_networks))
        self.modalities = nn.ModuleDict(
            {name: LinearModality(width, tasks, shape.num_named) for name, width in shape.linear.items()}
        )

    def forward(self, query: Query) -> Float[Tensor, "n tasks bins"]:
        """Log ratios g to the incidence of age and sex, not calibrated.

        Args:
            query: What is known of each subject at its date.
        """
        return self.bias + self.of_record(query) + self.of_modalities(query)[:, :, None]

    @property
    def fading(self) -> Float[Tensor, "tasks bins"]:
        """``decay`` of every task; 1 for labels, whose effects are fitted over the one window they have."""
        return torch.where(self.is_label[:, None], 1.0, self.decay)

    @property
    def named_onsets(self) -> Int[Tensor, " onsets"]:
        """Places of the named tasks that are first occurrences, not labels."""
        return torch.nonzero(~self.is_label[: self.config.num_named])[:, 0]

    def of_record(self, query: Query) -> Float[Tensor, "n tasks bins"]:
        """Log ratio of record and state: linear terms and the mean of the networks, as they fade."""
        inputs = self.inputs(query)
        return self.fading * self.before_decay(query, inputs) + self.change_with_time(inputs)

    def before_decay(self, query: Query, inputs: Inputs) -> Float[Tensor, "n tasks bins"]:
        """Log ratio of record and state if it stayed: linear terms and the mean of the networks."""
        return self.terms(inputs, query)[:, :, None] + self.of_networks(inputs, query)

    def of_networks(self, inputs: Inputs, query: Query) -> Float[Tensor, "n tasks bins"]:
        """The mean of the networks; those that tuning did not keep are 0 and cost nothing."""
        some = [one for one in self.networks if self.training or not one.is_zero]
        total = query.age.new_zeros(len(query.age), *self.bias.shape)
        return sum((network(inputs, query) for network in some), total) / len(self.networks)

    def change_with_time(self, inputs: Inputs) -> Float[Tensor, "n tasks bins"]:
        """What recencies and values that fade more or less than the record as a whole change with the time
        ahead."""
        named = (self.timed_of(inputs) @ self.by_time)[:, :, None] * self.lateness[: self.config.num_named]
        return F.pad(named, (0, 0, 0, len(self.bias) - self.config.num_named))

    @property
    def lateness(self) -> Float[Tensor, "tasks bins"]:
        """tau of every task; 0 for labels."""
        return torch.where(self.is_label[:, None], 0.0, self.tau)

    def inputs(self, query: Query) -> Inputs:
        """The record summary and the state, standardised."""
        state = F.rms_norm(query.state, query.state.shape[-1:])
        state = ((state - self.state_mean) / self.state_sd).clamp(-CLIP, CLIP)
        at_zero = (-self.feature_mean / self.feature_sd).clamp(-CLIP, CLIP)
        mean, sd = self.feature_mean[query.features], self.feature_sd[query.features]
        differ = ((query.values - mean) / sd).clamp(-CLIP, CLIP) - at_zero[query.features]
        return Inputs(query.bounds, query.features, differ, at_zero, state)

    def terms(self, inputs: Inputs, query: Query) -> Float[Tensor, "n tasks"]:
        """Linear terms and interactions of the record; 0 for tasks without."""
        named = inputs.times(self.linear) + inputs.state @ self.state_linear
        named = named + self.interactions(self.values_of(inputs), query)
        return F.pad(named, (0, len(self.bias) - named.shape[1]))

    def values_of(self, inputs: Inputs) -> Float[Tensor, "n both"]:
        """Mean values of all codes that have values, then their last values, standardised."""
        return inputs.columns(self.config.first_value, self.config.first_value + 2 * self.config.num_valued)

    def timed_of(self, inputs: Inputs) -> Float[Tensor, "n timed"]:
        """Recencies of codes, then mean and last values, standardised; then squares of last values."""
        first, number = self.config.first_timed, self.config.num_timed
        read = inputs.columns(first, first + number)
        return torch.cat([read, squares(read[:, number - self.config.num_valued :])], dim=1)

    def of_modalities(self, query: Query) -> Float[Tensor, "n tasks"]:
        """The linear terms of modalities; a modality that is not given gives 0."""
        total = query.age.new_zeros(len(query.age), len(self.bias))
        for name in self.modalities:
            if name in query.modalities:
                total = total + self.linear_of(name)(query.modalities[name], query.age)
        return total

    def linear_of(self, name: str) -> LinearModality:
        """The linear term of a modality."""
        found = self.modalities[name]
        assert isinstance(found, LinearModality)
        return found

    def changes_by_fold(self, query: Query) -> Iterator[Float[Tensor, "n named bins"]]:
        """What log ratios of the named tasks change by if each fifth of the train people is left out in turn.

        Rates, levels, networks, decay and factors by age are those of all people. Such a change is linear in
        what the coefficients change by, so that nothing else of the head is computed anew.

        Args:
            query: What is known of each subject at its date.
        """
        named, inputs = self.config.num_named, self.inputs(query)
        curved = self.interactions.standardised(self.values_of(inputs), query)
        columns = torch.cat([inputs.chosen(self.fitted), inputs.state, curved], dim=1)
        folds = [self.linear_folds, self.state_linear_folds, self.interactions.weights_folds]
        timed = self.timed_of(inputs)[:, self.fitted_by_time]
        given = [name for name in self.modalities if name in query.modalities]
        for fold, of_columns in enumerate(torch.cat(folds, dim=1)):
            stays = query.age.new_zeros(len(query.age), named)
            for name in given:
                stays = stays + self.linear_of(name).change(query.modalities[name], query.age, fold)
            fades = self.fading[:named] * (columns @ of_columns)[:, :, None]
            later = self.lateness[:named] * (timed @ self.by_time_folds[fold])[:, :, None]
            yield fades + later + stays[:, :, None]

    def calibrated(self, query: Query) -> Float[Tensor, "n tasks bins"]:
        """The log ratios after the calibration found on the tuning split."""
        return self.calibrate(query, self(query))

    def calibrate(
        self, query: Query, log_ratio: Float[Tensor, "n some bins"]
    ) -> Float[Tensor, "n some bins"]:
        """Log ratios of the first tasks after calibration.

        log H' = intercept + slope log H for the cumulative hazard H of ten years, at unchanged shape of the
        hazard over time.
        """
        log_total = self.log_expected(query.age, query.female, log_ratio, CALIBRATION_YEARS)
        some = log_ratio.shape[1]
        return log_ratio + (self.intercept[:some] + (self.slope[:some] - 1) * log_total)[:, :, None]

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
        # Rows are years of age of each sex, columns tasks; before each year, incidence added up from birth.
        rate = self.log_rate[: until.shape[1]].double().exp().permute(1, 2, 0)
        before = F.pad(rate.cumsum(1), (0, 0, 1, 0))[:, :-1].flatten(0, 1)
        rate = rate.flatten(0, 1)
        edges = torch.tensor(BIN_EDGES, dtype=torch.float64, device=age.device)
        row, part = _year_rows(age.double()[:, None] + edges, female)
        at_edges = (before[row] + part[..., None] * rate[row]).mT
        row, part = _year_rows(age.double()[:, None] + until.double().clamp(min=0), female)
        at_end = (before.gather(0, row) + part * rate.gather(0, row))[..., None]
        return torch.cat([torch.minimum(at_edges, at_end), at_end], dim=-1).diff(dim=-1).float()

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


def squares(values: Float[Tensor, "n values"]) -> Float[Tensor, "n values"]:
    """Squares of standardised values, of those beyond 3 standard deviations as if they were at 3.

    >>> squares(torch.tensor([[-1.0, 2.0, 5.0]])).tolist()
    [[1.0, 4.0, 9.0]]
    """
    return values.clamp(-_SQUARED_TO, _SQUARED_TO).square()


def sex_rows(female: Float[Tensor, " n"]) -> Int[Tensor, " n"]:
    """Row of the rates for each sex: 0 male, 1 female, 2 unknown (NaN)."""
    return torch.nan_to_num(female, nan=float(NUM_SEXES - 1)).long()


def _year_rows(
    age: Float[Tensor, "n columns"], female: Float[Tensor, " n"]
) -> tuple[Int[Tensor, "n columns"], Float[Tensor, "n columns"]]:
    """Row of each age in a table of sexes by years of age, and the part of that year that is over."""
    age = age.clamp(0, OLDEST - 1e-9)
    year = age.floor()
    return sex_rows(female)[:, None] * OLDEST + year.long(), age - year
