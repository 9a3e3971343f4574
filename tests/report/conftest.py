"""Pages are made of the probes' store and embeddings."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orthrus.probe.run import run_probe
from orthrus.probe.targets import Task
from orthrus.probe.tasks import TaskSpec
from tests.probe.conftest import embeddings, store
from tests.report.test_run_folder import write_metrics

__all__ = ["embeddings", "store"]


@pytest.fixture(scope="package")
def run_folder(tmp_path_factory, store, embeddings):
    """A run with everything that a page shows."""
    folder = tmp_path_factory.mktemp("runs") / "my-run"
    folder.mkdir()
    (folder / "config.yaml").write_text(
        f"seed_everything: 0\ntrainer: {{max_steps: 20, logger: null}}\ndata: {{store: '{store.path}'}}\n"
        "model:\n  encoder: {class_path: orthrus.MambaEncoder, init_args: {d_model: 16}}\n  learning_rate: 0.001\n"
    )
    write_metrics(
        folder / "metrics/version_0/metrics.csv", [0, 9, 19], val__loss=[3, "", 1.5], train__loss=["", 2.5, 1],
        val__retrieval_top1=[0.12, "", 0.87], val__retrieval_top1_splice=[0.1, "", 0.5],
        val__retrieval_chance_splice=[0.004, "", 0.004], train__nt_per_s=["", 1e4, 2e4],
    )  # fmt: skip
    columns = {name: store.column(name) for name in ("transcript_id", "species", "gene_name", "family_id")}
    pq.write_table(pa.table(columns | {"embedding": list(embeddings.matrix)}), folder / "embeddings.parquet")
    labels = folder / "labels.tsv"
    rows = zip(embeddings.transcript_ids, embeddings.matrix[:, 0], strict=True)
    labels.write_text("transcript_id\ty\n" + "".join(f"{name}\t{value}\n" for name, value in rows))
    run_probe(embeddings, TaskSpec(labels, ("y",), Task.REGRESSION), folder / "probe/y", store=store, seeds=3)
    return folder
