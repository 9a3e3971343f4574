import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orthrus.errors import InputError
from orthrus.genome.codes import decode_bases
from orthrus.genome.mrna_frames import read_frame
from orthrus.prepare import open_or_prepare


def write(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_tracks_of_a_frame_are_the_tracks_of_its_transcripts(tmp_path):
    cds = [0.0] * 2 + [1.0, 0.0, 0.0] * 2 + [0.0] * 2
    splice = [0, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    path = write(tmp_path / "f.parquet", gene=["G"], sequence=["ACATGTAANT"], cds=[cds], splice=[splice])
    with open_or_prepare(path) as store:
        assert store.column("transcript_id") == ["0"]
        assert store.column("gene_name") == ["G"]
        tracks = store.tracks(0)
        np.testing.assert_array_equal(tracks[4], cds)
        np.testing.assert_array_equal(tracks[5], splice)
        assert store.sequence(0) == "ACATGTAANT"
        row = store.transcripts.to_pylist()[0]
        assert (row["cds_start"], row["cds_end"], row["exon_ends"]) == (2, 8, [4, 10])


def test_rows_of_a_gene_are_one_family_and_ids_are_kept_where_there_are_some(tmp_path):
    path = write(tmp_path / "f.parquet", transcript_id=["x", "y", "z"], gene=["G", "G", None], sequence=["ACG"] * 3)
    with open_or_prepare(path) as store:
        families = store.column("family_id")
        assert store.column("transcript_id") == ["x", "y", "z"]
        assert families[0] == families[1] != families[2]


def test_a_splice_track_without_the_last_base_leaves_exons_unknown(tmp_path):
    path = write(tmp_path / "f.parquet", sequence=["ACGT"], splice=[[0, 1, 0, 0]])
    ((_, _, _, mrna),) = read_frame(path)
    assert len(mrna.exon_ends) == 0
    assert decode_bases(mrna.codes) == "ACGT"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"seq": ["A"]}, "no column 'sequence'; it has seq"),
        ({"sequence": ["ACGT", "AC"], "cds": [[0, 0, 0, 1], [0]]}, "row 1: cds has 1 values for 2 nt"),
        ({"sequence": ["ACGT"], "splice": [[0, 0, 0, 2]]}, "row 0: splice has 4 values"),
        ({"sequence": ["ACGT", ""]}, "row 1: the row has no sequence"),
        ({"sequence": ["MKLV?"]}, "row 0: letter"),
    ],
)
def test_frames_that_do_not_fit_are_named_with_their_row(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        list(read_frame(write(tmp_path / "f.parquet", **columns)))
