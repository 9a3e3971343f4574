"""Labelled transcripts of a task as batches of similar length: training, validation and test sides of one split.

Rows, targets and splits are those of the probe (:func:`orthrus.probe.rows.choose_rows`), so scores are comparable.
"""

from typing import NamedTuple

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from orthrus.embedding.embed import batches, in_frame
from orthrus.errors import InputError
from orthrus.genome.codes import CdsFrame
from orthrus.loading.batch import pad
from orthrus.messages import messages
from orthrus.probe.labels import Labels, read_labels
from orthrus.probe.rows import ProbeRows, choose_rows, report_dropped_rows
from orthrus.probe.splits import Split
from orthrus.probe.targets import Target
from orthrus.probe.tasks import read_task
from orthrus.store import TranscriptStore

Plan = list[NDArray[np.int64]]
"""The rows of each batch."""

_CHUNK_BATCHES = 20  # batches of similar length are cut from chunks of this many, drawn anew every epoch


class LabelledBatch(NamedTuple):
    """B labelled transcripts, codes right-padded with 0."""

    codes_BL: Tensor
    lengths_B: Tensor
    targets_BT: Tensor
    """float32, in the labels' units."""
    rows_B: Tensor
    """int64, rows of the data module's target."""


class LabelledDataModule(LightningDataModule):
    """Labelled transcripts of a task.

    Args:
        task: a probe's task (YAML).
        store: folder made by ``orthrus prepare``, with the transcripts of the labels.
        token_budget: padded nt of a batch, which gives its size.
        n_splits: number of the task's splits; a probe's default is 10.
        split: number of the split, from 0; ``orthrus finetune`` sets it for each run.
        num_workers: processes that build batches.
    """

    def __init__(
        self, task: str, store: str, token_budget: int = 32_768, n_splits: int = 3, split: int = 0, num_workers: int = 0
    ) -> None:
        super().__init__()
        for name, value, least in (
            ("token_budget", token_budget, 1), ("n_splits", n_splits, 1), ("num_workers", num_workers, 0)
        ):  # fmt: skip
            if value < least:
                raise InputError(f"data.{name} is {value}; expected {least} or more")
        self.cds_frame: CdsFrame = "annotated"
        """The frame of codons that the network reads."""
        self.spec = read_task(task)
        self.store = TranscriptStore.open(store)
        self.token_budget, self.n_splits, self.num_workers, self._split = token_budget, n_splits, num_workers, split
        self.labels: Labels = read_labels(self.spec.labels, self.spec.targets, self.spec.id_column)
        ids = self.store.column("transcript_id")
        self.rows: ProbeRows = choose_rows(
            self.labels, self.spec, self.store.transcripts, {"store": ids}, n_splits, self.store
        )
        index = {name: i for i, name in enumerate(ids)}
        self.transcripts = np.array([index[name] for name in self.rows.transcript_ids], dtype=np.int64)

    @property
    def target(self) -> Target:
        """The target to predict."""
        return self.rows.target

    @property
    def split(self) -> Split:
        """The sides of this run's split."""
        return self.rows.splits[self._split]

    def report_dropped(self) -> None:
        """Print which labels were dropped, and why."""
        report_dropped_rows(self.labels, self.rows, messages())

    def train_dataloader(self) -> DataLoader[LabelledBatch]:
        """Training rows in random batches of similar length, drawn anew every epoch."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return self._loader(random_batches(self.split.train, self._lengths, self.token_budget, (self._split, epoch)))

    def val_dataloader(self) -> DataLoader[LabelledBatch]:
        """Validation rows."""
        return self._loader(self._by_length(self.split.validation))

    def test_dataloader(self) -> DataLoader[LabelledBatch]:
        """Test rows."""
        return self._loader(self._by_length(self.split.test))

    predict_dataloader = test_dataloader

    @property
    def _lengths(self) -> NDArray[np.int64]:
        return self.store.lengths[self.transcripts]

    def _by_length(self, rows: NDArray[np.int64]) -> Plan:
        return [rows[batch] for batch in batches(self._lengths[rows], self.token_budget)]

    def _loader(self, plan: Plan) -> DataLoader[LabelledBatch]:
        return DataLoader(_LabelledRows(self, plan), batch_size=None, num_workers=self.num_workers)


class _LabelledRows(Dataset[LabelledBatch]):
    """The batches of a plan, in its order."""

    def __init__(self, data: LabelledDataModule, plan: Plan) -> None:
        self._store, self._frame, self._plan = data.store, data.cds_frame, plan
        self._transcripts, self._values = data.transcripts, data.target.values

    def __len__(self) -> int:
        return len(self._plan)

    def __getitem__(self, number: int) -> LabelledBatch:
        rows = self._plan[number]
        codes_BL, lengths_B = pad([in_frame(self._frame, self._store, int(i)) for i in self._transcripts[rows]])
        targets_BT = torch.from_numpy(self._values[rows]).float()
        codes_and_lengths = torch.from_numpy(codes_BL), torch.from_numpy(lengths_B)
        return LabelledBatch(*codes_and_lengths, targets_BT, torch.from_numpy(rows))


def random_batches(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], token_budget: int, seed: tuple[int, ...]
) -> Plan:
    """The ``rows``, once each, in random batches of similar length; ``lengths`` are those of all rows of the target."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(rows)
    n_chunks = max(1, int(lengths[rows].sum()) // (_CHUNK_BATCHES * token_budget))
    plan = [
        chunk[batch] for chunk in np.array_split(order, n_chunks) for batch in batches(lengths[chunk], token_budget)
    ]
    return [plan[i] for i in generator.permutation(len(plan))]
