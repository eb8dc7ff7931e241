"""What the positions of a record read of the genome, in a model whose blocks attend to latents.

A description of the trunk, no explanation of a risk: attention says where a block looks, not what it makes of
it, and risks in closed form do not depend on it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from proband.core.units import MINUTES_PER_YEAR
from proband.explain.inputs import Asked
from proband.explain.tables import ATTENTION
from proband.model.fusion.cross_attention import CrossAttention
from proband.tokens.history.queries import QueryBatch, query_batches

NOTHING = "nothing"
"""The learned empty latent, which is there for positions that read no modality."""


def attention_frame(asked: Asked, index: Int[np.ndarray, " n"]) -> pl.DataFrame:
    """Rows of :data:`~proband.explain.tables.ATTENTION`; none for models of another fusion.

    Args:
        asked: The question.
        index: Prediction points, whose records are read in the window that ends at the prediction time.
    """
    model = asked.model
    attending = {
        number: layer for number, layer in enumerate(model.fusion.layers) if isinstance(layer, CrossAttention)
    }
    if not attending or not len(index):
        return ATTENTION.empty()
    tables = {name: table for name, table in asked.tables.items() if name in model.config.modalities}
    rows, minutes = asked.points.rows[index], asked.points.start[index]
    frames = [ATTENTION.empty()]
    for batch in query_batches(asked.store, tables, rows, minutes, model.config.context, shown=False):
        frames += _of_batch(asked, attending, batch, index)
    return pl.concat(frames).sort("subject_id", "prediction_time", "block", "position", "modality")


def _of_batch(
    asked: Asked, attending: dict[int, CrossAttention], queries: QueryBatch, index: Int[np.ndarray, " n"]
) -> list[pl.DataFrame]:
    windows, rows, columns, numbers = queries
    found: dict[int, Tensor] = {}  # by block, of the record's positions, which come after the leading ones

    def keep(number: int) -> Callable[..., None]:
        def hook(layer: nn.Module, given: tuple[Any, ...], _: Tensor) -> None:
            assert isinstance(layer, CrossAttention)
            found[number] = layer.weights(*given).mean(dim=1)[:, -windows.tokens.shape[1] :]

        return hook

    hooks = [layer.register_forward_hook(keep(number)) for number, layer in attending.items()]
    try:
        with torch.no_grad():
            model = asked.model.eval()
            model.hidden(windows.tokens, windows.ages, windows.statics, windows.modalities)
            latents = model.fusion.latents(windows.modalities, len(windows.tokens))
    finally:
        for hook in hooks:
            hook.remove()
    names = np.array([NOTHING, *model.fusion.encoders])
    owner = np.repeat(np.array(latents.modality, dtype=np.int64) + 1, latents.values.shape[2])
    groups = torch.from_numpy(np.eye(len(names))[np.concatenate([[0], owner])]).float()
    return [
        _rows(asked, windows.tokens[row], windows.ages[row], int(column), shares[row] @ groups, names)
        .with_columns(
            block=pl.lit(block, pl.Int64), gate=pl.lit(float(attending[block].gate.detach().tanh()))
        )
        .join(asked.points.frame[int(index[number])], how="cross")
        .select(*ATTENTION.columns)
        for block, shares in found.items()
        for row, column, number in zip(rows, columns, numbers, strict=True)
    ]


def _rows(
    asked: Asked,
    tokens: Int[Tensor, " length"],
    ages: Int[Tensor, " length"],
    last: int,
    shares: Float[Tensor, "length modalities"],
    names: np.ndarray,
) -> pl.DataFrame:
    """One window's positions up to ``last``, each with the share of every modality."""
    position, modality = np.indices((last + 1, len(names))).reshape(2, -1)
    codes = np.array(asked.store.vocabulary.recorded_codes())
    return pl.DataFrame(
        {
            "position": position,
            "age_years": (ages.numpy() / MINUTES_PER_YEAR)[position],
            "code": codes[tokens.numpy()[position]],
            "modality": names[modality],
            "share": shares.double().numpy()[position, modality],
        },
        schema={
            name: ATTENTION.columns[name] for name in ("position", "age_years", "code", "modality", "share")
        },
    )
