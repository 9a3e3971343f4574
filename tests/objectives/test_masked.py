import torch

from orthrus.objectives.masked import masked_accuracy, masked_cross_entropy


def test_only_positions_with_a_target_count() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4)
    targets = torch.tensor([[0, 4, 0], [1, 0, 0]], dtype=torch.uint8)
    probabilities = logits.softmax(-1)
    expected = -(probabilities[0, 1, 3].log() + probabilities[1, 0, 0].log()) / 2
    torch.testing.assert_close(masked_cross_entropy(logits, targets), expected)


def test_nothing_to_predict_is_zero_with_zero_gradients() -> None:
    logits = torch.randn(2, 3, 4, requires_grad=True)
    loss = masked_cross_entropy(logits, torch.zeros(2, 3, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
    assert masked_accuracy(logits, torch.zeros(2, 3, dtype=torch.long)).isnan()


def test_accuracy() -> None:
    logits = torch.eye(4)[None]  # position i predicts base i + 1
    assert masked_accuracy(logits, torch.tensor([[1, 2, 4, 0]])).item() == torch.tensor(2 / 3)
