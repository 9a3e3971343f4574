import torch

from orthrus.training.callbacks.gradients import gradient_norm


def test_the_norm_is_that_of_all_gradients_as_one_vector() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(shape)) for shape in ((3, 4), (5,), (2,))]
    for parameter, seed in zip(parameters[:2], (0, 1), strict=True):
        parameter.grad = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW([{"params": parameters[:1]}, {"params": parameters[1:]}])
    flat = torch.cat([p.grad.flatten() for p in parameters if p.grad is not None])
    torch.testing.assert_close(gradient_norm(optimizer), flat.norm())
    parameters[1].grad[0] = float("nan")
    assert not gradient_norm(optimizer).isfinite()
