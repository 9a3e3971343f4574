import json
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orthrus.errors import InputError
from orthrus.report.page import headlines, write_report
from tests.report.test_run_folder import write_metrics

EVIL = "<b>&evil</b>"
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks that tags close in order; collects tags, attributes, texts and headings."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.texts, self.attributes, self.headings = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings.append((self.open[-1], data))

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def page(run_folder):
    path = write_report(run_folder, notes=[f"apes are alike {EVIL}"])
    assert path == run_folder / "report.html"
    return path.read_text(encoding="utf-8")


def test_the_page_asks_nothing_of_the_network(page):
    parsed = Page(page)
    assert not {"link", "iframe", "img", "object"} & set(parsed.tags)
    assert not [value for _, name, value in parsed.attributes if name in ("src", "href", "srcset", "data")]
    without_scripts = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    for forbidden in ("url(", "@import", "http://", "https://"):
        assert forbidden not in without_scripts


def test_headings_tables_and_drawings_can_be_read_aloud(page):
    parsed = Page(page)
    levels = [int(level[1]) for level, _ in parsed.headings]
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 2
    labels = [value for tag, name, value in parsed.attributes if tag == "div" and name == "aria-label"]
    assert any("Loss by optimiser step: training 2.5 to 1, validation 3 to 1.5" in text for text in labels)
    assert page.count('class="chart"') == len(charts(page)) > 5


def charts(page):
    return json.loads(re.search(r'id="charts">(.*?)</script>', page, re.DOTALL)[1])


def test_every_curve_has_its_unit_and_a_sentence(page):
    curves = [each for each in charts(page) if "layer" in each["spec"] and each["title"] in ("Loss", "Throughput")]
    assert len(curves) == 2
    for each in curves:
        assert each["spec"]["layer"][0]["encoding"]["y"]["title"] in (
            "weighted sum of the objectives",
            "nucleotides a second",
        )
    assert page.count("<figcaption>") > 5
    assert "<figcaption></figcaption>" not in page


def test_the_headline_is_of_each_kind_of_pair_and_self_pairs_are_no_part_of_it(run_folder, page):
    (line,) = (line for line in headlines(run_folder) if line.startswith("Retrieval"))
    assert (
        line == "Retrieval of splice isoforms: 50% (of held-out families, step 19; untrained encoder 10%, chance 0.4%)"
    )
    assert "87%" not in page, "three quarters of all pairs are a transcript and itself"


def test_the_page_holds_every_part(page):
    text = Page(page).text
    for expected in (
        "my-run", "50%", "y, Pearson R", "above k-mer",
        "Linear probes beside their controls", "random-init is missing: not given", "A map of the embedding",
        "MambaEncoder", "learning rate 0.001", "max steps 20", "375 transcripts in 150 groups", "seed_everything: 0",
        "ortholog gene pairs 75", "val/retrieval_top1_splice",
    ):  # fmt: skip
        assert expected in text, expected
    assert "Not on this page" not in text


def test_text_from_outside_is_escaped(page):
    assert "apes are alike &lt;b&gt;&amp;evil&lt;/b&gt;" in page
    assert EVIL not in page


def test_light_and_dark_and_narrow_screens_are_provided_for(page):
    assert "prefers-color-scheme: dark" in page
    assert "width=device-width" in page
    assert "max-width: 34rem" in page


def test_missing_pieces_are_named_on_the_page(tmp_path):
    write_metrics(tmp_path / "metrics.csv", [0, 10], val__loss=[3, 2])
    text = Page(write_report(tmp_path, tmp_path / "sub/page.html").read_text()).text
    assert "Not on this page" in text
    for piece in ("no config.yaml", "no embeddings*.parquet", "no probe's metrics.json", "Data provenance"):
        assert piece in text


def test_too_few_embeddings_are_named(tmp_path):
    pq.write_table(pa.table({"transcript_id": ["a"], "embedding": [[1.0]]}), tmp_path / "embeddings.parquet")
    assert "1 transcripts are too few for one" in Page(write_report(tmp_path).read_text()).text


def test_the_gradient_of_a_step_that_was_left_out_is_no_error(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,train/grad_norm\n0,0.5\n1,inf\n2,nan\n3,0.25\n")
    assert "radient" in write_report(tmp_path).read_text()


def test_no_page_replaces_a_file_of_another_kind(tmp_path):
    (tmp_path / "config.yaml").write_text("seed_everything: 0\n")
    with pytest.raises(InputError, match=r"ends in '\.yaml'; expected \.html"):
        write_report(tmp_path, tmp_path / "config.yaml")
    assert (tmp_path / "config.yaml").read_text() == "seed_everything: 0\n"


def test_an_empty_folder_writes_nothing(tmp_path):
    with pytest.raises(InputError, match="nothing to report"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_earlier_page(tmp_path, monkeypatch):
    write_metrics(tmp_path / "metrics.csv", [0], val__loss=[3])
    page = write_report(tmp_path)
    before = page.read_text()

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pathlib.Path.replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_report(tmp_path)
    assert page.read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "report.html"]
