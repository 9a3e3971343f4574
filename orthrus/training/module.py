"""The LightningModule of pretraining: tracks on the device, encoder, objective, and what validation reports.

V = 2N views of N pairs, L positions, D features.
"""

from collections.abc import Callable
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor

from orthrus.errors import InputError
from orthrus.loading.batch import PairBatch
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.pooling import mean_pool
from orthrus.nn.tracks import codes_to_tracks
from orthrus.objectives import JointObjective, Objective, Views
from orthrus.training.optim import parameter_groups, warmup_cosine
from orthrus.training.pair_geometry import PairGeometry


class Pretraining(LightningModule):
    """Pretrains an encoder on positive pairs.

    Args:
        encoder: the network to train.
        objective: what to minimise, built for the encoder's width.
        learning_rate: of AdamW, after warm-up.
        encoder_decay: weight decay of the encoder's matrices.
        head_decay: weight decay of the heads' matrices. Biases, norms, embeddings, ``A_log`` and ``D`` never decay.
        warmup_steps: linear rise of the learning rate; a cosine then falls to 0 at ``trainer.max_steps``.
    """

    def __init__(
        self,
        encoder: MambaEncoder,
        objective: Callable[[int], Objective] = JointObjective,
        learning_rate: float = 1e-3,
        encoder_decay: float = 5e-5,
        head_decay: float = 1e-4,
        warmup_steps: int = 2000,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.objective = objective(encoder.d_model)
        self.learning_rate, self.warmup_steps = learning_rate, warmup_steps
        self._decay = (encoder_decay, head_decay)
        self.geometry = PairGeometry()

    def forward(self, batch: PairBatch) -> Views:
        """Both views of a batch, encoded."""
        tracks_VCL = codes_to_tracks(batch.codes_VL, self.encoder.n_tracks)
        hidden_VLD = self.encoder(tracks_VCL, batch.lengths_V)
        return Views(
            hidden_VLD,
            mean_pool(hidden_VLD, batch.lengths_V),
            batch.targets_VL,
            batch.pair_kind_N,
            batch.family_N,
        )

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        """The objective on a batch of N pairs."""
        scores = self.objective(self(batch))
        on_bar = ("loss", "retrieval_top1")
        self.log_dict({f"train/{k}": v for k, v in scores.items() if k in on_bar}, prog_bar=True)
        self.log_dict({f"train/{k}": v for k, v in scores.items() if k not in on_bar})
        self.log("lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        loss: Tensor = scores["loss"]
        return loss

    def validation_step(self, batch: PairBatch, batch_idx: int) -> None:
        """The objective on a batch of N pairs; their embeddings are kept for the geometry of the whole set."""
        views = self(batch)
        scores = self.objective(views)
        scores.pop("retrieval_top1", None)  # within a batch; the whole set's is reported
        self.log_dict(
            {f"val/{name}": value for name, value in scores.items()},
            on_epoch=True,
            batch_size=len(batch.pair_kind_N),
            sync_dist=self.trainer.world_size > 1,
        )
        length1_N = batch.lengths_V.chunk(2)[1]
        view0_ND, view1_ND = views.representation_VD.chunk(2)
        self.geometry.update(view0_ND, view1_ND, length1_N, batch.pair_kind_N, batch.family_N)

    def on_validation_epoch_end(self) -> None:
        """How partners lie to one another in the embedding."""
        self.log_dict({f"val/{name}": value for name, value in self.geometry.compute().items()})
        self.geometry.reset()

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; raises InputError where ``trainer.max_steps`` is not set."""
        if self.trainer.max_steps < 1:
            raise InputError(
                "trainer.max_steps is not set; the learning rate falls to 0 over it: set it to, say, 20000"
            )
        return self.trainer.max_steps

    def configure_optimizers(self) -> Any:
        """AdamW over parameter groups, warm-up and cosine by step."""
        if self.trainer.max_steps < 1:
            raise InputError(
                "trainer.max_steps is not set; the learning rate falls to 0 over it: set it to, say, 20000"
            )
        groups = parameter_groups(self.encoder, self.objective, *self._decay)
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        scheduler = warmup_cosine(optimizer, self.warmup_steps, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the encoder's shape, so that it can be rebuilt from the checkpoint alone."""
        checkpoint["orthrus"] = {"encoder": self.encoder.config}
