"""The LightningModule of pretraining: tracks on the device, encoder, objective, and validation metrics.

V = 2N views of N pairs (or N, one of each: :class:`orthrus.loading.PairBatch`), R some of those rows, L positions, T
tokens, D features.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from lightning import LightningModule
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from orthrus.errors import InputError
from orthrus.loading.batch import PairBatch
from orthrus.loading.datamodule import PairDataModule
from orthrus.loading.draws import check_fraction
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.pooling import mean_pool
from orthrus.nn.ranks import mean_over_ranks, row_counts, share_of_mean
from orthrus.nn.tracks import codes_to_tracks
from orthrus.objectives import ContrastiveTerm, Encoded, NextTokenTerm, Objective, PositionTerm, Term
from orthrus.objectives.geometry import retrieval_top1
from orthrus.objectives.memory import PairMemory
from orthrus.training.optim import parameter_groups, warmup_decay
from orthrus.training.pair_geometry import PairGeometry

MAX_LEARNING_RATE = 1000.0  # far above any useful rate, and below the overflow of float32 parameters


class Pretraining(LightningModule):
    """Pretrains an encoder on positive pairs.

    Args:
        encoder: the network to train.
        objective: the terms that are minimised, by the name under which each is logged.
        chunk_rows: number of views that the encoder processes at a time, for batches that exceed the memory of a device
            (GradCache; Gao et al. 2021, arXiv 2101.06983). A first pass keeps only the representations; a second one,
            with the same random state, runs when the gradient reaches each chunk. The gradient is that of the whole
            batch, at the cost of one more forward pass. None: all views at once.
        compile_encoder: compile the encoder's layers with torch.compile; the scans between them are not compiled.
        learning_rate: learning rate of AdamW after warm-up.
        encoder_decay: weight decay of the encoder's matrices.
        head_decay: weight decay of the heads' matrices. Biases, norms, embeddings, learned temperatures, ``A_log`` and
            ``D`` never decay.
        warmup_steps: steps of the linear rise of the learning rate.
        decay_share: share of ``trainer.max_steps``, at its end, over which the rate falls to 0 as 1 - sqrt. It is level
            before, so that a run can be prolonged, from a checkpoint of that time, with a larger ``trainer.max_steps``.
            None: a cosine from the end of the rise to ``trainer.max_steps``.
    """

    def __init__(
        self,
        encoder: MambaEncoder,
        objective: dict[str, Callable[[int], Term]],
        chunk_rows: int | None = None,
        compile_encoder: bool = False,
        learning_rate: float = 1e-3,
        encoder_decay: float = 5e-5,
        head_decay: float = 1e-4,
        warmup_steps: int = 2000,
        decay_share: float | None = None,
    ) -> None:
        super().__init__()
        if chunk_rows is not None and chunk_rows < 1:
            raise InputError(f"model.chunk_rows must be at least 1, got {chunk_rows}")
        if not 0 < learning_rate <= MAX_LEARNING_RATE:
            raise InputError(
                f"model.learning_rate is {learning_rate}; expected more than 0, and at most {MAX_LEARNING_RATE:g}"
            )
        for option, value in (
            ("encoder_decay", encoder_decay), ("head_decay", head_decay), ("warmup_steps", warmup_steps)
        ):  # fmt: skip
            if not 0 <= value < math.inf:
                raise InputError(f"model.{option} is {value}; expected 0 or more")
        if decay_share is not None:
            check_fraction(decay_share, "model.decay_share")
        self.encoder = encoder
        self.objective = Objective({name: build(encoder.d_model) for name, build in objective.items()})
        self.chunk_rows = chunk_rows
        if compile_encoder:
            for layer in encoder.layers:
                layer.compile(dynamic=True)  # batches have any number of rows and positions
        self.learning_rate, self.warmup_steps, self.decay_share = learning_rate, warmup_steps, decay_share
        self._decay = (encoder_decay, head_decay)
        self.geometry = PairGeometry()
        self._views = 2

    def setup(self, stage: str) -> None:
        """Raise InputError for a term that has nothing to predict, or that does not fit the encoder."""
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, PairDataModule):
            self.encoder.cds_frame, self._views = data.cds_frame, data.views
            self.encoder.held_out = {"val_fraction": data.val_fraction, "test_fraction": data.test_fraction}
        for name, term in self.objective.terms.items():
            if isinstance(term, ContrastiveTerm) and self._views == 1:
                raise InputError(
                    f"model.objective.{name} compares the two views of a pair, and data.views is 1: make it 2, or leave"
                    " the term out"
                )
            if isinstance(term, NextTokenTerm):
                self._check_next_token(name, term)
            elif isinstance(term, PositionTerm):
                self._check_hidden(name, term)

    def _check_next_token(self, name: str, term: NextTokenTerm) -> None:
        stem, n_words = self.encoder.embedding, term.next_head.out_features
        if self.encoder.bidirectional:
            raise InputError(
                f"model.objective.{name} predicts the next token, which a bidirectional encoder has seen: make the"
                " encoder causal, or use orthrus.objectives.MaskedLanguageTerm"
            )
        if n_words != stem.n_words:
            raise InputError(
                f"model.objective.{name} predicts one of {n_words} words, and the encoder's stem {stem.name!r} has"
                f" {stem.n_words}: make its n_words {stem.n_words}"
            )

    def _check_hidden(self, name: str, term: PositionTerm) -> None:
        stem, data = self.encoder.embedding, getattr(self.trainer, "datamodule", None)
        if stem.name != "base":
            raise InputError(
                f"model.objective.{name} predicts single bases, and the encoder's stem is {stem.name!r}: use"
                " orthrus.objectives.NextTokenTerm, or stem: base"
            )
        if getattr(data, term.data_setting, None) == 0:
            raise InputError(
                f"model.objective.{name} predicts what data.{term.data_setting} hides, which is 0: make it, say, 0.15"
                " or leave the term out"
            )

    def forward(self, batch: PairBatch) -> Encoded:
        """The views of a batch, encoded, with the sums of the terms over single positions."""
        rows = len(batch.lengths_V)
        views = (batch.codes_VL, batch.targets_VL, batch.lengths_V)
        if (
            rows == 0
        ):  # one blank row, dropped below, so that every parameter has a gradient, which other ranks wait for
            views = (batch.codes_VL.new_zeros(1, 1), batch.targets_VL.new_zeros(1, 1), batch.lengths_V.new_ones(1))
        again = self.chunk_rows is not None and torch.is_grad_enabled()
        encode = partial(checkpoint, self._encode, use_reentrant=False) if again else self._encode
        chunks = zip(*(torch.split(view, self.chunk_rows or max(rows, 1)) for view in views), strict=True)
        representations, sums = zip(*(encode(*chunk) for chunk in chunks), strict=True)
        return Encoded(
            torch.cat(representations)[:rows],
            {name: torch.stack([part[name] for part in sums]).sum(0) for name in sums[0]},
            batch.pair_kind_N,
            batch.family_N,
        )

    def _encode(self, codes_RL: Tensor, targets_RL: Tensor, lengths_R: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Representations (R, D) of some rows and the objective's sums over their positions."""
        # On a GPU the padding stays, because reading the longest length would make the host wait for the device.
        longest = int(lengths_R.max()) if lengths_R.device.type == "cpu" else codes_RL.shape[1]
        tracks_RCL = codes_to_tracks(codes_RL[:, :longest], self.encoder.n_tracks)
        hidden_RTD = self.encoder(tracks_RCL, lengths_R)
        tokens_R = self.encoder.embedding.token_lengths(tracks_RCL, lengths_R)
        sums = self.objective.read(hidden_RTD, targets_RL[:, :longest], self.encoder.words(tracks_RCL, lengths_R))
        return mean_pool(hidden_RTD, tokens_R), sums

    def scores(self, batch: PairBatch, step: float = math.inf) -> tuple[dict[str, Tensor], Encoded]:
        """The objective on a batch, weighted as at ``step``."""
        encoded = self(batch)
        return self.objective(encoded, step), encoded

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        """The objective on a batch of N pairs; the logged values are means over ranks."""
        scores, encoded = self.scores(batch, self.trainer.global_step)
        if self._views == 2:
            view0_ND, view1_ND = encoded.representation_VD.detach().chunk(2)
            hits_2N = retrieval_top1(view0_ND, view1_ND, encoded.family_N).float()
            scores["retrieval_top1"] = share_of_mean(hits_2N.sum(), hits_2N.new_full((), hits_2N.numel()))
        means = mean_over_ranks(scores)
        on_bar = ("loss", "retrieval_top1")
        self.log_dict({f"train/{k}": v for k, v in means.items() if k in on_bar}, prog_bar=True)
        self.log_dict({f"train/{k}": v for k, v in means.items() if k not in on_bar})
        self.log("train/lr", self.trainer.optimizers[0].param_groups[0]["lr"])
        return scores["loss"]

    def validation_step(self, batch: PairBatch, batch_idx: int) -> None:
        """The objective on a batch of N pairs; the embeddings are kept for the geometry of the whole set."""
        scores, encoded = self.scores(batch)
        means = mean_over_ranks(scores)
        self.log_dict(
            {f"val/{name}": value for name, value in means.items() if not name.endswith("_weight")},
            on_epoch=True,
            batch_size=sum(row_counts(batch.pair_kind_N)),  # of all ranks, as the values are
            sync_dist=self.trainer.world_size > 1,
        )
        length1_N = batch.lengths_V.chunk(2)[1]
        view0_ND, view1_ND = encoded.representation_VD.chunk(2)
        self.geometry.update(view0_ND, view1_ND, length1_N, batch.pair_kind_N, batch.family_N)

    def on_validation_epoch_end(self) -> None:
        """Log the geometry of the pairs in the embedding."""
        self.log_dict({f"val/{name}": value for name, value in self.geometry.compute().items()})
        self.geometry.reset()

    @property
    def total_steps(self) -> int:
        """Steps of the whole run; raises InputError if ``trainer.max_steps`` is not set."""
        if self.trainer.max_steps < 1:
            raise InputError(
                "trainer.max_steps is not set; the learning rate falls to 0 over it: set it to, say, 20000"
            )
        return self.trainer.max_steps

    def configure_optimizers(self) -> Any:
        """AdamW over parameter groups, and a learning rate by step."""
        groups = parameter_groups(self.encoder, self.objective, *self._decay)
        optimizer = torch.optim.AdamW(groups, lr=self.learning_rate)
        scheduler = warmup_decay(optimizer, self.warmup_steps, self.total_steps, self.decay_share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """Set rate and decay from the recipe, also if the optimiser comes from a checkpoint of another recipe.

        A memory of pairs of another store is emptied, since families have other numbers there.
        """
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, PairDataModule) and data.goes_on_in_another_store:
            for module in self.modules():
                if isinstance(module, PairMemory):
                    module.written = 0
        scheduler: Any = self.lr_schedulers()
        decay = dict(zip(("encoder", "heads"), self._decay, strict=True))
        groups = scheduler.optimizer.param_groups
        scheduler.base_lrs = [self.learning_rate] * len(groups)
        for group, factor in zip(groups, scheduler.lr_lambdas, strict=True):
            group["initial_lr"] = self.learning_rate
            group["lr"] = self.learning_rate * factor(scheduler.last_epoch)
            group["weight_decay"] = decay.get(group["name"], 0.0)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the encoder's configuration, to rebuild it from the checkpoint, and what its data were."""
        checkpoint["orthrus"] = {
            "encoder": self.encoder.config,
            "cds_frame": self.encoder.cds_frame,
            "held_out": self.encoder.held_out,
        }
