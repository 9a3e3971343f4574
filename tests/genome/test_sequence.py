import gzip
import struct
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.codes import decode_bases
from orthrus.genome.sequence import is_primary, read_fasta, read_genome
from tests.oracles.twobit import two_bit


def bgzip(data: bytes, block: int = 20) -> bytes:
    """BGZF by the SAM specification, 4.1: gzip members with their size in a BC subfield, an empty one last."""
    out = b""
    for start in [*range(0, len(data), block), len(data)]:
        member = gzip.compress(data[start : start + block], mtime=0)
        body = member[10:]
        out += member[:3] + b"\x04" + member[4:10] + struct.pack("<H2sHH", 6, b"BC", 2, 10 + 8 + len(body) - 1) + body
    return out[: -len(gzip.compress(b"")) - 8] + bytes.fromhex(
        "1f8b08040000000000ff0600424302001b0003000000000000000000"
    )


def contigs_of(path: Path, *wanted: str, **chromosomes: str) -> dict[str, str]:
    return {name: decode_bases(bases) for name, bases in read_genome(path, wanted, chromosomes)}


@given(
    contigs=st.dictionaries(
        st.text("abc1", min_size=1, max_size=4), st.text("ACGTNacgtn", max_size=50), min_size=1, max_size=4
    ),
    order=st.sampled_from("<>"),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fasta_and_2bit_agree(tmp_path: Path, contigs: dict[str, str], order: str) -> None:
    (tmp_path / "g.2bit").write_bytes(two_bit(contigs, order))
    fasta = "".join(
        f">{name} some words\n" + "".join(f"{seq[i : i + 7]}\n" for i in range(0, len(seq), 7))
        for name, seq in contigs.items()
    )
    (tmp_path / "g.fa").write_text(fasta)
    (tmp_path / "g.fa.gz").write_bytes(gzip.compress(fasta.replace("\n", "\r\n").encode()))
    (tmp_path / "b.fa.gz").write_bytes(bgzip(fasta.encode()))
    for name in ("g.2bit", "g.fa", "g.fa.gz", "b.fa.gz"):
        assert contigs_of(tmp_path / name, *contigs) == {k: v.upper() for k, v in contigs.items()}


def genome(path: Path, *names: str) -> Path:
    path.write_text("".join(f">{name}\n{'ACGT'[n % 4] * (n + 1)}\n" for n, name in enumerate(names)))
    return path


@pytest.mark.parametrize(
    ("in_genome", "in_annotation"),
    [
        ("chr1", "1"),
        ("1", "chr1"),
        ("chrM", "MT"),
        ("MT", "chrM"),
        ("CHRX", "X"),
        ("chr1_KI270706v1_random", "KI270706.1"),
        ("GL000009.2", "chr14_GL000009v2_random"),
        ("chrUn_KI270302v1", "KI270302.1"),
        ("chrUn_NW_020190085v1", "NW_020190085.1"),
        ("chrX_NT_187361v1_random", "NT_187361.1"),
        ("JAAHUQ010000950.1", "chrUn_JAAHUQ010000950v1"),
        ("chrUn_NZ_JAAHUQ010000950v2", "NZ_JAAHUQ010000950.2"),
        ("NC_000023.11", "chrX"),
        ("chr19", "NC_000085.7"),
        ("MT", "NC_012920.1"),
        ("6_31274592_31277326", "6_31274592_31277326"),
    ],
)
def test_contigs_are_found_by_their_other_names(tmp_path: Path, in_genome: str, in_annotation: str) -> None:
    path = genome(tmp_path / "g.fa", "other", in_genome)
    assert contigs_of(path, in_annotation) == {in_annotation: "CC"}


def test_exact_names_come_first(tmp_path: Path) -> None:
    assert contigs_of(genome(tmp_path / "g.fa", "chr1", "1"), "chr1", "1") == {"chr1": "A", "1": "CC"}
    assert contigs_of(genome(tmp_path / "g.fa", "chr1", "1"), "chr1") == {"chr1": "A"}
    with pytest.raises(InputError, match="'chr1' and '1', and the annotation's contig '1' may be either"):
        contigs_of(genome(tmp_path / "g.fa", "chr1", "1"), "1")


def test_accessions_are_found_by_the_chromosome_they_are(tmp_path: Path) -> None:
    path = genome(tmp_path / "g.fa", "chr1", "chrM")
    names = {"NC_073224.2": "1", "NC_001643.1": "MT"}
    assert contigs_of(path, *names, **names) == {"NC_073224.2": "A", "NC_001643.1": "CC"}


def test_no_common_contig_names_both_sides(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"contigs \(a, b\) is in the genome .*g.fa \(x, y\)"):
        contigs_of(genome(tmp_path / "g.fa", "x", "y"), "a", "b")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b'1\tsrc\texon\t1\t9\t.\t+\t.\tgene_id "G";\n', "begins with"),
        (b">a\nMKVLAAGIEE\n", "letter 'L' at position 4 is not a nucleotide; .*protein"),
        (b">a\nACGT\n>a\nACGT\n", "two sequences are named 'a'"),
        (b">\nACGT\n", "a sequence has no name"),
        (b">a\nAC\xff\xfeGT\n", "letter 'ÿ' at position 3 is not a nucleotide"),
        (bytes(range(256)), "begins with"),
        (two_bit({"a": "ACGTACGTACGT"})[:-1], "damaged 2bit file: it ends"),
        (two_bit({"a": "ACGTACGTACGT"})[:20], "damaged 2bit file: it ends"),
    ],
)
def test_what_is_no_genome_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "g.fa"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        contigs_of(path, "a")


def test_truncated_compression(tmp_path: Path) -> None:
    data = b">a\n" + bytes(np.random.default_rng(0).choice(list(b"ACGT"), 1000).tolist()) + b"\n"
    for name, whole, message in [
        ("g.fa.gz", gzip.compress(data), "truncated gzip"),
        ("b.fa.gz", bgzip(data), "truncated bgzip"),
    ]:
        (tmp_path / name).write_bytes(whole)
        assert len(dict(read_fasta(tmp_path / name))["a"]) == 1000
        for cut in (10, 28, len(whole) // 2):
            (tmp_path / name).write_bytes(whole[:-cut])
            with pytest.raises(InputError, match=message):
                list(read_fasta(tmp_path / name))


@given(data=st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_damage_gives_bases_or_the_error(tmp_path: Path, data: st.DataObject) -> None:
    contigs = {"a": "ACGTNNACGTacgt", "b": "TTTT"}
    seeds = [two_bit(contigs), b">a\nACGT\n>b\nTT\n", bgzip(b">a\nACGT\n>b\nTT\n")]
    text = bytearray(data.draw(st.sampled_from(seeds)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    (tmp_path / "g.fa").write_bytes(text)
    with suppress(InputError):
        assert contigs_of(tmp_path / "g.fa", "a", "b")


@pytest.mark.timeout(15)
def test_the_index_of_a_genome_of_many_contigs_takes_no_time(tmp_path: Path) -> None:
    names = [f"scaffold_{n}" for n in range(90_000)]
    (tmp_path / "g.fa").write_text("".join(f">{name}\nACGT\n" for name in names))
    (tmp_path / "g.fa.fai").write_text("".join(f"{name}\t4\t0\t4\t5\n" for name in names))
    assert contigs_of(tmp_path / "g.fa", "scaffold_5") == {"scaffold_5": "ACGT"}


@pytest.mark.parametrize(
    ("names", "primary"),
    [
        ("1 22 X Y MT chr1 chrX chrM 2A 2L chr3R I IV W Z NC_000001.11 CM000663.2 6_31274592_31277326 LG1", True),
        ("Chr_01 chr_12 CHR_1 Hg04 HG1 MG2 Mg7", True),
        ("chr1_KI270706v1_random chrUn_KI270302v1 chr6_GL000250v2_alt chr1_KN538361v1_fix chr6_apd_hap1", False),
        ("CHR_HSCHR6_MHC_APD_CTG1 HSCHR17_1 HG1007_PATCH HG2023_HG2128 HSCHRUN_RANDOM_CTG1 MG153_PATCH", False),
        ("CHR_HG1007_PATCH CHR_MMCHR1_CHORI29_IDD5_1 CHR_MG4288_MG4240_PATCH CHR_ALT_CTG1_1_14", False),
        ("GL000220.1 KI270728.1 JH584304.1 NT_187361.1 NW_003943604.1 AANG04000001.1", False),
        ("GeneScaffold_5025 scaffold_104237 contig12 Un", False),
    ],
)
def test_primary_contigs_by_name(names: str, primary: bool) -> None:
    assert {name: is_primary(name) for name in names.split()} == dict.fromkeys(names.split(), primary)


@pytest.mark.parametrize(
    ("contig", "chromosome", "primary"),
    [
        ("NC_900071.1", "1", True),
        ("CP900072.1", "2", True),
        ("OX900073.1", "X", True),
        ("NW_900074.1", "", False),
        ("CP900075.1", "", False),  # the annotation knows it better than the name
        ("KI270706.1", "7", True),
        ("scaffold_1", "1", True),
        ("CHR_HSCHR6_MHC_APD", "6", False),  # Ensembl calls haplotypes chromosomes
        ("Chr_01", "Chr_01", True),
        ("chr1_hap1", "1", True),
        ("CP900072.1", None, True),
        ("OX900073.1", None, True),
        ("LR900073.1", None, True),
        ("KI270706.1", None, False),
        ("JAABCD010000001.1", None, False),
    ],
)
def test_primary_contigs_by_what_the_annotation_says(contig: str, chromosome: str | None, primary: bool) -> None:
    assert is_primary(contig, chromosome) is primary
