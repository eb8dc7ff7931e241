"""Where numbers are computed. Importing this does not import torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from proband.core.errors import ConfigError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]


def choose_device(device: Device) -> torch.device:
    """The device asked for; ``auto`` is a GPU where there is one.

    Raises:
        ConfigError: A GPU is asked for and there is none.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        remedy = "give --device cpu or auto, or install a torch built for this GPU"
        raise ConfigError("no usable GPU", where="--device cuda", remedy=remedy)
    return torch.device(device)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies matrices in bfloat16 itself, and so faster than in float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()
