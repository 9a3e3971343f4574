from pathlib import Path

import numpy as np

from orthrus.embedding.file import of_store
from orthrus.store import StoreBuilder, TranscriptStore


def test_a_gene_that_nothing_names_is_null_and_its_family_too_unless_it_joins_transcripts(tmp_path: Path) -> None:
    with StoreBuilder(tmp_path / "s") as builder:
        for name, gene, known in (("a", "G", True), ("b", "b", False), ("c", "locus", False), ("d", "locus", False)):
            codes = np.ones(60, dtype=np.uint8)
            builder.add(codes, transcript_id=name, gene_id=gene, gene_known=known, species="x")
        builder.finish()
    found = of_store(TranscriptStore.open(tmp_path / "s"), np.empty((4, 0), dtype=np.float32))
    assert found.gene_id == ("G", None, None, None)
    assert found.family_id == ("x:G", None, "x:locus", "x:locus")
    assert (found.length, found.cds_length) == ((60,) * 4, (0,) * 4)
