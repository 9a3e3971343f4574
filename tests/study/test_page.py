import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.probe.document import CODON, RANDOM_INIT
from orthrus.study.document import FitResult, StudyDocument, TaskScores
from orthrus.study.page import _ticks, figures


@given(st.floats(1e-3, 1e3), st.floats(1.01, 9.9))
def test_ticks_are_few_round_numbers_in_the_range(low: float, ratio: float) -> None:
    ticks = _ticks([low * ratio, low])
    assert 2 <= len(ticks) <= 10
    assert low * (1 - 1e-5) <= ticks[0] < ticks[-1] <= low * ratio * (1 + 1e-5)
    assert all(len(f"{tick:.5g}".replace(".", "").strip("0")) <= 4 for tick in ticks)


def test_a_range_of_decades_has_the_ticks_of_its_axis() -> None:
    assert _ticks([0.01, 0.5]) == []


@pytest.mark.parametrize(("sizes", "shown"), [((100, 100), True), ((100, 900), False)])
def test_an_untrained_encoder_is_a_control_only_among_fits_of_one_size(sizes: tuple[int, int], shown: bool) -> None:
    scores = {"embedding": 0.5, CODON: 0.6, RANDOM_INIT: 0.4}
    fits = [
        FitResult(
            name=f"fit{i}", levels={"parameters": str(size)}, nucleotides=10.0 ** (6 + i), seed=0, parameters=size,
            validation={"val/loss": 3.8 - i / 10},
            tasks={"t": TaskScores(metric="pearson_r", chance=0, scores=scores, by_pretraining={})},
        )
        for i, size in enumerate(sizes)
    ]  # fmt: skip
    document = StudyDocument(
        recipe="r", axes={"parameters": ["a"]}, nucleotides=[1e6, 1e7], seeds=[0], fits=fits, laws=[], missing=[]
    )
    figure = next(each for each in figures(document) if each.title == "t by nucleotides")
    assert (RANDOM_INIT in json.dumps(figure.chart.to_dict())) == shown
    assert CODON in json.dumps(figure.chart.to_dict())
