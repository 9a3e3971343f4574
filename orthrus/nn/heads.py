"""What sits on the encoder while it trains: the projector of the contrastive loss and the masked-base predictor."""

import torch.nn.functional as F
from torch import Tensor, nn

N_BASES = 4


class Projector(nn.Module):
    """The published projection head, (N, D) -> (N, d_out): D -> d_hidden -> d_hidden -> d_out.

    BatchNorm and ReLU after the two hidden layers, no bias in the last. ``layers.{0..4}`` are named as published.
    """

    def __init__(self, d_model: int, d_hidden: int = 512, d_out: int = 128) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Linear(d_model, d_hidden),
                nn.BatchNorm1d(d_hidden),
                nn.Linear(d_hidden, d_hidden),
                nn.BatchNorm1d(d_hidden),
                nn.Linear(d_hidden, d_out, bias=False),
            ]
        )

    def forward(self, representation_ND: Tensor) -> Tensor:
        first, first_norm, second, second_norm, last = self.layers
        hidden_NH = F.relu(first_norm(first(representation_ND)))
        view_NP: Tensor = last(F.relu(second_norm(second(hidden_NH))))
        return view_NP


class MaskedLanguageHead(nn.Linear):
    """Hidden states (B, L, D) -> logits (B, L, 4) over A, C, G, T."""

    def __init__(self, d_model: int) -> None:
        super().__init__(d_model, N_BASES)
