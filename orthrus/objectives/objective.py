"""The objective: named terms, each a loss with its heads and its weight, read from an encoded batch of pairs.

V = 2N views of N pairs (rows 0..N-1 view 0, rows N..2N-1 view 1), R some of those rows, L positions, T tokens (bases,
or codons with the codon stem), D features.

A batch is read in two steps, so that an encoder can process a few rows at a time without keeping all hidden states:
:meth:`Objective.read` sums over the positions of any rows, and these sums are added over all rows; then the objective
takes the sums and the representations of the whole batch, which contrastive terms need at once.
The mean of every scalar over ranks is its value for the whole batch (:mod:`orthrus.nn.ranks`).
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.genome.codes import ANNOTATION_TARGET, BASE_BITS, CDS_BIT, SPLICE_BIT
from orthrus.nn.heads import AnnotationHead, MaskedLanguageHead, Projector
from orthrus.nn.ranks import share_of_mean
from orthrus.objectives.contrastive import DecoupledContrastiveLoss
from orthrus.objectives.masked import annotation_sums, cross_entropy_sums
from orthrus.objectives.memory import PairMemory
from orthrus.objectives.pair_rows import PairLoss
from orthrus.objectives.schedules import Constant, Schedule


class Encoded(NamedTuple):
    """An encoded batch of pairs."""

    representation_VD: Tensor
    sums: dict[str, Tensor]
    """The sums of :meth:`Objective.read` over all rows."""
    pair_kind_N: Tensor
    """int64: 0 self, 1 splice, 2 ortholog."""
    family_N: Tensor


class Term(nn.Module):
    """A training signal: heads, a loss, and its weight in the objective. Built for an encoder of width ``d_model``.

    Called with an :class:`Encoded` batch, it returns named scalars: ``loss`` enters the objective, the others are
    logged.
    """

    def __init__(self, weight: Schedule | float) -> None:
        super().__init__()
        self.weight = weight if isinstance(weight, Schedule) else Constant(weight)


class PositionTerm(Term, ABC):
    """A term that is a mean over the single positions of all rows; it is called with sums over all positions."""

    data_setting: ClassVar[str] = ""
    """The setting of :class:`~orthrus.loading.datamodule.PairDataModule` that hides the targets, if any."""

    @abstractmethod
    def read(self, hidden_RTD: Tensor, targets_RL: Tensor, word_RT: Tensor) -> Tensor:
        """Sums over the positions to predict in some rows, (S,); the last one is the number of these positions.

        ``targets_RL`` are as in :class:`orthrus.loading.PairBatch`, ``word_RT`` the words of the encoder's input tokens
        (:meth:`orthrus.MambaEncoder.words`).
        """

    @abstractmethod
    def forward(self, sums_S: Tensor) -> dict[str, Tensor]:
        """Named scalars, as for any term, from the sums of ``read`` over all rows."""


class ContrastiveTerm(Term):
    """Draws partners together and other families apart, after the published projector.

    Logs the ``temperature`` of a loss that learns it.

    Args:
        d_model: width of the encoder.
        loss: the loss over the views of pairs.
        weight: weight of this term in the objective.
        d_hidden: width of the projector's two hidden layers.
        d_out: width of the space in which views are compared.
        memory: number of the newest pairs of past steps to compare with, besides those of the batch: cheap negatives
            for small batches. 0: none. Checkpoints contain the whole memory.
    """

    def __init__(
        self,
        d_model: int,
        loss: Callable[[], PairLoss] = DecoupledContrastiveLoss,
        weight: Schedule | float = 1.0,
        d_hidden: int = 512,
        d_out: int = 128,
        memory: int = 0,
    ) -> None:
        super().__init__(weight)
        for name, width in (("d_hidden", d_hidden), ("d_out", d_out)):
            if width < 1:
                raise InputError(f"{name} is {width}; the projector needs a width of at least 1")
        self.projector = Projector(d_model, d_hidden, d_out)
        self.loss = loss()
        self.memory = PairMemory(memory, d_out) if memory else None

    def forward(self, encoded: Encoded) -> dict[str, Tensor]:
        """The loss over the batch's pairs, which are then stored in the memory during training."""
        view0_ND, view1_ND = self.projector(encoded.representation_VD).chunk(2)
        pairs = (view0_ND, view1_ND, encoded.pair_kind_N, encoded.family_N)
        memory = self.memory if self.training else None
        scores = {"loss": self.loss(*pairs, past=memory and memory.past())}
        if memory is not None:
            memory.add(*pairs)
        temperature = getattr(self.loss, "temperature", None)
        return scores | ({"temperature": temperature.detach()} if isinstance(temperature, Tensor) else {})


class MaskedLanguageTerm(PositionTerm):
    """Predicts the base at masked positions from the hidden state there; logs ``accuracy``.

    Args:
        d_model: width of the encoder.
        weight: weight of this term in the objective.
    """

    data_setting = "mlm_fraction"

    def __init__(self, d_model: int, weight: Schedule | float = 1.0) -> None:
        super().__init__(weight)
        self.head = MaskedLanguageHead(d_model)

    def read(self, hidden_RLD: Tensor, targets_RL: Tensor, word_RT: Tensor) -> Tensor:
        """Cross-entropy, correct predictions, and number of bases to predict, (3,)."""
        base_RL = (targets_RL & BASE_BITS).long() - 1
        sums_2 = cross_entropy_sums(self.head(hidden_RLD), base_RL)
        return torch.cat([sums_2, (base_RL >= 0).sum().to(sums_2.dtype)[None]])

    def forward(self, sums_S: Tensor) -> dict[str, Tensor]:
        """Mean cross-entropy in nats, and the share of bases predicted correctly."""
        loss, accuracy = share_of_mean(sums_S[:2], sums_S[2])
        return {"loss": loss, "accuracy": accuracy.detach()}


class AnnotationTerm(PositionTerm):
    """Predicts hidden CDS and splice tracks from the hidden state at each position; logs the loss of each track.

    Args:
        d_model: width of the encoder.
        weight: weight of this term in the objective.
    """

    data_setting = "annotation_fraction"

    def __init__(self, d_model: int, weight: Schedule | float = 1.0) -> None:
        super().__init__(weight)
        self.head = AnnotationHead(d_model)

    def read(self, hidden_RLD: Tensor, targets_RL: Tensor, word_RT: Tensor) -> Tensor:
        """Cross-entropies of both tracks, and number of positions to predict, (3,)."""
        chosen_RL = (targets_RL & ANNOTATION_TARGET) > 0
        present_RL2 = torch.stack([targets_RL & CDS_BIT, targets_RL & SPLICE_BIT], dim=-1) > 0
        sums_2 = annotation_sums(self.head(hidden_RLD), present_RL2, chosen_RL)
        return torch.cat([sums_2, chosen_RL.sum().to(sums_2.dtype)[None]])

    def forward(self, sums_S: Tensor) -> dict[str, Tensor]:
        """Mean binary cross-entropy in nats over positions and tracks, and for each track."""
        cds, splice = share_of_mean(sums_S[:2], sums_S[2])
        return {"loss": (cds + splice) / 2, "cds": cds.detach(), "splice": splice.detach()}


class NextTokenTerm(PositionTerm):
    """Predicts the next token (a base, or a codon with the codon stem) of a causal encoder; logs ``accuracy``.

        loss_t = -log softmax(W h_t + b)[w_(t+1)]

    as in generative pretraining (Radford et al. 2018, 'Improving language understanding by generative pre-training'),
    over both views of all pairs. A next token with an unknown or a masked base is not predicted, so augmentations that
    mask bases reduce the signal.

    Args:
        d_model: width of the encoder.
        n_words: 4 for the base stem, 64 for the codon stem.
        weight: weight of this term in the objective.
    """

    def __init__(self, d_model: int, n_words: int = 4, weight: Schedule | float = 1.0) -> None:
        super().__init__(weight)
        self.next_head = nn.Linear(d_model, n_words)

    def read(self, hidden_RTD: Tensor, targets_RL: Tensor, word_RT: Tensor) -> Tensor:
        """Cross-entropy, correct predictions, and number of tokens to predict, (3,)."""
        next_RT = word_RT[:, 1:]
        sums_2 = cross_entropy_sums(self.next_head(hidden_RTD[:, :-1]), next_RT)
        return torch.cat([sums_2, (next_RT >= 0).sum().to(sums_2.dtype)[None]])

    def forward(self, sums_S: Tensor) -> dict[str, Tensor]:
        """Mean cross-entropy in nats a token, and the share of tokens predicted correctly."""
        loss, accuracy = share_of_mean(sums_S[:2], sums_S[2])
        return {"loss": loss, "accuracy": accuracy.detach()}


class Objective(nn.Module):
    """A weighted sum of named terms.

    Returns ``loss``, which is minimised, and for the log each term's own loss under its name (``mlm``), its other
    scalars (``mlm_accuracy``), and its weight if that has a schedule (``mlm_weight``). Raises InputError without terms
    and for a name that is not an identifier.
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        super().__init__()
        if not terms:
            raise InputError("an objective needs at least one term, such as contrastive or mlm")
        for name in terms:
            if not name.isidentifier() or name == "loss":
                raise InputError(f"a term cannot be called {name!r}: its loss is logged under that name")
        self.terms = nn.ModuleDict(terms)

    def read(self, hidden_RTD: Tensor, targets_RL: Tensor, word_RT: Tensor) -> dict[str, Tensor]:
        """Sums over the positions of some rows, by term; the arguments are those of :meth:`PositionTerm.read`."""
        return {
            name: term.read(hidden_RTD, targets_RL, word_RT)
            for name, term in self.terms.items()
            if isinstance(term, PositionTerm)
        }

    def forward(self, encoded: Encoded, step: float = math.inf) -> dict[str, Tensor]:
        """Named scalars with the weights of optimiser step ``step``, by default those at the end of all schedules."""
        logged: dict[str, Tensor] = {}
        loss = encoded.representation_VD.new_zeros(())
        for name, term in self.terms.items():
            assert isinstance(term, Term)
            scores = term(encoded.sums[name] if isinstance(term, PositionTerm) else encoded)
            weight = term.weight(step)
            loss = loss + weight * scores["loss"]
            logged |= {name: scores.pop("loss")} | {f"{name}_{measure}": value for measure, value in scores.items()}
            if not isinstance(term.weight, Constant):
                logged[f"{name}_weight"] = loss.new_full((), weight)
        return {"loss": loss} | logged
