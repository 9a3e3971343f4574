import numpy as np
import pandas as pd
import pytest

from orthrus.embedding.file import Embeddings
from orthrus.report.embedding_map import EmbeddingMap
from orthrus.report.map_chart import MAX_COLOURS, colourings, map_chart, map_table


def shown(n):
    return EmbeddingMap(np.arange(2.0 * n).reshape(n, 2), np.arange(n), None, None)


def named(ids, **columns):
    return Embeddings(tuple(ids), np.zeros((len(ids), 2), np.float32), {}, **columns)


def test_families_are_named_by_their_commonest_gene_and_told_apart_where_two_share_it():
    data = named("abcdef", family_id=("F1", "F1", "F1", "F2", "F3", None),
                 gene_name=("ACTB", "ACTB", "Actb", "TP53", "TP53", None))  # fmt: skip
    families = map_table(data, shown(6), None)["family"].tolist()
    assert families[:3] == ["ACTB"] * 3
    assert families[3:5] == ["TP53 (F2)", "TP53 (F3)"]
    assert pd.isna(families[5])


def test_the_store_gives_measures_of_its_transcripts(store, embeddings):
    table = map_table(embeddings, shown(len(embeddings)), store)
    i = 7
    assert table["length (nt)"][i] == store.lengths[i]
    sequence = store.sequence(i)
    assert table["GC share"][i] == pytest.approx((sequence.count("G") + sequence.count("C")) / len(sequence), abs=1e-3)
    start, end = store.cds[i]
    assert (table["5'UTR (nt)"][i], table["CDS (nt)"][i]) == (start, end - start)


def test_another_stores_measures_are_left_out(store):
    assert "length (nt)" not in map_table(named(["nobody"]), shown(1), store)


def test_columns_that_tell_points_apart_colour_the_map_and_the_rest_is_grey():
    table = pd.DataFrame({
        "x": range(30), "y": range(30), "transcript": [f"T{i}" for i in range(30)], "species": ["human"] * 30,
        "family": [f"F{i // 2}" for i in range(30)], "length (nt)": range(30), "5'UTR (nt)": [None, *range(29)],
    })  # fmt: skip
    found = colourings(table)
    assert list(found) == ["family", "length (nt)", "5'UTR (nt)"]
    family = found["family"]["condition"]
    assert len(family["scale"]["domain"]) == len(family["scale"]["range"]) == MAX_COLOURS
    assert found["5'UTR (nt)"]["condition"]["field"] == r"5\'UTR (nt)"
    assert 'isValid(datum["5\'UTR (nt)"])' in found["5'UTR (nt)"]["condition"]["test"]


def test_a_name_with_quotes_does_not_end_an_expression():
    evil = "'];alert(1)//"
    table = pd.DataFrame({"x": [0, 1], "y": [0, 1], "transcript": ["a", "b"], "gene": [evil, "B"]})
    assert '"\'];alert(1)//"' in colourings(table)["gene"]["condition"]["test"]
    assert map_chart(table).to_dict()["mark"]["type"] == "circle"
