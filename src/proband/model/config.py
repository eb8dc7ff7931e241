"""What a model is made of. One dial, depth; presets are names of depths."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import pairwise
from typing import Annotated, Any, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    model_serializer,
    model_validator,
)

from proband.core.errors import ConfigError
from proband.model.choices import ENCODERS, FUSIONS, NO_FUSION

FORMAT_VERSION = 11
Encoder = Annotated[str, AfterValidator(ENCODERS.check)]
"""A name in :data:`proband.model.choices.ENCODERS`."""
Fusion = Annotated[str, AfterValidator(FUSIONS.check)]
"""A name in :data:`proband.model.choices.FUSIONS`."""

MOST_BLOCKS, MOST_WIDTH = 1000, 2**16
"""Beyond what anybody trains: a configuration that asks for more is damaged or hostile."""


class ModalityConfig(BaseModel):
    """One modality, such as the genome."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(ge=1, description="Number of input values per subject.")
    encoder: Encoder = Field("mlp", description="How values become latents.")
    timed: bool = Field(
        False,
        description="Measured at an age: read only from positions at or after it.",
    )
    hidden: int = Field(64, ge=1, le=MOST_WIDTH, description="Width of the encoder's hidden layer.")
    drop_modality: float = Field(0.15, ge=0, lt=1, description="Share of train subjects shown as absent.")
    drop_values: float = Field(0.1, ge=0, lt=1, description="Share of single values hidden in training.")
    names: tuple[str, ...] = Field((), description="Column names, such as pgs_ids, in their order.")
    kind: str = Field("", description="Of a genome, how its scores were adjusted: raw, or such as Z_norm2.")


MOST_FITTED = 4096
"""Features of the record with linear terms, columns of interactions and effects by time, of each at most:
more tell little new."""
FOLDS = 5
"""Parts of the train people, each left out in turn, by which errors of onset hazards are estimated."""
BIN_EDGES = (0.0, 0.5, 1.0, 2.0, 3.0, 5.0, 7.0, 10.0)
"""Beginnings of the bins of the time ahead in which onset hazards have factors of their own, years."""


class OnsetTask(BaseModel):
    """One task of the onset head: the first occurrence of any of some tokens, or a binary label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="Name of the outcome, or the code or family.")
    tokens: tuple[int, ...] = Field(description="Tokens that make it, ascending; none of a label.")
    horizon_years: float | None = Field(
        None, gt=0, description="Years that a label is over; None of a first occurrence."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> OnsetTask:
        if bool(self.tokens) == (self.horizon_years is not None):
            raise ValueError("a task has tokens or, as a label, the years that it is over")
        return self

    @model_serializer(mode="wrap")
    def _without_absent_horizon(self, handler: Callable[[OnsetTask], dict[str, Any]]) -> dict[str, Any]:
        """A first occurrence is written as before there were labels, so that older versions read it."""
        return {name: value for name, value in handler(self).items() if value is not None}

    @property
    def is_label(self) -> bool:
        """Whether given labels say who had it, instead of tokens."""
        return self.horizon_years is not None


class OnsetConfig(BaseModel):
    """The shape of the onset head."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tasks: tuple[OnsetTask, ...] = Field(min_length=1, description="Tasks; those of task files come first.")
    num_named: int = Field(ge=1, description="Tasks that have linear terms: death and those of task files.")
    num_features: int = Field(ge=1, description="Features of the record summary.")
    first_value: int = Field(0, ge=0, description="First mean value among the features; last values follow.")
    num_valued: int = Field(0, ge=0, description="Codes that have a mean and a last value.")
    num_recencies: int = Field(
        0,
        ge=0,
        description="Codes whose recency has effects that change with the time ahead; recencies come right "
        "before the first mean value.",
    )
    width: int = Field(96, ge=1, le=MOST_WIDTH, description="Width of the networks of summary, age and sex.")
    hidden: int = Field(128, ge=1, le=MOST_WIDTH, description="Width of its first layer.")
    rank: int = Field(48, ge=1, le=MOST_WIDTH, description="Size of a task's vector.")
    num_networks: int = Field(1, ge=1, le=1000, description="Networks whose log ratios are averaged.")
    linear: dict[str, int] = Field(
        default_factory=dict, description="Modalities with a linear term, and the number of their values."
    )

    @property
    def num_fitted(self) -> int:
        """Features that get linear terms, at most: the most frequent."""
        return min(self.num_features, MOST_FITTED)

    @property
    def first_timed(self) -> int:
        """First of the features whose effects change with the time ahead: recencies, mean and last values."""
        return self.first_value - self.num_recencies

    @property
    def num_timed(self) -> int:
        """How many features these are."""
        return self.num_recencies + 2 * self.num_valued

    @property
    def num_timed_columns(self) -> int:
        """How many columns they make, with the squares of last values after them."""
        return self.num_timed + self.num_valued

    @property
    def num_fitted_by_time(self) -> int:
        """Columns that get effects by time, at most: those of the most frequent features."""
        return min(self.num_timed_columns, MOST_FITTED)

    def index_of(self, tokens: Collection[int]) -> int | None:
        """Number of the task that these tokens make, None if it is none."""
        wanted = tuple(sorted(tokens))
        return next((at for at, task in enumerate(self.tasks) if wanted and task.tokens == wanted), None)

    def index_of_label(self, name: str, horizon_years: float) -> int | None:
        """Number of the label of this name and horizon, None if it is none."""
        wanted = OnsetTask(name=name, tokens=(), horizon_years=horizon_years)
        return next((at for at, task in enumerate(self.tasks) if task == wanted), None)


class ModelConfig(BaseModel):
    """The shape of a model; saved beside its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocabulary_size: int = Field(ge=3, description="Tokens, padding and birth included.")
    num_statics: int = Field(0, ge=0, description="Static codes.")
    resolution_minutes: int = Field(1440, ge=1, description="Finest time step of the data, in minutes.")
    depth: int = Field(4, ge=1, le=MOST_BLOCKS, description="Transformer blocks.")
    dim: int = Field(96, ge=8, le=MOST_WIDTH, description="Width of the residual stream.")
    num_heads: int = Field(3, ge=1, le=MOST_WIDTH, description="Attention heads.")
    context: int = Field(512, ge=8, le=2**24, description="Tokens of history a position may attend to.")
    dropout: float = Field(0.1, ge=0, lt=1, description="Dropout on embeddings and block outputs.")
    num_latents: int = Field(
        4, ge=1, le=MOST_WIDTH, description="Leading positions, and latents per modality."
    )
    gap_edges: tuple[int, ...] = Field(
        min_length=2, description="Edges of the bins of the time to the next event, in steps, from 1 on."
    )
    fusion: Fusion = Field(NO_FUSION, description="How modalities reach the trunk.")
    modalities: dict[str, ModalityConfig] = Field(default_factory=dict, description="Modalities by name.")
    onset: OnsetConfig | None = Field(None, description="Onset hazards; None for a model without tasks.")

    @model_validator(mode="after")
    def _shapes_fit(self) -> ModelConfig:
        if self.dim % self.num_heads or (self.dim // self.num_heads) % 4:
            raise ConfigError(
                "width does not fit the heads",
                found=f"dim {self.dim}, {self.num_heads} heads",
                expected="dim / heads a multiple of 4",
            )
        rising = all(low < high for low, high in pairwise(self.gap_edges))
        if self.gap_edges[0] != 1 or not rising:
            raise ConfigError(
                "gap edges do not make bins",
                found=", ".join(str(edge) for edge in self.gap_edges[:8]),
                expected="ascending steps from 1 on",
                remedy="fit them with proband.model.next_event.gaps.fit_gap_edges",
            )
        if (self.fusion == NO_FUSION) == bool(self.modalities):
            raise ConfigError(
                "fusion and modalities do not fit",
                found=f"fusion {self.fusion}, modalities {sorted(self.modalities) or 'none'}",
                expected="both or neither",
                remedy="give --genome or --modality with a fusion other than none",
            )
        return self

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.dim // self.num_heads


PRESETS = {"tiny": 4, "small": 6, "base": 12, "large": 19}
"""Depth by name: about 0.5, 3, 85 and 340 million weights in the blocks (docs/train.md has the table)."""
_NARROW_HEAD, _WIDE_HEAD, _WIDE_FROM = 32, 64, 512
_STEEP_UNTIL = 12


class Size(NamedTuple):
    """What a depth decides.

    Attributes:
        depth: Blocks.
        dim: Width of the residual stream.
        num_heads: Attention heads.
    """

    depth: int
    dim: int
    num_heads: int


def size_of(depth: int, dim: int | None = None, num_heads: int | None = None) -> Size:
    """The size at a depth; width and heads can be set apart from it.

    Width is 16/3 depth² up to 12 blocks, so that small models stay narrow enough to have several blocks; then
    64 depth. Rounded to whole heads of 32 below a width of 512, else of 64. Proportions are our choice.

    >>> size_of(4), size_of(19)
    (Size(depth=4, dim=96, num_heads=3), Size(depth=19, dim=1216, num_heads=19))
    """
    if dim is None:
        wanted = round(16 * depth**2 / 3) if depth <= _STEEP_UNTIL else 64 * depth
        head = _head_width(wanted)
        dim = head * max(1, round(wanted / head))
    return Size(depth, dim, num_heads or max(1, dim // _head_width(dim)))


def _head_width(dim: int) -> int:
    return _NARROW_HEAD if dim < _WIDE_FROM else _WIDE_HEAD


def preset(name: str) -> dict[str, int]:
    """Depth, width and heads of a named size.

    Raises:
        ConfigError: No such preset.
    """
    if name not in PRESETS:
        raise ConfigError("unknown preset", found=name, expected=" or ".join(PRESETS))
    return size_of(PRESETS[name])._asdict()
