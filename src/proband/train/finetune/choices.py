"""How a model can be adapted to new outcomes, by the names that settings use.

A new mode is one class in one file and one entry here; from outside, an assignment
(:class:`~proband.core.registry.Registry`). Nothing here imports torch.
"""

from __future__ import annotations

from typing import Any, Literal

from proband.core.registry import Registry

ROW: Literal["row"] = "row"
"""The mode that leaves the trunk as it is."""
MODES: Registry[Any] = Registry(
    "mode",
    {
        ROW: "proband.train.finetune.modes:Frozen",
        "adapters": "proband.train.finetune.modes:Rescaled",
        "lora": "proband.train.finetune.modes:LowRank",
        "full": "proband.train.finetune.modes:Full",
    },
)
"""Subclasses of ``proband.train.finetune.modes.Mode``."""
