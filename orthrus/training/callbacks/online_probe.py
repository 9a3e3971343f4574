"""A linear probe of the encoder while it trains. M labelled transcripts, D features."""

from dataclasses import replace
from typing import Any

import numpy as np
from lightning import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from orthrus.embedding.embed import batches, encode, in_frame
from orthrus.errors import InputError
from orthrus.nn.encoder import MambaEncoder
from orthrus.probe.labels import read_labels
from orthrus.probe.one_split import probe_features
from orthrus.probe.rows import choose_rows
from orthrus.probe.splits import Split
from orthrus.probe.targets import Target
from orthrus.probe.tasks import read_task
from orthrus.store import TranscriptStore
from orthrus.training.log import log_now


class OnlineProbe(Callback):
    """Logs ``probe/NAME/METRIC`` of a task, on the test rows of one split, before training and at regular steps.

    Rank 0 embeds and fits while the others wait for it at the next step. Choosing a run by this number is choosing it
    by its test rows, so report another split.

    Args:
        task: the task's YAML, as for `orthrus probe --task`.
        store: folder of the store that holds the labelled transcripts.
        every_n_steps: optimiser steps between probes.
        n_transcripts: maximal number of labelled transcripts, drawn once.
        token_budget: padded nt of a batch to embed.
    """

    def __init__(
        self,
        task: str,
        store: str,
        every_n_steps: int = 1000,
        n_transcripts: int = 2000,
        token_budget: int = 65_536,
    ) -> None:
        for name, value in (("every_n_steps", every_n_steps), ("n_transcripts", n_transcripts)):
            if value < 1:
                raise InputError(f"OnlineProbe.{name} is {value}; expected at least 1")
        self.task, self.store_path = read_task(task), store
        self.every_n_steps, self.n_transcripts, self.token_budget = every_n_steps, n_transcripts, token_budget
        self._probed_step = -1

    def setup(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Find the labelled transcripts, so that unusable input is reported before training."""
        if stage != "fit":
            return
        self._store = TranscriptStore.open(self.store_path)
        labels = read_labels(self.task.labels, self.task.targets, self.task.id_column)
        sources = {"store": self._store.column("transcript_id")}
        rows = choose_rows(labels, self.task, self._store.transcripts, sources, seeds=1, store=self._store)
        chosen = np.random.default_rng(0).permutation(len(rows.transcript_ids))[: self.n_transcripts]
        self._target, self._split = take(rows.target, rows.splits[0], np.sort(chosen))
        self._transcripts_M = np.array([self._store.index_of(rows.transcript_ids[i]) for i in np.sort(chosen)])

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Probe before the first step."""
        if trainer.global_step == 0:
            self._probe(trainer, module)

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *args: Any) -> None:
        """Probe if the step is due."""
        if trainer.global_step % self.every_n_steps == 0 and trainer.global_step != self._probed_step:
            self._probe(trainer, module)

    def _probe(self, trainer: Trainer, module: LightningModule) -> None:
        self._probed_step = trainer.global_step
        if not trainer.is_global_zero:
            return
        encoder: Any = module.encoder
        encoder.eval()
        scores = probe_features(self._embed(encoder), self._target, self._split).scores
        encoder.train()
        log_now(trainer, {f"probe/{self.task.name}/{name}": score for name, score in scores.items()})

    def _embed(self, encoder: MambaEncoder) -> NDArray[np.float32]:
        vectors_MD = np.empty((len(self._transcripts_M), encoder.d_model), dtype=np.float32)
        for some in batches(self._store.lengths[self._transcripts_M], self.token_budget):
            vectors_MD[some] = encode(
                encoder, [in_frame(encoder.cds_frame, self._store, int(i)) for i in self._transcripts_M[some]]
            )
        return vectors_MD


def take(target: Target, split: Split, rows: NDArray[np.int64]) -> tuple[Target, Split]:
    """The target and the split restricted to some ``rows`` (ascending), which are renumbered."""
    new = np.full(len(target.rows), -1)
    new[rows] = np.arange(len(rows))
    sides = {name: new[side][new[side] >= 0] for name, side in vars(split).items() if name != "seed"}
    return replace(target, values=target.values[rows], rows=target.rows[rows]), replace(split, **sides)
