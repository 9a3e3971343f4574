"""The training step: chunks equal the batch at once, random states repeat, precision and compilation."""

import contextlib
import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.loading.batch import PairBatch
from orthrus.nn import tracks
from orthrus.nn.encoder import MambaEncoder
from orthrus.objectives import ContrastiveTerm, NextTokenTerm
from orthrus.training.module import Pretraining
from tests.training.steps import OBJECTIVES, batch, build, gradients, part


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("chunk_rows", [1, 4, 99])
def test_chunks_have_the_scores_and_gradients_of_the_batch_at_once(objective: str, chunk_rows: int) -> None:
    expected = gradients(build(objective), batch(5))
    torch.testing.assert_close(gradients(build(objective, chunk_rows), batch(5)), expected, rtol=0, atol=1e-10)


def test_chunks_and_checkpointed_layers_go_together() -> None:
    expected = gradients(build("joint"), batch(5))
    module = build("joint", chunk_rows=4)
    module.encoder.gradient_checkpointing = True
    torch.testing.assert_close(gradients(module, batch(5)), expected, rtol=0, atol=1e-10)


def test_the_encoder_sees_chunks_alone_twice_each_and_only_once_without_gradients() -> None:
    module, seen = build("joint", chunk_rows=4), []
    module.encoder.register_forward_pre_hook(lambda encoder, inputs: seen.append(inputs[0].shape))
    gradients(module, batch(5))
    assert [rows for rows, _, _ in seen] == [4, 4, 2, 2, 4, 4]
    longest = [int(lengths.max()) for lengths in batch(5).lengths_V.split(4)]
    assert [positions for _, _, positions in seen[:3]] == longest
    seen.clear()
    with torch.no_grad():
        module(batch(5))
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("objective", "chunk_rows", "stem"),
    [("joint", None, "base"), ("joint", 4, "base"), ("multi_positive", None, "base"), ("next_token", None, "codon")],
)
def test_a_step_reads_no_number_off_the_device(
    objective: str, chunk_rows: int | None, stem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host starts a step on a GPU without waiting for it. Tensors without numbers, on "meta", have none to read."""
    monkeypatch.setattr(torch, "meta", torch.device("meta"), raising=False)  # PyTorch 2.5 looks there when recomputing
    module, given = build(objective, chunk_rows), PairBatch(*(part.to("meta") for part in batch(5)))
    if stem == "codon":
        module = Pretraining(MambaEncoder(6, 4, 1, stem=stem), {"next": partial(NextTokenTerm, n_words=64)})
    module.to("meta")
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())  # "meta" has none
    monkeypatch.setattr(tracks, "_table", lambda n_tracks, device: torch.empty(32, n_tracks, device=device))
    for owner, copy in ((Tensor, "new_tensor"), (torch, "tensor"), (torch, "as_tensor")):
        monkeypatch.setattr(owner, copy, None)  # to copy the host's numbers to a GPU waits too
    scores, _ = module.scores(given)
    scores["loss"].backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


class Dropout(MambaEncoder):
    """An encoder whose output is random."""

    drawn: list[Tensor]

    def forward(self, *args: Any) -> Tensor:
        kept = nn.functional.dropout(torch.ones_like(hidden := super().forward(*args)), 0.5)
        self.drawn.append(kept)
        return hidden * kept


def test_both_passes_over_a_chunk_draw_the_same_random_numbers() -> None:
    encoder = Dropout(6, d_model=4, n_layers=1)
    encoder.drawn = []
    module = Pretraining(encoder, {"contrastive": ContrastiveTerm}, chunk_rows=4)
    module.scores(batch(4))[0]["loss"].backward()
    first0, first1, second1, second0 = encoder.drawn
    assert torch.equal(first0, second0)
    assert torch.equal(first1, second1)
    assert not torch.equal(first0[:, :4], first1[:, :4])


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("pairs", [0, 1])
def test_a_batch_of_one_pair_or_none_gives_finite_gradients(objective: str, pairs: int) -> None:
    scores, grads = gradients(build(objective), part(batch(3), 0, pairs))
    assert all(math.isfinite(value) for value in scores.values())
    assert all(gradient.isfinite().all() for gradient in grads.values())


def test_masked_language_modelling_alone_has_one_head() -> None:
    assert {name for name, _ in build("mlm").objective.named_parameters()} == {
        "terms.mlm.head.weight", "terms.mlm.head.bias"
    }  # fmt: skip


def test_bfloat16_autocast_keeps_losses_and_representations_in_float32() -> None:
    module = build("joint").float()
    expected = module.scores(batch(5))[0]
    with torch.autocast("cpu", torch.bfloat16):
        scores, encoded = module.scores(batch(5))
    assert encoded.representation_VD.dtype == torch.float32
    for name in ("loss", "contrastive", "mlm", "annotation"):
        assert scores[name].dtype == torch.float32
        torch.testing.assert_close(scores[name], expected[name], rtol=0.1, atol=0)


def test_chunks_of_no_rows_are_refused() -> None:
    with pytest.raises(InputError, match="chunk_rows must be at least 1, got 0"):
        build("joint", chunk_rows=0)
