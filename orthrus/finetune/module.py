"""The LightningModule of fine-tuning: an encoder, or a baseline, and a head, trained on one split of a task.

B transcripts, L positions, D features, T targets.
"""

import sys
from collections.abc import Callable
from typing import Any, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from lightning import LightningModule
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.finetune.data import LabelledBatch, LabelledDataModule
from orthrus.finetune.lora import LoRA
from orthrus.models import load_model
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.tracks import codes_to_tracks
from orthrus.probe.metrics import score
from orthrus.probe.targets import Target, Task
from orthrus.training.module import MAX_LEARNING_RATE
from orthrus.training.optim import parameter_groups, warmup_decay

HeadFactory = Callable[[int, int], nn.Module]
"""(D, T) -> a module from (B, D) to (B, T)."""

_STANDARDISED_ROWS = 1000


class Represents(Protocol):
    """A network that turns tracks (B, C, L) and lengths (B,) into one vector a transcript (B, D)."""

    n_tracks: int
    d_model: int

    def represent(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor: ...


class DenseHead(nn.Sequential):
    """(B, D) -> (B, T) through one hidden layer of width D."""

    def __init__(self, d_model: int, n_targets: int, dropout: float = 0.1) -> None:
        if not 0 <= dropout <= 1:
            raise InputError(f"dropout of the head is {dropout}; expected 0 to 1")
        super().__init__(nn.Linear(d_model, d_model), nn.ReLU(), nn.Dropout(dropout), nn.Linear(d_model, n_targets))


class FineTuning(LightningModule):
    """Trains a network and a head on the training side, with validation loss and the probe's metrics by epoch.

    Args:
        checkpoint: initial encoder, as for :func:`orthrus.load_model`: a name, a folder or a checkpoint.
        network: instead of a checkpoint, a network to train from scratch: an encoder or one of
            :mod:`orthrus.nn.baselines`.
        head: (D, T) -> module.
        lora: train low-rank updates of the network's projections instead of its weights.
        freeze: train only the head.
        learning_rate: learning rate of AdamW, for the head and for a network from scratch.
        encoder_learning_rate: learning rate of the network's last layer, by default ``learning_rate``.
        layer_decay: factor by which the learning rate falls from each layer to the one before it.
        weight_decay: weight decay of matrices; as in pretraining, biases, norms, embeddings, ``A_log`` and ``D`` never
            decay.
        warmup_fraction: share of all steps for warm-up; the learning rate then falls to 0 along a cosine.

    Raises:
        InputError: for neither or both of ``checkpoint`` and ``network``, for a network without ``represent``, or for a
            number that makes no sense.
    """

    def __init__(
        self,
        checkpoint: str | None = None,
        network: nn.Module | None = None,
        head: HeadFactory = nn.Linear,
        lora: LoRA | None = None,
        freeze: bool = False,
        learning_rate: float = 1e-3,
        encoder_learning_rate: float | None = None,
        layer_decay: float = 1.0,
        weight_decay: float = 1e-2,
        warmup_fraction: float = 0.1,
    ) -> None:
        super().__init__()
        self.mean_T: Tensor
        self.deviation_T: Tensor
        self.center_D: Tensor
        self.scale_D: Tensor
        for name, value, most in (
            ("learning_rate", learning_rate, MAX_LEARNING_RATE),
            ("encoder_learning_rate", encoder_learning_rate, MAX_LEARNING_RATE),
            ("layer_decay", layer_decay, 1.0),
            ("weight_decay", weight_decay, sys.float_info.max),
            ("warmup_fraction", warmup_fraction, 1.0),
        ):
            if value is not None and not 0 <= value <= most:
                raise InputError(f"model.{name} is {value}; expected 0 to {most:g}")
        if (checkpoint is None) == (network is None):
            raise InputError("expected one of model.checkpoint (an encoder to fine-tune) and model.network (to train)")
        self.network = load_model(checkpoint) if checkpoint is not None else cast(nn.Module, network)
        if not hasattr(self.network, "represent"):
            raise InputError(
                f"model.network is a {type(self.network).__name__}, which has no `represent`; expected"
                " orthrus.MambaEncoder, orthrus.nn.baselines.Saluki or the like"
            )
        if isinstance(self.network, MambaEncoder):
            self.network.projection = None  # it was fitted on vectors of the weights that change here
            self.network.held_out = {}  # those of a task's split are other families
        if freeze and lora is not None:
            raise InputError("model.freeze trains the head alone: give it or model.lora, not both")
        if freeze:
            self.network.requires_grad_(False)
        if lora is not None:
            lora.add_to(self.network)
        self._make_head, self._frozen, self._from_scratch = head, freeze, checkpoint is None
        self._rates = (learning_rate, learning_rate if encoder_learning_rate is None else encoder_learning_rate)
        self._layer_decay, self._weight_decay, self._warmup_fraction = layer_decay, weight_decay, warmup_fraction
        self._seen: list[tuple[Tensor, Tensor]] = []  # rows and scores of the validation side

    def setup(self, stage: str) -> None:
        """Build the head, and measure the mean and deviation of the training side's targets and features."""
        if hasattr(self, "head"):
            return
        if isinstance(self.network, MambaEncoder):
            if self._from_scratch:
                self.network.cds_frame = self._data.store.cds_frame
            self._data.cds_frame = self.network.cds_frame
        target, split = self._data.target, self._data.split
        self.head = self._make_head(self.width, target.values.shape[1])
        self._standardise(stage == "fit")
        training = target.values[split.train]
        regression = target.task is Task.REGRESSION
        mean_T = training.mean(axis=0) if regression else np.zeros(training.shape[1])
        deviation_T = training.std(axis=0) if regression else np.ones(training.shape[1])
        self.register_buffer("mean_T", torch.from_numpy(mean_T).float())
        self.register_buffer("deviation_T", torch.from_numpy(np.where(deviation_T > 0, deviation_T, 1)).float())

    def _standardise(self, measure: bool) -> None:
        """Standardise the features that the head reads (mean 0, standard deviation 1), as a linear probe does.

        The mean and deviation are those of up to a thousand training transcripts in the initial network. Raw features
        vary little about their means, so a head would learn slowly from them.
        """
        center_D, scale_D = torch.zeros(self.width), torch.ones(self.width)
        if measure:
            features, n = [], 0
            self.network.eval()
            with torch.inference_mode():
                for batch in self._data.train_dataloader():
                    features.append(self._represent(LabelledBatch(*(part.to(self.device) for part in batch))).float())
                    n += len(features[-1])
                    if n >= _STANDARDISED_ROWS:
                        break
            self.network.train(not self._frozen)
            features_ND = torch.cat(features).cpu()
            center_D, deviation_D = features_ND.mean(dim=0).clone(), features_ND.std(dim=0, correction=0).clone()
            scale_D = torch.where(deviation_D > 1e-6, deviation_D, 1.0)
        self.register_buffer("center_D", center_D)
        self.register_buffer("scale_D", scale_D)

    def _represent(self, batch: LabelledBatch) -> Tensor:
        tracks_BCL = codes_to_tracks(batch.codes_BL, self._represents.n_tracks)
        return self._represents.represent(tracks_BCL, batch.lengths_B)

    @property
    def _data(self) -> LabelledDataModule:
        data = cast(Any, self.trainer).datamodule
        assert isinstance(data, LabelledDataModule)
        return data

    @property
    def width(self) -> int:
        """Features of a representation."""
        return self._represents.d_model

    @property
    def _represents(self) -> Represents:
        return cast(Represents, self.network)

    def forward(self, batch: LabelledBatch) -> Tensor:
        """Scores (B, T): standardised numbers, or logits."""
        scores_BT: Tensor = self.head((self._represent(batch) - self.center_D) / self.scale_D)
        return scores_BT

    def training_step(self, batch: LabelledBatch, batch_idx: int) -> Tensor:
        """The loss on a batch."""
        loss = self.loss(self(batch), batch.targets_BT)
        self.log("train/loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=len(batch.lengths_B))
        return loss

    def on_train_epoch_start(self) -> None:
        """Keep the dropout of a frozen network off."""
        if self._frozen:
            self.network.eval()

    def loss(self, scores_BT: Tensor, targets_BT: Tensor) -> Tensor:
        """Mean squared error of standardised numbers, or cross-entropy in nats."""
        return task_loss(self._data.target, scores_BT, (targets_BT - self.mean_T) / self.deviation_T)

    def validation_step(self, batch: LabelledBatch, batch_idx: int) -> None:
        """Keep scores and targets, because metrics need the whole side."""
        self._seen.append((batch.rows_B, self(batch).float()))

    def on_validation_epoch_end(self) -> None:
        """Log ``val/loss`` and the probe's metrics."""
        rows_N, scores_NT = (torch.cat(parts) for parts in zip(*self._seen, strict=True))
        self._seen.clear()
        rows = rows_N.cpu().numpy()
        targets_NT = torch.from_numpy(self._data.target.values[rows]).to(scores_NT)
        self.log("val/loss", self.loss(scores_NT, targets_NT), prog_bar=True)
        if not scores_NT.isfinite().all():
            return  # training diverged, as the loss shows
        target = self._data.target
        of_label = score(target.task, target.values[rows], scores_NT.double().cpu().numpy())
        means = {name: float(values[np.isfinite(values)].mean()) for name, values in of_label.items()}
        self.log_dict({f"val/{name}": value for name, value in means.items()}, prog_bar=True)

    def predict_step(self, batch: LabelledBatch, batch_idx: int) -> tuple[Tensor, Tensor]:
        """Rows (B,) and predictions (B, T): numbers in the labels' unit, or log-odds (logits of several classes)."""
        return batch.rows_B, self(batch).float() * self.deviation_T + self.mean_T

    def configure_optimizers(self) -> Any:
        """AdamW with learning rates by layer, and warm-up and cosine by step."""
        head_rate, encoder_rate = self._rates
        groups = parameter_groups(self.network, self.head, self._weight_decay, self._weight_decay)
        depth = layer_depths(self.network)
        last = max(depth.values(), default=0)
        rate = {
            id(p): encoder_rate * self._layer_decay ** (last - depth[n]) for n, p in self.network.named_parameters()
        }
        by_rate: dict[tuple[float, float], list[nn.Parameter]] = {}
        for group in groups:
            for parameter in group["params"]:
                by_rate.setdefault((rate.get(id(parameter), head_rate), group["weight_decay"]), []).append(parameter)
        optimizer = torch.optim.AdamW(
            [{"params": params, "lr": lr, "weight_decay": decay} for (lr, decay), params in by_rate.items()]
        )
        total = int(self.trainer.estimated_stepping_batches)
        scheduler = warmup_decay(optimizer, round(self._warmup_fraction * total), total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def task_loss(target: Target, scores_BT: Tensor, targets_BT: Tensor) -> Tensor:
    """Mean squared error for regression; cross-entropy over several classes, or of each yes-or-no label."""
    if target.task is Task.REGRESSION:
        return F.mse_loss(scores_BT, targets_BT)
    if target.task is Task.CLASSIFICATION and targets_BT.shape[1] > 1:
        return F.cross_entropy(scores_BT, targets_BT.argmax(dim=1))
    return F.binary_cross_entropy_with_logits(scores_BT, targets_BT)


def layer_depths(network: nn.Module) -> dict[str, int]:
    """The layer of each parameter: 0 before ``layers``, n + 1 in ``layers.n``, that of the last layer after them."""
    names = [name for name, _ in network.named_parameters()]
    in_layers = {name: int(name.split(".")[1]) + 1 for name in names if name.startswith("layers.")}
    last = max(in_layers.values(), default=0)
    return {name: in_layers.get(name, 0 if name.startswith("embedding.") else last) for name in names}
