"""The LightningModule of pretraining: tracks on the device, encoder, objective, and what validation reports.

V = 2N views of N pairs, L positions, D features.
"""

from collections.abc import Callable
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torchmetrics import CatMetric

from orthrus.errors import InputError
from orthrus.loading.batch import PairBatch
from orthrus.nn.encoder import MambaEncoder, mean_pool
from orthrus.nn.tracks import codes_to_tracks
from orthrus.objectives import JointObjective, Objective, Views
from orthrus.objectives.geometry import alignment, effective_rank, retrieval_top1, uniformity
from orthrus.pairs import KIND_NAMES
from orthrus.training.optim import parameter_groups, warmup_cosine

_UNIFORMITY_ROWS = 2048  # of the validation set: pairwise distances of more would dominate a validation pass


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
        self.val_representation = CatMetric()

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
        """The objective, and how partners lie to one another in the embedding, over all pairs and by kind."""
        views = self(batch)
        scores = {k: v for k, v in self.objective(views).items() if k != "retrieval_top1"}
        n_pairs = len(batch.pair_kind_N)
        self._log_val(scores, n_pairs)

        view0_ND, view1_ND = views.representation_VD.float().chunk(2)
        hit_N = retrieval_top1(view0_ND, view1_ND, batch.family_N).float().mean(dim=0)
        candidates_N = (batch.family_N[:, None] != batch.family_N).sum(dim=1) + 1
        self._log_val(
            {
                "retrieval_top1": hit_N.mean(),
                "retrieval_chance": (1 / candidates_N).mean(),
                "alignment": alignment(view0_ND, view1_ND),
            },
            n_pairs,
        )
        for kind, name in enumerate(KIND_NAMES):
            chosen_N = batch.pair_kind_N == kind
            if n := int(chosen_N.sum()):
                kind_scores = {
                    f"retrieval_top1_{name}": hit_N[chosen_N].mean(),
                    f"alignment_{name}": alignment(view0_ND[chosen_N], view1_ND[chosen_N]),
                }
                self._log_val(kind_scores, n)
        self.val_representation.update(view0_ND)

    def on_validation_epoch_end(self) -> None:
        """Uniformity and effective rank of the first views of the whole validation set."""
        embedding_MD = self.val_representation.compute().reshape(-1, self.encoder.d_model)
        self.val_representation.reset()
        stride = -(-len(embedding_MD) // _UNIFORMITY_ROWS)
        self.log("val/uniformity", uniformity(embedding_MD[::stride]))
        self.log("val/effective_rank", effective_rank(embedding_MD))

    def configure_optimizers(self) -> Any:
        """AdamW over parameter groups, warm-up and cosine by step."""
        if self.trainer.max_steps < 1:
            raise InputError(
                "trainer.max_steps is not set; the learning rate falls to 0 over it: set it to, say, 20000"
            )
        groups = parameter_groups(self.encoder, self.objective, *self._decay)
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        scheduler = warmup_cosine(optimizer, self.warmup_steps, self.trainer.max_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the encoder's shape, so that it can be rebuilt from the checkpoint alone."""
        checkpoint["orthrus"] = {"encoder": self.encoder.config}

    def _log_val(self, scores: dict[str, Tensor], n_pairs: int) -> None:
        values = {f"val/{k}": v for k, v in scores.items()}
        self.log_dict(values, on_epoch=True, batch_size=n_pairs, sync_dist=self.trainer.world_size > 1)
