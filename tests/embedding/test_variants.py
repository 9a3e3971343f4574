from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from orthrus import InputError, MambaEncoder, TranscriptStore
from orthrus.cli import main
from orthrus.embedding.mutagenesis import substitutions
from orthrus.embedding.variant_file import UNSCORED, Variant, read_variants
from orthrus.embedding.variants import DISTANCES, distances, score_variants
from orthrus.genome.codes import annotate, encode_bases, tracks
from orthrus.genome.findings import Tally
from orthrus.nn.heads import MaskedLanguageHead
from orthrus.prepare import open_or_prepare
from tests.builders import build_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TranscriptStore:
    return build_store(tmp_path_factory.mktemp("variant") / "store", n_genes=4)


@pytest.fixture(scope="module", params=[False, True], ids=["causal", "bidirectional"])
def encoder(request: pytest.FixtureRequest) -> MambaEncoder:
    torch.manual_seed(0)
    return MambaEncoder(6, 16, 2, bidirectional=request.param).eval()


@pytest.fixture(scope="module")
def head() -> MaskedLanguageHead:
    torch.manual_seed(1)
    return MaskedLanguageHead(16).eval()


def variant(store: TranscriptStore, name: str, pos: int, n: int, alt: str, line: int = 2) -> Variant:
    sequence = store.sequence(store.index_of(name))
    return Variant(line, name, pos, sequence[pos - 1 : pos - 1 + n], alt)


def some_variants(store: TranscriptStore) -> list[Variant]:
    return [
        variant(store, "h1.0", 30, 1, "A" if store.sequence(store.index_of("h1.0"))[29] != "A" else "C"),
        variant(store, "h1.0", 30, 1, "T" if store.sequence(store.index_of("h1.0"))[29] != "T" else "G"),
        variant(store, "m0", 5, 3, "ACGTAC"),
        variant(store, "h2.1", 100, 20, "G"),
        variant(store, "h0.2", 3, 2, "NA" if store.sequence(store.index_of("h0.2"))[3] != "A" else "NC"),
    ]


def embedded(encoder: MambaEncoder, codes: np.ndarray) -> np.ndarray:
    """The vector of one transcript by itself."""
    with torch.no_grad():
        x_1CL = torch.from_numpy(tracks(codes)).float()[None]
        return encoder.represent(x_1CL, torch.tensor([len(codes)])).numpy()[0]


@pytest.mark.parametrize("stem", ["base", "codon"])
def test_distances_are_those_of_edited_transcripts_embedded_from_scratch(
    store: TranscriptStore, encoder: MambaEncoder, stem: str
) -> None:
    encoder = MambaEncoder(6, 16, 2, encoder.bidirectional, stem=stem).eval()
    variants = some_variants(store)[:2]
    table = score_variants(encoder, store, variants, source="v.tsv", token_budget=300)
    row = store.index_of("h1.0")
    cds = tuple(store.transcripts[name][row].as_py() for name in ("cds_start", "cds_end"))
    ends = store.transcripts["exon_ends"][row].as_py()
    for i, each in enumerate(variants):
        sequence = store.sequence(row)
        edited = annotate(encode_bases(sequence[:29] + each.alt + sequence[30:], "test"), cds, ends)
        if table["consequence"][i].as_py() == "stop_gained":
            continue
        u, v = embedded(encoder, store.codes(row)).astype(float), embedded(encoder, edited).astype(float)
        assert table["euclidean_distance"][i].as_py() == pytest.approx(np.linalg.norm(u - v), rel=1e-3)
        assert table["manhattan_distance"][i].as_py() == pytest.approx(np.abs(u - v).sum(), rel=1e-3)
        cosine = 1 - u @ v / np.linalg.norm(u) / np.linalg.norm(v)
        assert table["cosine_distance"][i].as_py() == pytest.approx(cosine, rel=2e-3)
    assert set(table["length_change"].to_pylist()) == {0}


def test_an_indel_moves_the_annotation_too(store: TranscriptStore, encoder: MambaEncoder) -> None:
    row = store.index_of("h0.0")
    sequence, ends = store.sequence(row), store.transcripts["exon_ends"][row].as_py()
    inserted = Variant(2, "h0.0", 5, sequence[4], sequence[4] + "GG")  # in the 5'UTR
    table = score_variants(encoder, store, [inserted], source="v.tsv")
    edited = annotate(
        encode_bases(sequence[:5] + "GG" + sequence[5:], "test"),
        (store.transcripts["cds_start"][row].as_py() + 2, store.transcripts["cds_end"][row].as_py() + 2),
        [end + 2 for end in ends],
    )
    expected = distances(embedded(encoder, store.codes(row))[None], embedded(encoder, edited)[None])
    for name in DISTANCES:
        assert table[name][0].as_py() == pytest.approx(expected[name][0], rel=1e-3)
    assert table["consequence"].to_pylist() == ["5_prime_UTR_variant"]
    assert table["length_change"].to_pylist() == [2]


def test_scores_do_not_depend_on_what_shares_the_batch(
    store: TranscriptStore, encoder: MambaEncoder, head: MaskedLanguageHead
) -> None:
    variants = some_variants(store)
    together = score_variants(encoder, store, variants, source="v.tsv", mlm_head=head)
    alone = [score_variants(encoder, store, [v], source="v.tsv", mlm_head=head, token_budget=1) for v in variants]
    for name in ("pos", "consequence"):
        assert together[name] == pa.concat_tables(alone)[name]
    for name in (*DISTANCES, "mlm_log_ratio"):
        one_by_one = pa.concat_tables(alone)[name].to_numpy()
        np.testing.assert_allclose(together[name].to_numpy(), one_by_one, rtol=1e-2, atol=1e-6)


def test_the_likelihood_ratio_is_the_masked_marginal(
    store: TranscriptStore, encoder: MambaEncoder, head: MaskedLanguageHead
) -> None:
    row = store.index_of("h1.0")
    sequence = store.sequence(row)
    alts = ["".join("CGTA"["ACGT".index(base)] for base in sequence[29:31]), sequence[29] + "AC"]
    variants = [Variant(2, "h1.0", 30, sequence[29:31], alts[0]), Variant(3, "h1.0", 30, sequence[29], alts[1])]
    table = score_variants(encoder, store, variants, source="v.tsv", mlm_head=head)
    codes = store.codes(row).copy()
    codes[29:31] &= 0b11000
    with torch.no_grad():
        hidden_1LD = encoder(torch.from_numpy(tracks(codes)).float()[None], torch.tensor([len(codes)]))
        log_L4 = torch.log_softmax(head(hidden_1LD[0]), dim=-1)
    expected = sum(
        float(log_L4[29 + i, "ACGT".index(alts[0][i])] - log_L4[29 + i, "ACGT".index(sequence[29 + i])]) for i in (0, 1)
    )
    assert table["mlm_log_ratio"][0].as_py() == pytest.approx(expected, abs=1e-5)
    assert table["mlm_log_ratio"][1].as_py() is None  # an insertion has none
    without = score_variants(encoder, store, variants, source="v.tsv")
    assert without["mlm_log_ratio"].null_count == 2


def test_no_change_is_no_distance() -> None:
    vectors = np.random.default_rng(0).standard_normal((3, 8)).astype(np.float32)
    for values in distances(vectors, vectors).values():
        assert values.tolist() == [0, 0, 0]


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "v.tsv"
    path.write_text(text)
    return path


def test_a_vcf_on_transcripts_is_read(tmp_path: Path) -> None:
    text = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\nt1\t5\t.\tA\tC,AG\t.\n"
    found = read_variants(write(tmp_path, text), Tally())
    assert found == [Variant(3, "t1", 5, "A", "C"), Variant(3, "t1", 5, "A", "AG")]


def test_a_column_of_transcripts_comes_before_one_of_chromosomes(tmp_path: Path) -> None:
    text = "chrom\tgenomic_pos\ttranscript_id\tpos\tref\talt\nchr1\t900\tt1\t5\tA\tC\n"
    assert read_variants(write(tmp_path, text), Tally()) == [Variant(2, "t1", 5, "A", "C")]


@pytest.mark.parametrize(
    "alt", ["*", ".", "<NON_REF>", "<*>", "<DEL>", "<INS:ME:ALU>", "G]17:198982]", "]13:123456]T", "[2:5[C", "A.", ".A"]
)
def test_an_allele_that_is_no_sequence_is_left_out_and_counted(tmp_path: Path, alt: str) -> None:
    left_out = Tally()
    text = f"#CHROM\tPOS\tID\tREF\tALT\nt1\t5\t.\tA\t{alt}\nt1\t6\t.\tA\tC,{alt},AG,T\n"
    found = read_variants(write(tmp_path, text), left_out)
    assert [(each.pos, each.alt) for each in found] == [(6, "C"), (6, "AG"), (6, "T")]
    assert left_out.counts == {UNSCORED: 2}
    with pytest.raises(InputError, match="has no allele to score: 1 alternative alleles"):
        read_variants(write(tmp_path, f"#CHROM\tPOS\tID\tREF\tALT\nt1\t5\t.\tA\t{alt}\n"), Tally())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has no column transcript_id, pos, ref, alt"),
        ("transcript_id\tpos\tref\n", "has no column alt"),
        ("transcript_id\tpos\tref\talt\n", "a header and no variants"),
        ("transcript_id\tpos\tref\talt\nt\t1\tA\n", "line 2: 3 tab-separated fields; expected 4"),
        ("transcript_id\tpos\tref\talt\nt\t0\tA\tC\n", "line 2: pos is '0'"),
        ("transcript_id\tpos\tref\talt\nt\tx\tA\tC\n", "line 2: pos is 'x'"),
        ("transcript_id\tpos\tref\talt\n\nt\t1\tA\t-\n", "line 3: alt is '-'"),
        ("transcript_id\tpos\tref\talt\nt\t1\t\tC\n", "line 2: ref is ''"),
    ],
)
def test_a_table_that_cannot_be_meant(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        read_variants(write(tmp_path, text), Tally())


def test_a_variant_that_does_not_fit_its_transcript(
    store: TranscriptStore, encoder: MambaEncoder, caplog: pytest.LogCaptureFixture
) -> None:
    base = store.sequence(store.index_of("h0.0"))[6]
    other = "A" if base != "A" else "C"

    def score(*variants: Variant) -> pa.Table:
        return score_variants(encoder, store, variants, source="v.tsv")

    with pytest.raises(InputError, match=rf"v.tsv, line 9: h0.0 has {base} at 7, not {other}"):
        score(Variant(9, "h0.0", 7, other, base))
    with pytest.raises(InputError, match=r"line 9: h0.0: alt . equals ref"):
        score(Variant(9, "h0.0", 7, base, base))
    with pytest.raises(InputError, match=r"h0.0 has 120 nt; A at 121 lies beyond its end"):
        score(Variant(9, "h0.0", 121, "A", "C"))
    with pytest.raises(InputError, match="no transcript 'nowhere'"):
        score(Variant(9, "nowhere", 7, "A", "C"))
    table = score(Variant(8, "nowhere", 7, "A", "C"), Variant(9, "h0.0", 7, base, other))
    assert table["transcript_id"].to_pylist() == ["h0.0"]
    assert "1 of 2 variants" in caplog.text


def test_the_command_scores_with_a_checkpoint_of_ours(
    store: TranscriptStore, encoder: MambaEncoder, head: MaskedLanguageHead, tmp_path: Path
) -> None:
    state = {f"encoder.{k}": v for k, v in encoder.state_dict().items()}
    state |= {f"objective.terms.mlm.head.{k}": v for k, v in head.state_dict().items()}
    torch.save({"state_dict": state, "orthrus": {"encoder": encoder.config}}, tmp_path / "last.ckpt")
    variants = some_variants(store)
    lines = [f"{v.transcript_id}\t{v.pos}\t{v.ref}\t{v.alt}" for v in variants]
    table = write(tmp_path, "\n".join(["transcript_id\tpos\tref\talt", *lines]) + "\n")
    args = [f"--checkpoint={tmp_path / 'last.ckpt'}", f"--input={store.path}", f"--variants={table}"]
    output = tmp_path / "scores.parquet"
    assert main(["variant", *args, f"--output={output}"]) == 0
    expected = score_variants(encoder, store, variants, source="v.tsv", mlm_head=head)
    found = pq.read_table(output)
    assert found.column_names == expected.column_names
    np.testing.assert_allclose(found["mlm_log_ratio"].to_numpy(), expected["mlm_log_ratio"].to_numpy())
    assert found["mlm_log_ratio"].null_count == 3  # two indels and an N


def test_a_window_of_n_alone_has_no_substitutions(tmp_path: Path) -> None:
    (tmp_path / "n.fa").write_text(">t\nACGNN\n")
    with open_or_prepare(tmp_path / "n.fa") as store:
        assert {each.pos for each in substitutions(store, "t", (3, 4))} == {3}
        with pytest.raises(InputError, match="t has no base but N from 4 to 5"):
            substitutions(store, "t", (4, 5))
