import torch

from orthrus.objectives import AnnotationTerm, MaskedLanguageTerm, NextTokenTerm
from orthrus.objectives.objective import PositionTerm
from tests.oracles.masked import annotation_loss, masked_base_loss, next_token_loss


def batch(rows: int = 3, length: int = 9, width: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    """Hidden states and targets with bases, annotation and both to predict."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.randint(0, 5, (rows, length), generator=generator)
    annotation = torch.randint(0, 4, (rows, length), generator=generator) * 8 + 32
    targets += annotation * torch.randint(0, 2, (rows, length), generator=generator)
    hidden = torch.randn(rows, length, width, generator=generator, dtype=torch.float64, requires_grad=True)
    return hidden, targets.to(torch.uint8)


def scores(term: PositionTerm, hidden: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
    return term(term.read(hidden, targets, targets.long() % 8 - 1))


def gradient_positions(loss: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(loss, hidden)
    return gradient.abs().sum(dim=-1) > 0


def test_masked_bases_equal_the_literal_loss() -> None:
    term, (hidden, targets) = MaskedLanguageTerm(8).double(), batch()
    got = scores(term, hidden, targets)
    loss, accuracy = masked_base_loss(term.head(hidden).tolist(), targets.tolist())
    torch.testing.assert_close(got["loss"].item(), loss, rtol=0, atol=1e-12)
    torch.testing.assert_close(got["accuracy"].item(), accuracy)
    assert torch.equal(gradient_positions(got["loss"], hidden), targets % 8 > 0)


def test_annotation_equals_the_literal_loss() -> None:
    term, (hidden, targets) = AnnotationTerm(8).double(), batch()
    got = scores(term, hidden, targets)
    cds, splice = annotation_loss(term.head(hidden).tolist(), targets.tolist())
    torch.testing.assert_close((got["cds"].item(), got["splice"].item()), (cds, splice), rtol=0, atol=1e-12)
    torch.testing.assert_close(got["loss"].item(), (cds + splice) / 2, rtol=0, atol=1e-12)
    assert torch.equal(gradient_positions(got["loss"], hidden), targets >= 32)


def test_the_next_token_is_predicted_wherever_it_is_known() -> None:
    term, (hidden, targets) = NextTokenTerm(8, n_words=4).double(), batch()
    got = scores(term, hidden, targets)
    word = (targets.long() % 8 - 1).tolist()
    loss, accuracy = next_token_loss(term.next_head(hidden).tolist(), word)
    torch.testing.assert_close(got["loss"].item(), loss, rtol=0, atol=1e-12)
    torch.testing.assert_close(got["accuracy"].item(), accuracy)
    expected = [[column + 1 < len(row) and row[column + 1] >= 0 for column in range(len(row))] for row in word]
    assert gradient_positions(got["loss"], hidden).tolist() == expected


def test_nothing_to_predict_is_zero_with_zero_gradients() -> None:
    hidden, targets = batch()
    for term in (MaskedLanguageTerm(8).double(), AnnotationTerm(8).double(), NextTokenTerm(8).double()):
        got = scores(term, hidden, torch.zeros_like(targets))
        assert all(value == 0 for value in got.values())
        got["loss"].backward()
        assert all(parameter.grad is not None and not parameter.grad.any() for parameter in term.parameters())
    assert torch.equal(hidden.grad, torch.zeros_like(hidden))


def test_losses_are_float32_under_autocast() -> None:
    for term in (MaskedLanguageTerm(8), AnnotationTerm(8), NextTokenTerm(8)):
        hidden, targets = batch()
        with torch.autocast("cpu", torch.bfloat16):
            assert scores(term, hidden.float(), targets)["loss"].dtype == torch.float32
