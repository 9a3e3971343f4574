import numpy as np
from PIL import Image

from orthrus.probe.plot import draw_bars


def test_bars_and_numbers_of_every_panel_are_drawn(tmp_path):
    def scores(mean):
        return {"per_seed": [mean - 0.01, mean + 0.01], "mean": mean, "interval95": [mean - 0.02, mean + 0.02]}

    document = {
        "target": "half_life", "task": "regression", "counts": {"rows": 1234}, "seeds": [0, 1],
        "grouped_by": ["family_id"], "metrics": ["pearson_r", "r2"], "chance": {"pearson_r": 0.0, "r2": 0.0},
        "feature_sets": {
            name: {"scores": {"pearson_r": scores(mean), "r2": scores(mean**2)}}
            for name, mean in (("embedding", 0.6), ("k-mer", 0.3))
        },
    }  # fmt: skip
    draw_bars(document, tmp_path / "bars.png")
    pixels = np.asarray(Image.open(tmp_path / "bars.png").convert("RGB")).astype(int)
    blue = (np.abs(pixels - [0x00, 0x72, 0xB2]).sum(axis=2) < 12).sum(axis=0)
    grey = (np.abs(pixels - [0xB6, 0xBD, 0xC5]).sum(axis=2) < 12).sum(axis=0)
    left = slice(0, pixels.shape[1] // 2)
    assert (blue[left] > 30).sum() > 1.7 * (grey[left] > 30).sum(), "0.6 is a bar twice as long as 0.3"
    assert (blue[pixels.shape[1] // 2 :] > 30).any(), "the second panel has its bar too"
