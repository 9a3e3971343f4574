from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.loading.plan import Place, Planner
from orthrus.loading.stream import EndlessPlans
from orthrus.store import TranscriptStore
from tests.loading.test_plan import planner

N = 60


@pytest.fixture(params=[4, 256])
def plans(
    request: pytest.FixtureRequest, stores: dict[str, TranscriptStore], monkeypatch: pytest.MonkeyPatch
) -> Planner:
    """Windows of a few batches and of a whole epoch."""
    monkeypatch.setattr("orthrus.loading.plan._STEPS_A_WINDOW", request.param)
    return planner(stores["wide"], budget=8000)


def seeds(stream: EndlessPlans, n: int) -> list[Any]:
    return [plan.seed for plan in islice(stream, n)]


def test_the_stream_is_the_windows_of_all_epochs_in_turn(plans: Planner) -> None:
    expected = [plan.seed for epoch in range(4) for plan in plans.epoch(epoch)]
    n = len(expected)
    assert n > N
    assert seeds(EndlessPlans(plans), n) == expected


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trained=st.integers(0, N - 10), ahead=st.integers(0, 9))
def test_a_stream_goes_on_from_the_place_of_any_batch_whatever_was_asked_in_advance(
    plans: Planner, trained: int, ahead: int
) -> None:
    whole = seeds(EndlessPlans(plans), N)
    stopped = EndlessPlans(plans)
    seeds(stopped, trained + ahead)
    place = stopped.place(trained)
    assert seeds(EndlessPlans(plans, place, trained), N - trained) == whole[trained:]
    assert EndlessPlans(plans, place, trained).place(trained) == place


def test_a_new_iteration_begins_where_training_is(plans: Planner) -> None:
    whole = seeds(EndlessPlans(plans), N)
    trained = 0
    stream = EndlessPlans(plans, position=lambda: trained)
    found = []
    for steps in (7, 0, 20, 1):  # each iteration is asked for three batches too many
        found += seeds(stream, steps + 3)[:steps]
        trained += steps
    assert found == whole[:28]


def test_a_place_far_on_plans_one_window(plans: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    planned = []
    window = plans.window
    monkeypatch.setattr(plans, "window", lambda *place: planned.append(place) or window(*place))
    seeds(EndlessPlans(plans, Place(1000, plans.n_windows - 1, 1), 123_456), 1)
    assert planned in ([(1000, plans.n_windows - 1)], [(1000, plans.n_windows - 1), (1001, 0)])


def test_a_stream_that_would_never_find_a_batch_ends_in_a_line(stores: dict[str, TranscriptStore]) -> None:
    store = stores["one family above all"]
    alone = np.flatnonzero(store.family != 0)[:1]
    bases = np.concatenate([np.flatnonzero(store.family == 0)[:4], alone])
    barren = planner(store, budget=4000, bases=bases)
    barren.window = lambda epoch, window: []  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"no batch of pairs of two families came of the 5 transcripts"):
        next(iter(EndlessPlans(barren)))
