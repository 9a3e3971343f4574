from itertools import islice
from pathlib import Path

import numpy as np
import torch

from orthrus.genome.codes import BASE_BITS, CDS_BIT
from orthrus.loading.augment import MaskBases
from orthrus.loading.batch import EndlessPlans, PairDataset
from orthrus.loading.plan import Planner
from orthrus.pairs import ORTHOLOG, PairIndex
from orthrus.store import TranscriptStore
from tests.builders import build_store


def make(path: Path, mlm_fraction: float = 0.0, **build: bool) -> tuple[TranscriptStore, Planner, PairDataset]:
    store = build_store(path / "store", n_genes=20, **build)
    cds = np.stack([store.transcripts[c].to_numpy() for c in ("cds_start", "cds_end")], axis=1)
    bases = np.flatnonzero(np.array(store.column("species")) == "human")
    planner = Planner(
        PairIndex(store),
        store.lengths,
        cds,
        bases,
        token_budget=4000,
        ortholog_probability=0.5,
        graft_probability=0.0,
        seed=0,
    )
    return store, planner, PairDataset(store, planner, [], mlm_fraction)


def test_views_are_the_transcripts_of_the_plan(tmp_path: Path) -> None:
    store, planner, dataset = make(tmp_path)
    plan = planner.batches(0)[0]
    batch = dataset[plan]
    rows = np.concatenate([plan.base_P, plan.partner_P])
    assert batch.codes_VL.dtype == torch.uint8
    for row, codes, length in zip(rows, batch.codes_VL.numpy(), batch.lengths_V.tolist(), strict=True):
        np.testing.assert_array_equal(codes[:length], store.codes(row))
        assert not codes[length:].any()
    assert batch.pair_kind_N.tolist() == plan.kind_P.tolist()
    assert not batch.targets_VL.any()


def test_orthologs_that_are_coding_sequences_wear_the_utrs_of_the_base(tmp_path: Path) -> None:
    store, planner, dataset = make(tmp_path, cds_only_species=True)
    checked = 0
    for plan in planner.batches(0):
        batch = dataset[plan]
        n = len(plan.base_P)
        for i in np.flatnonzero(plan.kind_P == ORTHOLOG):
            base = store.codes(plan.base_P[i])
            start, end = planner.cds[plan.base_P[i]]
            view = batch.codes_VL[n + i, : batch.lengths_V[n + i]].numpy()
            assert len(view) == len(base) - (end - start) + 60 + 3  # the base's stop codon stays
            np.testing.assert_array_equal(view[:start], base[:start])
            np.testing.assert_array_equal(view[-(len(base) - end) :], base[end:])
            np.testing.assert_array_equal(np.flatnonzero(view & CDS_BIT), np.arange(start, start + 63, 3))
            checked += 1
    assert checked > 5


def test_a_batch_is_the_same_whoever_builds_it(tmp_path: Path) -> None:
    _, planner, dataset = make(tmp_path, mlm_fraction=0.2)
    dataset._augmentations = [MaskBases(0.3)]
    plans = planner.batches(0)
    first = [dataset[plan] for plan in plans]
    again = [dataset[plan] for plan in reversed(plans)][::-1]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one.codes_VL, other.codes_VL)
        assert torch.equal(one.targets_VL, other.targets_VL)
    masked = first[0].codes_VL & BASE_BITS == 0
    assert not torch.equal(masked[: len(masked) // 2], masked[len(masked) // 2 :])  # the views differ


def test_endless_plans_go_on_where_a_run_stopped(tmp_path: Path) -> None:
    _, planner, _ = make(tmp_path)
    n = len(planner.batches(0))
    whole = [plan.seed for plan in islice(EndlessPlans(planner), 2 * n + 3)]
    for start in (1, n, n + 2):
        resumed = [plan.seed for plan in islice(EndlessPlans(planner, start=start), 2 * n + 3 - start)]
        assert resumed == whole[start:]
