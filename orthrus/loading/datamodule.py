"""The LightningDataModule of pretraining: a store's transcripts, split by family, as batches of positive pairs.

Training reads an endless stream of planned epochs, so its length is set by ``trainer.max_steps``; validation reads the
same plan every time. A checkpoint stores the place of the next batch and the settings that the stream depends on; a
resumed run continues with that batch for any number of workers. With accumulated gradients this is exact for
checkpoints written after an optimizer step, as ours are, because checkpoints do not contain gradients.
"""

import hashlib
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from orthrus.errors import InputError
from orthrus.genome.codes import CdsFrame
from orthrus.loading.augment import Augmentation, MaskBases, MaskTracks
from orthrus.loading.batch import PairBatch, PairDataset
from orthrus.loading.draws import check_fraction
from orthrus.loading.lightning_internals import trained_batches
from orthrus.loading.plan import START, Place, Planner
from orthrus.loading.stream import EndlessPlans
from orthrus.loading.views import Crop, Graft, Rearrangement
from orthrus.loading.workers import leave_signals_to_the_parent
from orthrus.store import TranscriptStore
from orthrus.store.families import Split, split_of
from orthrus.store.pairs import PairIndex


class PairDataModule(LightningDataModule):
    """Positive pairs of a transcript store.

    Args:
        store: folder made by ``orthrus prepare``.
        token_budget: padded positions (nt) of a batch on one rank, all views together.
        views: 2: training batches hold both views of a pair; 1: one of them, for objectives without a contrastive term,
            which then see twice as many transcripts in a step. Validation always takes both, to follow the retrieval of
            partners.
        ortholog_probability: probability of drawing an ortholog if a transcript also has isoforms.
        rearrangements: rearrangements of UTRs and CDS, in order, which may change lengths. None: an ortholog that is
            only a coding sequence is put between the UTRs of the base transcript, and the two views of a transcript
            without another partner are random windows of it.
        augmentations: augmentations of the codes of both views, in order. None: mask 30 % of bases and 30 % of the two
            annotation tracks.
        mlm_fraction: fraction of bases that are hidden and predicted by masked language modelling.
        annotation_fraction: fraction of positions whose CDS and splice bits are hidden and predicted.
        base_species: species whose transcripts are the first of a pair; None: all.
        val_fraction: fraction of families that are used for validation only.
        test_fraction: fraction of families that are used neither for training nor for validation.
        seed: seed of pairs, batches and masks.
        num_workers: processes that build batches; 0 builds them in the training process.
        accept_changes: resume from a checkpoint although its batches were drawn with other settings, with the next
            epoch.
    """

    def __init__(
        self,
        store: str,
        token_budget: int = 65_536,
        views: int = 2,
        ortholog_probability: float = 0.5,
        rearrangements: Sequence[Rearrangement] | None = None,
        augmentations: Sequence[Augmentation] | None = None,
        mlm_fraction: float = 0.15,
        annotation_fraction: float = 0.0,
        base_species: list[str] | None = None,
        val_fraction: float = 0.1,
        test_fraction: float = 0.0,
        seed: int = 0,
        num_workers: int = 0,
        accept_changes: bool = False,
    ) -> None:
        super().__init__()
        for name, number, least in (
            ("token_budget", token_budget, 1),
            ("seed", seed, 0),
            ("num_workers", num_workers, 0),
        ):
            if number < least:
                raise InputError(f"data.{name} is {number}; expected {least} or more")
        if views not in (1, 2):
            raise InputError(f"data.views is {views}; expected 1, or 2 for objectives with a contrastive term")
        for name, value in (
            ("ortholog_probability", ortholog_probability),
            ("mlm_fraction", mlm_fraction),
            ("annotation_fraction", annotation_fraction),
            ("val_fraction + test_fraction", val_fraction + test_fraction),
        ):
            check_fraction(value, f"data.{name}")
        self.token_budget, self.ortholog_probability, self.seed = token_budget, ortholog_probability, seed
        self.views = views
        self.rearrangements = [Graft(), Crop()] if rearrangements is None else list(rearrangements)
        self.augmentations = [MaskBases(), MaskTracks()] if augmentations is None else list(augmentations)
        self.mlm_fraction, self.annotation_fraction = mlm_fraction, annotation_fraction
        self.base_species, self.val_fraction, self.test_fraction = base_species, val_fraction, test_fraction
        self.num_workers, self.accept_changes = num_workers, accept_changes
        self._store_path = store
        self._store: TranscriptStore | None = None
        self._stream: EndlessPlans | None = None
        self._resumed: dict[str, Any] | None = None

    def setup(self, stage: str | None = None) -> None:
        """Open the store and index its pairs."""
        if self._store is None:
            self._store = TranscriptStore.open(self._store_path)
            self._index = PairIndex(self._store)

    @property
    def cds_frame(self) -> CdsFrame:
        """Where codons begin in the store."""
        assert self._store is not None
        return self._store.cds_frame

    def train_dataloader(self) -> DataLoader[PairBatch]:
        """Endless batches of training families; raises InputError if a checkpoint's were drawn with other settings."""
        number, place = self._begin()
        self._stream = EndlessPlans(
            self._planner("train"), place, number, self._trained_batches if self.trainer else None
        )
        return self._loader(self._stream)

    def val_dataloader(self) -> DataLoader[PairBatch]:
        """One plan of validation families."""
        return self._loader(self._one_epoch("val", self.trainer.limit_val_batches if self.trainer else None))

    def test_dataloader(self) -> DataLoader[PairBatch]:
        """One plan of test families."""
        return self._loader(self._one_epoch("test", self.trainer.limit_test_batches if self.trainer else None))

    def drawn_from(self) -> dict[str, Any]:
        """All settings that the training batches depend on, as plain values."""
        assert self._store is not None
        sums = "".join(file["sha256"] for _, file in sorted(self._store.meta["files"].items()))
        return {
            "store": hashlib.sha256(sums.encode()).hexdigest()[:16],
            "world_size": self.trainer.world_size if self.trainer else 1,
            "seed": self.seed,
            "token_budget": self.token_budget,
            "views": self.views,
            "ortholog_probability": self.ortholog_probability,
            "rearrangements": [_described(each) for each in self.rearrangements],
            "augmentations": [_described(each) for each in self.augmentations],
            "mlm_fraction": self.mlm_fraction,
            "annotation_fraction": self.annotation_fraction,
            "base_species": self.base_species,
            "val_fraction": self.val_fraction,
            "test_fraction": self.test_fraction,
        }

    def state_dict(self) -> dict[str, Any]:
        """The number of batches a rank was trained on, the place of the next, and the settings they depend on."""
        if self._stream is None:
            return {}
        number = self._trained_batches()
        return {"trained_batches": number, "place": list(self._stream.place(number)), "drawn_from": self.drawn_from()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Begin training with the batch of a checkpoint."""
        self._resumed = state_dict

    @property
    def goes_on_in_another_store(self) -> bool:
        """Whether the checkpoint that training goes on from was made on another store."""
        return self._resumed is not None and self._resumed["drawn_from"]["store"] != self.drawn_from()["store"]

    def _begin(self) -> tuple[int, Place]:
        """The number and the place of the batch that training begins with."""
        if self._resumed is None:
            return 0, START
        number, place = self._resumed["trained_batches"], Place(*self._resumed["place"])
        before, now = self._resumed["drawn_from"], self.drawn_from()
        changed = [name for name in now if before.get(name) != now[name]]
        if not changed:
            return number, place
        if not self.accept_changes:
            differences = "; ".join(f"{name} was {before.get(name)}, is {now[name]}" for name in changed)
            raise InputError(
                f"the checkpoint's batches were drawn from something else ({differences}), so this would not be the run"
                " that was interrupted: restore that, or pass --data.accept_changes true to go on with the next epoch"
            )
        return number, Place(place.epoch + 1, 0, 0)

    def _trained_batches(self) -> int:
        """The number of training batches that a rank has finished, over the whole run."""
        assert self.trainer is not None
        return trained_batches(self.trainer)

    def _planner(self, side: Split) -> Planner:
        assert self._store is not None
        try:
            return Planner(
                self._store,
                self._index,
                self._bases(side),
                token_budget=self.token_budget,
                ortholog_probability=self.ortholog_probability,
                rearrangements=self.rearrangements,
                views=self.views if side == "train" else 2,
                seed=self.seed,
                rank=self.trainer.global_rank if self.trainer else 0,
                world_size=self.trainer.world_size if self.trainer else 1,
            )
        except InputError as error:
            fractions = f"data.val_fraction {self.val_fraction}, data.test_fraction {self.test_fraction}"
            reason = str(error)
            if side != "train" and getattr(self, f"{side}_fraction") == 0:
                reason = f"0 transcripts of 0 families; raise data.{side}_fraction to, say, 0.1"
            raise InputError(f"{side} side of {self._store.path} split by families ({fractions}): {reason}") from None

    def _one_epoch(self, side: Split, limit: float | None) -> list[Any]:
        """The plans of an epoch, at most ``limit`` if that is a number of batches and not a share."""
        return list(islice(self._planner(side).epoch(0), limit if isinstance(limit, int) else None))

    def _loader(self, plans: Any) -> DataLoader[PairBatch]:
        assert self._store is not None
        return DataLoader(
            PairDataset(self._store, self.augmentations, self.mlm_fraction, self.annotation_fraction),
            sampler=plans,
            batch_size=None,
            num_workers=self.num_workers,
            pin_memory=bool(self.trainer and self.trainer.strategy.root_device.type == "cuda"),
            persistent_workers=self.num_workers > 0,
            worker_init_fn=leave_signals_to_the_parent,
        )

    def _bases(self, side: Split) -> NDArray[np.int64]:
        """The transcripts that are the first of a pair, ascending."""
        assert self._store is not None
        chosen = (split_of(self._store.family_names, self.val_fraction, self.test_fraction) == side)[self._store.family]
        if self.base_species is not None:
            known = self._store.species_names
            unknown = set(self.base_species) - set(known)
            if unknown:
                raise InputError(
                    f"data.base_species names {', '.join(sorted(unknown))}, which {self._store.path} does not hold;"
                    f" it holds {', '.join(sorted(known))}"
                )
            wanted = np.array([name in self.base_species for name in known])
            chosen &= wanted[self._store.species]
        return np.flatnonzero(chosen)


def _described(augmentation: object) -> str:
    """An augmentation and its settings as text, the same in every process."""
    settings = ", ".join(f"{name}={value}" for name, value in sorted(vars(augmentation).items()))
    return f"{type(augmentation).__name__}({settings})"
