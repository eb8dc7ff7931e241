from __future__ import annotations

import torch

from proband.core.batch import EVENT
from proband.model.embedding import fold_families, share_families
from small_world import batch_of, random_model

FAMILIES = torch.tensor([[0, 0], [0, 0], [1, 3], [1, 3], [2, 3], [2, 3], [3, 0], [0, 0]])
BATCH = batch_of([[1, 2, 4]], [[0, 5, 9]], target=[[EVENT, EVENT, 0]], next_tokens=[[2, 4, 0]])


def test_a_token_is_its_own_vector_and_those_of_its_families() -> None:
    model = random_model()
    own = model.embedding.tokens.weight.detach().clone()
    share_families(model.embedding, FAMILIES)
    change = model.embedding.tokens.weight.detach() - own
    assert torch.equal(change[[0, 1, 7]], torch.zeros(3, 16))
    assert torch.allclose(change[[2, 4]], change[[3, 5]], atol=1e-6)
    assert (torch.pdist(change[[2, 4, 6]]) > 0.01).all()


def test_relatives_learn_from_one_another() -> None:
    model = random_model().train()
    share_families(model.embedding, FAMILIES)
    before = model.embedding.tokens.weight.detach().clone()
    optimizer = torch.optim.SGD([p for name, p in model.named_parameters() if "vectors" in name], lr=0.1)
    model(BATCH).mean.backward()
    optimizer.step()
    moved = (model.embedding.tokens.weight - before).abs().amax(1)
    assert (moved[:2] == 0).all()  # padding and birth have no family
    assert (moved[2:7] > 0).all()


def test_folding_changes_nothing_but_the_names() -> None:
    plain, model = random_model(), random_model()
    share_families(model.embedding, FAMILIES)
    with torch.no_grad():
        before = model(BATCH).mean
        fold_families(model.embedding)
        assert torch.equal(model(BATCH).mean, before)
        assert not torch.equal(plain(BATCH).mean, before)
        assert set(model.state_dict()) == set(plain.state_dict())
        fold_families(model.embedding)  # a model without families stays as it is
        assert torch.equal(model(BATCH).mean, before)  # with gradients, attention rounds otherwise
