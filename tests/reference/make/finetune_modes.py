"""Make tests/reference/finetune_modes.tsv: a matrix trained by peft's LoRA and IA3 beside a fixed one.

Usage: python tests/reference/make/finetune_modes.py OUT.tsv    (needs peft; made with 0.21.2, torch 2.13.0)

Three steps of gradient descent on a mean square, from the matrices below, then peft's merged weights:
mode, output, input, weight.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from peft import IA3Config, LoraConfig, get_peft_model
from torch import nn

OUTPUTS, INPUTS, ROWS, RANK, STEPS, RATE = 3, 5, 7, 2, 3, 0.5


def waves(rows: int, columns: int, start: float) -> torch.Tensor:
    """Sines of 1, 2, 3, ... from a start, shape (rows, columns)."""
    return torch.sin(start + torch.arange(1, rows * columns + 1, dtype=torch.float64)).view(rows, columns)


def main(out: Path) -> None:
    configs = {
        "lora": LoraConfig(r=RANK, lora_alpha=RANK, lora_dropout=0.0, target_modules=["0"], bias="none"),
        "adapters": IA3Config(target_modules=["0"], feedforward_modules=[]),
    }
    lines = ["mode\toutput\tinput\tweight"]
    for mode, config in configs.items():
        layer = nn.Linear(INPUTS, OUTPUTS, bias=False, dtype=torch.float64)
        layer.weight.data = waves(OUTPUTS, INPUTS, 0.0)
        model = get_peft_model(nn.Sequential(layer), config, autocast_adapter_dtype=False).double()
        if mode == "lora":
            model.base_model.model[0].lora_A["default"].weight.data = waves(RANK, INPUTS, 0.3)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        steps = torch.optim.SGD(trained, lr=RATE)
        for _ in range(STEPS):
            steps.zero_grad()
            (model(waves(ROWS, INPUTS, 0.6)) - waves(ROWS, OUTPUTS, 0.9)).square().mean().backward()
            steps.step()
        weight = model.merge_and_unload()[0].weight
        for place, value in enumerate(weight.flatten().tolist()):
            lines.append(f"{mode}\t{place // INPUTS}\t{place % INPUTS}\t{value:.12f}")
    out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
