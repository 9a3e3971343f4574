import json

import pytest

from orthrus.errors import InputError
from orthrus.probe.document import read_document
from tests.probe.conftest import probe_document


def test_a_document_is_read_as_it_was_written(tmp_path):
    document = probe_document({"embedding": 0.6, "k-mer": 0.3}, embeddings={"step": 10, "file": "e.parquet"})
    document.write(tmp_path / "metrics.json")
    assert read_document(tmp_path / "metrics.json") == document
    assert (document.subject, document.headline, document.step) == ("embedding", "pearson_r", 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "of version 3 .*format_version.*probe again"),
        ({"format_version": None}, "of version 3 .*format_version"),
        ({"metrics": "pearson_r"}, "metrics: input should be a valid array"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_another_version_or_another_document_is_refused(tmp_path, change, message):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(json.loads(probe_document({"embedding": 0.6}).model_dump_json()) | change))
    with pytest.raises(InputError, match=message):
        read_document(path)


def test_what_is_no_json_is_refused(tmp_path):
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(InputError, match="probe again"):
        read_document(tmp_path / "metrics.json")
    with pytest.raises(InputError, match="cannot be read"):
        read_document(tmp_path / "absent.json")
