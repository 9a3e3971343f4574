import numpy as np

from tests.genome.conftest import Read

LINE = '1\ts\texon\t{}\t{}\t.\t{}\t.\tgene_id "G"; transcript_id "{}";'


def test_take_keeps_exons_with_their_transcripts(read: Read) -> None:
    lines = [LINE.format(10 * n + 1, 10 * n + 3 + n, "+-"[n % 2], f"T{n // 2}") for n in (0, 2, 4, 6)]
    models, _ = read([*lines, LINE.format(91, 92, "-", "last")])
    assert len(models) == 5
    picked = models.take(np.array([4, 0, 3]))
    assert picked.transcript_id.to_pylist() == ["last", "T0", "T3"]
    assert picked.lengths.tolist() == [2, 3, 9]
    assert picked.exon_starts.tolist() == [90, 0, 60]
    assert len(models.take(np.empty(0, np.int64))) == 0
