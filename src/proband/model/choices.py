"""What a model can be made of, by the names that its configuration uses.

A new encoder or fusion is one class in one file and one entry here; from outside, an assignment
(:class:`~proband.core.registry.Registry`). Nothing here imports torch.
"""

from __future__ import annotations

from typing import Any

from proband.core.registry import Registry

ENCODERS: Registry[Any] = Registry(
    "encoder",
    {
        "mlp": "proband.model.modality.feed_forward:FeedForwardEncoder",
        "set": "proband.model.modality.pooled_set:SetEncoder",
    },
)
"""How a modality's values become latents: subclasses of ``proband.model.modality.ModalityEncoder``."""

NO_FUSION = "none"
"""The fusion that reads no modality."""
FUSIONS: Registry[Any] = Registry(
    "fusion",
    {
        NO_FUSION: "proband.model.fusion.none:NoFusion",
        "prefix": "proband.model.fusion.prefix:Prefix",
        "adapter": "proband.model.fusion.adapter:AdapterFusion",
        "cross_attention": "proband.model.fusion.cross_attention:CrossAttentionFusion",
    },
)
"""How latents reach the trunk: subclasses of ``proband.model.fusion.layer.FusionMethod``."""


def usual_fusion(has_modalities: bool) -> str:
    """The fusion where settings name none."""
    return "prefix" if has_modalities else NO_FUSION
