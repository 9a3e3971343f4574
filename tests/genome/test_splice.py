import numpy as np
import pytest

from orthrus.errors import InputError
from orthrus.genome.codes import encode_bases
from orthrus.genome.splice import splice
from tests.genome.conftest import Read

LINE = '1\ts\texon\t{}\t{}\t.\t{}\t.\tgene_id "G"; transcript_id "{}";'


def test_exon_beyond_the_contig_is_an_error(read: Read) -> None:
    models, _ = read([LINE.format(1, 5, "+", "A"), LINE.format(2, 3, "-", "B"), LINE.format(6, 11, "-", "B")])
    assert len(list(splice(models, encode_bases("A" * 11, "1")))) == 2
    with pytest.raises(InputError, match="transcript B: its exon ends at base 11 of contig 1, which has 10 bases"):
        list(splice(models, encode_bases("A" * 10, "1")))


def test_take_keeps_exons_with_their_transcripts(read: Read) -> None:
    lines = [LINE.format(10 * n + 1, 10 * n + 3 + n, "+-"[n % 2], f"T{n // 2}") for n in (0, 2, 4, 6)]
    models, _ = read([*lines, LINE.format(91, 92, "-", "last")])
    assert len(models) == 5
    picked = models.take(np.array([4, 0, 3]))
    assert picked.transcript_id.to_pylist() == ["last", "T0", "T3"]
    assert picked.lengths.tolist() == [2, 3, 9]
    assert picked.exon_starts.tolist() == [90, 0, 60]
    assert len(models.take(np.empty(0, np.int64))) == 0
