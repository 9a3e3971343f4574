"""The LightningDataModule of pretraining: a store's transcripts, split by family, as batches of positive pairs.

Training reads an endless stream of planned epochs, so its length is set by ``trainer.max_steps``; validation reads one
plan, the same every time. A checkpoint keeps how many batches were trained on, and a resumed run goes on with the next.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from lightning import LightningDataModule
from torch.utils.data import DataLoader

from orthrus.errors import InputError
from orthrus.families import Split, split_of
from orthrus.loading.augment import Augmentation, MaskBases, MaskTracks
from orthrus.loading.batch import EndlessPlans, PairBatch, PairDataset
from orthrus.loading.plan import Planner
from orthrus.pairs import PairIndex
from orthrus.store import TranscriptStore


class PairDataModule(LightningDataModule):
    """Positive pairs of a transcript store.

    Args:
        store: folder made by ``orthrus prepare``.
        token_budget: padded positions (nt) of a batch on one rank, both views together.
        ortholog_probability: of drawing an ortholog where a transcript has isoforms too.
        graft_probability: of putting an ortholog's CDS between the UTRs of the base transcript; an ortholog that is
            a coding sequence only is always grafted.
        augmentations: applied to both views, in order. None: mask 30 % of bases and 30 % of the two annotation tracks.
        mlm_fraction: of the bases left, to be hidden and predicted by masked language modelling.
        base_species: species whose transcripts are the first of a pair; None: all.
        val_fraction: of families that are only validated on.
        test_fraction: of families that are kept from training and validation.
        seed: of pairs, batches and masks.
        num_workers: processes that build batches; 0 builds them in the training process.
    """

    def __init__(
        self,
        store: str,
        token_budget: int = 65_536,
        ortholog_probability: float = 0.5,
        graft_probability: float = 0.0,
        augmentations: Sequence[Augmentation] | None = None,
        mlm_fraction: float = 0.15,
        base_species: list[str] | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.0,
        seed: int = 0,
        num_workers: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (
            ("ortholog_probability", ortholog_probability),
            ("graft_probability", graft_probability),
            ("mlm_fraction", mlm_fraction),
            ("val_fraction + test_fraction", val_fraction + test_fraction),
        ):
            if not 0 <= value <= 1:
                raise InputError(f"data.{name} is {value}; expected a fraction between 0 and 1")
        self.token_budget, self.base_species, self.seed, self.num_workers = (
            token_budget,
            base_species,
            seed,
            num_workers,
        )
        self._probabilities = {
            "ortholog_probability": ortholog_probability,
            "graft_probability": graft_probability,
        }
        self._fractions = (val_fraction, test_fraction)
        self._augmentations: Sequence[Augmentation] = (
            [MaskBases(), MaskTracks()] if augmentations is None else augmentations
        )
        self._mlm_fraction = mlm_fraction
        self._trained_batches = 0
        self._store_path = store
        self._store: TranscriptStore | None = None

    def setup(self, stage: str | None = None) -> None:
        """Open the store and index its pairs."""
        if self._store is not None:
            return
        self._store = TranscriptStore.open(self._store_path)
        self._index = PairIndex(self._store)
        self._cds = self._store.cds
        self._side = split_of(self._store.family_names, *self._fractions)

    def train_dataloader(self) -> DataLoader[PairBatch]:
        """Endless batches of training families."""
        return self._loader("train", start=self._trained_batches)

    def val_dataloader(self) -> DataLoader[PairBatch]:
        """One plan of validation families."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[PairBatch]:
        """One plan of test families."""
        return self._loader("test")

    def state_dict(self) -> dict[str, Any]:
        """How many training batches a rank has been through."""
        assert self.trainer is not None
        return {"trained_batches": self.trainer.fit_loop.epoch_loop.total_batch_idx + 1}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the batches of a checkpoint."""
        self._trained_batches = int(state_dict["trained_batches"])

    def _loader(self, side: Split, start: int = 0) -> DataLoader[PairBatch]:
        assert self._store is not None
        planner = Planner(
            self._index,
            self._store.lengths,
            self._cds,
            self._bases(side),
            token_budget=self.token_budget,
            seed=self.seed,
            **self._probabilities,
        )
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        plans = (
            EndlessPlans(planner, rank, world_size, start) if side == "train" else planner.batches(0, rank, world_size)
        )
        return DataLoader(
            PairDataset(self._store, planner, self._augmentations, self._mlm_fraction),
            sampler=plans,
            batch_size=None,
            num_workers=self.num_workers,
            pin_memory=bool(self.trainer and self.trainer.strategy.root_device.type == "cuda"),
            persistent_workers=self.num_workers > 0,
        )

    def _bases(self, side: Split) -> np.ndarray:
        assert self._store is not None
        chosen = (self._side == side)[self._store.family]
        if self.base_species is not None:
            names = self._store.species_names
            unknown = set(self.base_species) - set(names)
            if unknown:
                raise InputError(
                    f"data.base_species names {', '.join(sorted(unknown))}, which {self._store.path} does not hold;"
                    f" it holds {', '.join(sorted(names))}"
                )
            chosen &= np.isin(names, self.base_species)[self._store.species]
        bases = np.flatnonzero(chosen)
        if len(bases) < 2:
            raise InputError(
                f"{len(bases)} transcripts of {self._store.path} are on the {side} side of the split by families;"
                f" at least 2 are needed: raise data.{side}_fraction or use a store of more families"
            )
        return bases
