from __future__ import annotations

import pytest
import torch

from proband.model.kernels.rotate import rotate
from proband.model.trunk.rotary import Rotary


def test_turning_is_the_same_in_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = Rotary(8)(torch.arange(5).expand(2, -1), torch.randint(0, 40_000_000, (2, 5)))
    x = torch.randn(2, 5, 2, 3, 8)
    eager = rotate(x, turn)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(rotate(x, turn), eager)
    torch.testing.assert_close(eager.norm(dim=-1), x.norm(dim=-1))
    assert not torch.allclose(eager[:, 1:], x[:, 1:])
