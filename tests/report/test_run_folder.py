import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orthrus.errors import InputError
from orthrus.report.run_folder import config_of_checkpoint, read_run_folder
from tests.probe.conftest import probe_document


def write_metrics(path, steps, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    names = {name: name.replace("__", "/") for name in columns}
    rows = [["step", "epoch", *names.values()]]
    rows += [[step, 0, *(columns[name][i] for name in names)] for i, step in enumerate(steps)]
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")


def test_curves_skip_the_blanks_between_training_and_validation_rows(tmp_path):
    write_metrics(tmp_path / "metrics.csv", [0, 9, 9, 19], val__loss=[3.0, "", 2.0, ""], train__loss=["", 2.5, "", 1.5])
    curves = read_run_folder(tmp_path).curves
    assert curves["val/loss"].to_dict() == {0: 3.0, 9: 2.0}
    assert curves["train/loss"].to_dict() == {9: 2.5, 19: 1.5}
    assert set(curves) == {"val/loss", "train/loss"}


def test_a_resumed_run_goes_on_where_the_later_log_begins(tmp_path):
    write_metrics(tmp_path / "metrics/version_9/metrics.csv", [0, 10, 20], val__loss=[3, 2, 1.9])
    write_metrics(tmp_path / "metrics/version_10/metrics.csv", [20, 30], val__loss=[1.5, 1])
    assert read_run_folder(tmp_path).curves["val/loss"].to_dict() == {0: 3, 10: 2, 20: 1.5, 30: 1}


def test_the_curves_of_fine_tuning_within_the_run_are_its_own(tmp_path):
    write_metrics(tmp_path / "metrics/version_0/metrics.csv", [0, 10], val__loss=[3, 2])
    write_metrics(tmp_path / "finetune/split_0/metrics/version_0/metrics.csv", [0, 10], val__loss=[0.5, 0.4])
    assert read_run_folder(tmp_path).curves["val/loss"].to_dict() == {0: 3, 10: 2}


def test_a_run_begun_anew_replaces_the_earlier_one(tmp_path):
    write_metrics(tmp_path / "metrics/version_0/metrics.csv", [0, 10, 20], val__loss=[9, 9, 9])
    write_metrics(tmp_path / "metrics/version_1/metrics.csv", [0, 10], val__loss=[3, 2])
    assert read_run_folder(tmp_path).curves["val/loss"].to_dict() == {0: 3, 10: 2}


def test_a_value_that_is_not_a_number_is_left_out(tmp_path):
    write_metrics(tmp_path / "metrics.csv", [0, 10], val__loss=["nan", 2])
    assert read_run_folder(tmp_path).curves["val/loss"].to_dict() == {10: 2}


def test_everything_absent_is_named_with_the_command_that_makes_it(tmp_path):
    write_metrics(tmp_path / "metrics.csv", [0], val__loss=[1])
    run = read_run_folder(tmp_path)
    missing = "\n".join(run.missing)
    for piece in ("config.yaml", "orthrus embed", "orthrus probe", "Data provenance"):
        assert piece in missing
    assert "metrics.csv" not in missing


def test_probes_are_found_at_any_depth_and_other_json_is_not_one(tmp_path):
    for name in ("probe/a", "deep/er/b"):
        (tmp_path / name).mkdir(parents=True)
        probe_document({"embedding": 0.6}).write(tmp_path / name / "metrics.json")
    (tmp_path / "metrics.json").write_text("{}")
    assert set(read_run_folder(tmp_path).probes) == {"probe/a", "deep/er/b"}


def test_the_embeddings_with_most_species_are_mapped_and_the_others_named(tmp_path):
    for name, species in (("embeddings.parquet", ["human"] * 3), ("embeddings_apes.parquet", ["human", "chimp", "x"])):
        columns = {"transcript_id": list("abc"), "embedding": list(np.eye(3)), "species": species}
        pq.write_table(pa.table(columns), tmp_path / name)
    run = read_run_folder(tmp_path)
    assert run.embeddings.metadata["file"] == str(tmp_path / "embeddings_apes.parquet")
    assert run.other_embeddings == ("embeddings.parquet",)


@pytest.mark.parametrize("data", ["{store: STORE}", "{class_path: x.Data, init_args: {store: STORE}}"])
def test_the_store_of_the_configuration_gives_provenance(tmp_path, store, data):
    (tmp_path / "config.yaml").write_text(f"data: {data.replace('STORE', str(store.path))}\n")
    run = read_run_folder(tmp_path)
    assert run.store["counts"]["transcripts"] == 375
    (tmp_path / "config.yaml").write_text("data: {store: gone}\n")
    assert "Data provenance: no store at gone." in read_run_folder(tmp_path).missing


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.yaml", "a: [", "no valid YAML"),
        ("p/metrics.json", "{", "no valid JSON"),
        ("metrics.csv", "", "cannot be read as a table"),
        ("embeddings.parquet", "", "not a readable Parquet"),
    ],
)
def test_a_broken_piece_is_a_named_error(tmp_path, name, content, message):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as error:
        read_run_folder(tmp_path)
    assert name in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_with_none_of_it_and_no_folder_are_errors(tmp_path):
    with pytest.raises(InputError, match="nothing to report"):
        read_run_folder(tmp_path)
    with pytest.raises(InputError, match="no folder"):
        read_run_folder(tmp_path / "absent")


def test_only_a_checkpoint_of_a_run_has_its_configuration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.yaml").write_text("data: {store: of-another-run}\n")
    assert config_of_checkpoint(tmp_path / "checkpoints/last.ckpt") == {"data": {"store": "of-another-run"}}
    assert config_of_checkpoint("checkpoints/last.ckpt") == {"data": {"store": "of-another-run"}}
    assert not config_of_checkpoint("orthrus-codon")  # a model's name
    assert not config_of_checkpoint(tmp_path / "share/encoder")
    assert not config_of_checkpoint(None)
