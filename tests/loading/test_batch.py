import pickle

import numpy as np
import pytest
import torch

from orthrus.genome.codes import BASE_BITS
from orthrus.loading.augment import Augmentation, MaskBases
from orthrus.loading.batch import PairDataset
from orthrus.loading.hidden import ANNOTATION_TARGET
from orthrus.loading.views import Graft
from orthrus.store import TranscriptStore
from orthrus.store.pairs import PairKind
from tests.loading.test_plan import planner
from tests.oracles import loading as oracle


def test_views_are_the_transcripts_of_the_plan(stores: dict[str, TranscriptStore]) -> None:
    store = stores["like"]
    for plan in planner(store).window(0, 0):
        batch = PairDataset(store)[plan]
        assert batch.codes_VL.dtype == torch.uint8
        rows = np.concatenate([plan.base_N, plan.partner_N])
        for row, codes, length in zip(rows, batch.codes_VL.numpy(), batch.lengths_V.tolist(), strict=True):
            np.testing.assert_array_equal(codes[:length], store.codes(row))
            assert not codes[length:].any()
        assert batch.pair_kind_N.tolist() == plan.kind_N.tolist()
        assert batch.family_N.tolist() == plan.family_N.tolist()
        assert not batch.targets_VL.any()


def test_orthologs_that_are_coding_sequences_wear_the_utrs_of_the_base(stores: dict[str, TranscriptStore]) -> None:
    store = stores["grafted"]
    checked = 0
    for plan in planner(store, rearrangements=[Graft()]).window(0, 0):
        batch = PairDataset(store)[plan]
        n = len(plan.base_N)
        for i in np.flatnonzero((plan.kind_N == PairKind.ORTHOLOG) & (store.cds[plan.base_N, 0] > 0)):
            base, partner = plan.base_N[i], plan.partner_N[i]
            view = batch.codes_VL[n + i, : batch.lengths_V[n + i]].numpy()
            expected = oracle.graft(store.codes(base), store.cds[base], store.codes(partner), store.cds[partner])
            np.testing.assert_array_equal(view, expected)
            checked += 1
    assert checked > 5


def test_a_batch_is_the_same_whoever_builds_it(stores: dict[str, TranscriptStore]) -> None:
    store = stores["like"]
    dataset = PairDataset(store, [MaskBases(0.3)], mlm_fraction=0.2, annotation_fraction=0.2)
    plans = planner(store).window(0, 0)
    first = [dataset[plan] for plan in plans]
    elsewhere = pickle.loads(pickle.dumps(dataset))
    again = [elsewhere[pickle.loads(pickle.dumps(plan))] for plan in reversed(plans)][::-1]
    for one, other in zip(first, again, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(one, other, strict=True))
    masked = first[0].codes_VL & BASE_BITS == 0
    assert not torch.equal(masked[: len(masked) // 2], masked[len(masked) // 2 :])  # the views differ


def test_a_worker_is_sent_the_name_of_a_store_not_its_codes(stores: dict[str, TranscriptStore]) -> None:
    dataset = PairDataset(stores["wide"])
    assert len(stores["wide"].all_codes) > 10_000
    assert len(pickle.dumps(dataset)) < 2_000


class Scramble(Augmentation):
    """Leaves nothing of what it is given."""

    def __call__(self, codes_VL: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        return np.zeros_like(codes_VL)


@pytest.mark.parametrize("augmentations", [[], [Scramble()]])
def test_no_augmentation_changes_what_is_to_be_predicted(
    stores: dict[str, TranscriptStore], augmentations: list[Augmentation]
) -> None:
    store = stores["like"]
    plan = planner(store).window(0, 0)[0]
    plain = PairDataset(store)[plan]
    batch = PairDataset(store, augmentations, mlm_fraction=1.0, annotation_fraction=1.0)[plan]
    assert not batch.codes_VL.any()
    asked = batch.targets_VL & ANNOTATION_TARGET > 0
    assert torch.equal(asked.sum(dim=1), batch.lengths_V)
    assert torch.equal(batch.targets_VL & (ANNOTATION_TARGET - 1), plain.codes_VL)
