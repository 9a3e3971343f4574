import torch
from torch import nn

from orthrus.nn.heads import MaskedLanguageHead, Projector


def test_projector_has_the_published_names_and_sizes() -> None:
    shapes = {name: tuple(x.shape) for name, x in Projector(256).named_parameters()}
    assert shapes == {
        "layers.0.weight": (512, 256), "layers.0.bias": (512,), "layers.1.weight": (512,), "layers.1.bias": (512,),
        "layers.2.weight": (512, 512), "layers.2.bias": (512,), "layers.3.weight": (512,), "layers.3.bias": (512,),
        "layers.4.weight": (128, 512),
    }  # fmt: skip


def test_a_published_head_loads() -> None:
    """Its normalisation is torch's BatchNorm1d, of whose state every part is taken over."""
    torch.manual_seed(0)
    published = nn.ModuleList(
        [nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Linear(16, 16), nn.BatchNorm1d(16), nn.Linear(16, 4, bias=False)]
    )
    x = published[0](torch.randn(32, 8))
    published[1](x)  # running moments that are not the initial ones
    checkpoint = {f"contrastive_projection_head.layers.{name}": value for name, value in published.state_dict().items()}
    projector = Projector(8, 16, 4)
    projector.load_state_dict({name.split(".", 1)[1]: value for name, value in checkpoint.items()})
    torch.testing.assert_close(projector.layers[1].eval()(x), published[1].eval()(x))


def test_projector_is_linear_norm_relu_twice_then_linear() -> None:
    torch.manual_seed(0)
    projector = Projector(8, 16, 4)
    hidden = x = torch.randn(32, 8)
    for linear in (projector.layers[0], projector.layers[2]):
        hidden = hidden @ linear.weight.T + linear.bias
        hidden = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
        hidden = hidden.clamp(min=0)
    torch.testing.assert_close(projector(x), hidden @ projector.layers[4].weight.T)


def test_masked_language_head_gives_a_logit_for_each_base() -> None:
    assert MaskedLanguageHead(8)(torch.zeros(2, 5, 8)).shape == (2, 5, 4)
