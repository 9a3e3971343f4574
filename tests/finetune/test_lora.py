import pytest
import torch

from orthrus import InputError, MambaEncoder
from orthrus.finetune.lora import LoRA, merge


def encoder() -> MambaEncoder:
    torch.manual_seed(0)
    return MambaEncoder(6, 16, 2)


TRACKS, LENGTHS = torch.rand(2, 6, 40), torch.tensor([40, 23])


def test_nothing_changes_at_first_and_only_updates_are_trained() -> None:
    plain, adapted = encoder(), encoder()
    LoRA(rank=3).add_to(adapted)
    torch.testing.assert_close(adapted.represent(TRACKS, LENGTHS), plain.represent(TRACKS, LENGTHS))
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert len(trained) == 2 * 4 * 2
    assert all(name.endswith((".weight.0.A", ".weight.0.B")) for name in trained)


def test_the_gradient_reaches_every_update_through_the_fused_scan() -> None:
    """in_proj and dt_proj are multiplied by their weights, never called: an adapter around the call gets nothing."""
    adapted = encoder()
    LoRA(rank=3).add_to(adapted)
    adapted.represent(TRACKS, LENGTHS).square().sum().backward()
    grads = {name: p.grad for name, p in adapted.named_parameters() if p.requires_grad}
    for name, grad in grads.items():
        assert grad is not None
        if name.endswith(".B"):  # that of A is zero while B is
            assert grad.abs().sum() > 0, name


def test_the_update_is_that_of_the_paper_and_merges_into_the_weights() -> None:
    plain, adapted = encoder(), encoder()
    LoRA(rank=3, alpha=6.0, targets=("in_proj",)).add_to(adapted)
    update = adapted.layers[1].mixer.in_proj.parametrizations.weight[0]  # type: ignore[union-attr, index]
    with torch.no_grad():
        update.B.normal_()
        expected = plain.layers[1].mixer.in_proj.weight + 6.0 / 3 * update.B @ update.A  # type: ignore[union-attr]
    before = adapted.represent(TRACKS, LENGTHS)
    assert not torch.allclose(before, plain.represent(TRACKS, LENGTHS))
    merge(adapted)
    assert adapted.state_dict().keys() == plain.state_dict().keys()
    torch.testing.assert_close(adapted.layers[1].mixer.in_proj.weight, expected)  # type: ignore[union-attr, arg-type]
    torch.testing.assert_close(adapted.represent(TRACKS, LENGTHS), before)


def test_what_cannot_be_adapted_is_refused() -> None:
    with pytest.raises(InputError, match="rank is 0"):
        LoRA(rank=0)
    with pytest.raises(InputError, match="no linear layer is called nothing"):
        LoRA(targets=("nothing",)).add_to(encoder())
