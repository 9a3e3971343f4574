"""Training heads of the encoder: the projector of contrastive losses, and heads that predict at single positions."""

import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.nn.norm import BatchNorm

N_BASES = 4


class Projector(nn.Module):
    """The published projection head, (N, D) -> (N, d_out): D -> d_hidden -> d_hidden -> d_out.

    Batch normalisation over the rows of all ranks and ReLU after the two hidden layers, no bias in the last.
    ``layers.{0..4}`` are named as published.
    """

    def __init__(self, d_model: int, d_hidden: int = 512, d_out: int = 128) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.Linear(d_model, d_hidden),
                BatchNorm(d_hidden),
                nn.Linear(d_hidden, d_hidden),
                BatchNorm(d_hidden),
                nn.Linear(d_hidden, d_out, bias=False),
            ]
        )

    def forward(self, representation_ND: Tensor) -> Tensor:
        first, first_norm, second, second_norm, last = self.layers
        hidden_NH = F.relu(first_norm(first(representation_ND)))
        view_NP: Tensor = last(F.relu(second_norm(second(hidden_NH))))
        return view_NP


class MaskedLanguageHead(nn.Linear):
    """Hidden states (..., D) -> logits (..., 4) over A, C, G, T."""

    def __init__(self, d_model: int) -> None:
        super().__init__(d_model, N_BASES)


class PublishedSequenceHead(nn.Module):
    """The masked-base head of the published encoders, hidden states (..., D) -> logits (..., 4) over A, C, G, T.

    D -> d_hidden -> d_hidden -> 4, batch normalisation over all positions and ReLU after the two hidden layers, no bias
    in the last; named as published (``sequence_head.*``).
    """

    def __init__(self, d_model: int, d_hidden: int) -> None:
        super().__init__()
        self.fc1, self.norm1 = nn.Linear(d_model, d_hidden), nn.BatchNorm1d(d_hidden)
        self.fc2, self.norm2 = nn.Linear(d_hidden, d_hidden), nn.BatchNorm1d(d_hidden)
        self.fc3 = nn.Linear(d_hidden, N_BASES, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        flat = hidden.reshape(-1, hidden.shape[-1])
        flat = F.relu(self.norm2(self.fc2(F.relu(self.norm1(self.fc1(flat))))))
        logits: Tensor = self.fc3(flat)
        return logits.reshape(*hidden.shape[:-1], N_BASES)


class AnnotationHead(nn.Linear):
    """Hidden states (..., D) -> logits (..., 2) of the CDS and the splice track."""

    def __init__(self, d_model: int) -> None:
        super().__init__(d_model, 2)
