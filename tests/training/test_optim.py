from typing import Any

import pytest
import torch

from orthrus.nn.encoder import MambaEncoder
from orthrus.objectives import AnnotationTerm, ContrastiveTerm, MaskedLanguageTerm, Objective, SigmoidLoss
from orthrus.training.optim import parameter_groups, warmup_decay


def test_decay_reaches_matrices_alone_and_every_parameter_is_in_one_group() -> None:
    encoder = MambaEncoder(6, 16, 2, bidirectional=True)
    heads = Objective(
        {
            "contrastive": ContrastiveTerm(16, SigmoidLoss),
            "mlm": MaskedLanguageTerm(16),
            "annotation": AnnotationTerm(16),
        }
    )
    groups = parameter_groups(encoder, heads, 0.1, 0.2)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert len(decay) == sum(len(group["params"]) for group in groups)
    for part, expected in ((encoder, 0.1), (heads, 0.2)):
        for name, parameter in part.named_parameters():
            matrix = name.endswith(
                ("in_proj.weight", "out_proj.weight", "x_proj.weight", "dt_proj.weight", "conv1d.weight")
            ) or (part is heads and parameter.ndim == 2)
            assert decay.pop(id(parameter)) == (expected if matrix else 0.0), name
    assert not decay
    learned = {id(p) for p in groups[-1]["params"]}
    assert {id(heads.get_parameter(f"terms.contrastive.loss.{name}")) for name in ("log_scale", "bias")} <= learned


def rates_of(steps: int, **schedule: Any) -> list[float]:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = warmup_decay(optimizer, **schedule)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_the_learning_rate_is_level_until_the_share_of_steps_in_which_it_falls() -> None:
    rates = rates_of(110, warmup_steps=9, total_steps=100, decay_share=0.2)
    assert rates[9:81] == [1.0] * 72
    assert rates[85] == pytest.approx(0.5)  # a quarter of the way: 1 - sqrt(1 / 4)
    assert rates[80:101] == sorted(rates[80:101], reverse=True)
    assert rates[100:] == [0.0] * 10
    longer = rates_of(110, warmup_steps=9, total_steps=200, decay_share=0.2)
    assert longer[:81] == rates[:81]  # so a run can be prolonged
    assert rates_of(20, warmup_steps=9, total_steps=10, decay_share=1.0)[9:11] == [1.0, 0.0]
    assert rates_of(12, warmup_steps=2, total_steps=10, decay_share=0.0)[2:] == [1.0] * 8 + [0.0] * 2


def test_the_learning_rate_rises_linearly_then_falls_as_a_cosine() -> None:
    rates = rates_of(110, warmup_steps=9, total_steps=109)
    assert rates[:9] == pytest.approx([(step + 1) / 10 for step in range(9)])
    assert rates[9] == 1.0
    assert rates[59] == pytest.approx(0.5)
    assert rates[109] == pytest.approx(0.0)
    assert rates[9:] == sorted(rates[9:], reverse=True)
