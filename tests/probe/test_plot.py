import numpy as np
import pytest
from PIL import Image

from orthrus.probe.plot import draw_bars
from tests.probe.conftest import probe_document


def test_bars_and_numbers_of_every_panel_are_drawn(tmp_path):
    document = probe_document({"embedding": 0.6, "k-mer": 0.3})
    draw_bars(document, tmp_path / "bars.png")
    pixels = np.asarray(Image.open(tmp_path / "bars.png").convert("RGB")).astype(int)
    blue = (np.abs(pixels - [0x00, 0x72, 0xB2]).sum(axis=2) < 12).sum(axis=0)
    grey = (np.abs(pixels - [0xA7, 0xAF, 0xB8]).sum(axis=2) < 12).sum(axis=0)
    left = slice(0, pixels.shape[1] // 2)
    assert (blue[left] > 30).sum() > 1.7 * (grey[left] > 30).sum() > 50, "0.6 is a bar twice as long as 0.3"
    assert (blue[pixels.shape[1] // 2 :] > 30).any(), "the second panel has its bar too"


@pytest.mark.parametrize(
    ("fields", "title"),
    [
        ({"split": "family", "grouped_by": ["family_id", "gene_name"]}, "2 family-disjoint splits"),
        ({"split": "family", "grouped_by": ["gene_name"]}, "2 gene-disjoint splits"),
        ({"split": "homology", "grouped_by": ["gene_name", "homology"]}, "2 homology-disjoint splits"),
        ({"split": "kmer-cluster", "grouped_by": ["k-mer cluster"]}, "2 kmer-cluster-disjoint splits"),
        ({"split": "chromosome", "grouped_by": ["chromosome", "gene_name"]}, "2 chromosome-disjoint splits"),
        ({"split": "random", "grouped_by": ["row"]}, "2 random splits"),
        ({"split": "folds", "grouped_by": ["saluki_fold"]}, "2 given folds"),
    ],
)
def test_the_title_names_the_split_that_was_made(fields, title, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("orthrus.probe.plot.write_png", lambda chart, path: drawn.append(chart.to_dict()))
    draw_bars(probe_document({"embedding": 0.6}, **fields), tmp_path / "bars.png")
    assert drawn[0]["title"]["text"] == f"half_life (regression), 1,234 transcripts, {title}"
