from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import orthrus.embedding.embed as embedding
from orthrus import InputError, MambaEncoder, TranscriptStore
from orthrus.embedding import parts
from orthrus.embedding.embed import checkpoint_sha256, embed, embed_to_file, encode, warn_of_long_transcripts
from orthrus.embedding.file import read_embeddings
from orthrus.genome.codes import annotate, codon_starts, encode_bases, in_published_frame
from orthrus.nn.checkpoints import export_encoder, save_encoder
from orthrus.nn.heads import MaskedLanguageHead
from orthrus.store import StoreBuilder
from tests.builders import build_store
from tests.nn.test_checkpoints import make_encoder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TranscriptStore:
    return build_store(tmp_path_factory.mktemp("embed") / "store", n_genes=8)


@pytest.fixture(scope="module", params=[False, True], ids=["causal", "bidirectional"])
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    save_encoder(MambaEncoder(6, 16, 2, bidirectional=request.param), folder)
    return folder


def run(checkpoint: Path, store: TranscriptStore, output: Path, overwrite: bool = False) -> None:
    embed_to_file(checkpoint, store, output, input_name="test", token_budget=500, overwrite=overwrite)


def test_an_encoder_is_the_same_in_every_file_that_holds_it(tmp_path: Path) -> None:
    encoder, head = make_encoder(6), MaskedLanguageHead(16)
    state = {f"encoder.{name}": x for name, x in encoder.state_dict().items()}
    state |= {f"objective.head.{name}": x for name, x in head.state_dict().items()}
    torch.save({"state_dict": state, "orthrus": {"encoder": encoder.config}}, tmp_path / "last.ckpt")
    export_encoder(tmp_path / "last.ckpt", tmp_path / "exported")
    save_encoder(encoder, tmp_path / "without_head")
    paths = [tmp_path / name for name in ("last.ckpt", "exported", "exported/model.safetensors", "without_head")]
    assert len({checkpoint_sha256(path) for path in paths}) == 1
    encoder.norm_f.bias.data += 1
    save_encoder(encoder, tmp_path / "other")
    assert checkpoint_sha256(tmp_path / "other") != checkpoint_sha256(paths[0])


def test_a_transcript_gets_the_same_vector_whatever_shares_its_batch(
    checkpoint: Path, store: TranscriptStore, tmp_path: Path
) -> None:
    run(checkpoint, store, tmp_path / "e.parquet")
    table = pq.read_table(tmp_path / "e.parquet")
    assert table["transcript_id"].to_pylist() == store.column("transcript_id")
    together = np.array(table["embedding"].to_pylist())
    encoder = embedding.load_encoder(checkpoint)
    for i in range(len(store)):
        tracks = torch.from_numpy(store.tracks(i)).float()[None]
        alone = encoder.represent(tracks, torch.tensor([tracks.shape[2]])).detach().numpy()[0]
        np.testing.assert_allclose(together[i], alone, atol=1e-5)


def test_an_encoder_sees_codons_where_those_began_that_it_was_trained_on(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    incomplete = annotate(encode_bases("C" + "ATGGCC" * 5 + "TAA", "x"), (0, 34), (34,), [(1, 34)])
    frames = {"annotated": incomplete, "published": in_published_frame(incomplete, (0, 34))}
    assert codon_starts(frames["published"]).tolist() == list(range(0, 34, 3))
    encoder = embedding.load_encoder(checkpoint)
    assert encoder.cds_frame == "annotated"  # of our own making
    weights = {f"model.{name}": tensor for name, tensor in encoder.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "published.ckpt")
    published = embedding.load_encoder(tmp_path / "published.ckpt")
    assert published.cds_frame == "published"
    for name, codes in frames.items():
        with StoreBuilder(tmp_path / name) as builder:
            builder.add(codes, transcript_id="T", gene_id="G", species="x", cds=(0, 34), exon_ends=[34])
            builder.finish(meta={"cds_frame": name})
    stores = {name: TranscriptStore.open(tmp_path / name) for name in frames}
    vectors = {name: encode(encoder, [codes]) for name, codes in frames.items()}
    assert not np.allclose(vectors["annotated"], vectors["published"])
    np.testing.assert_array_equal(embed(encoder, stores["annotated"], [0]), vectors["annotated"])
    for store in stores.values():
        np.testing.assert_array_equal(embed(published, store, [0]), vectors["published"])
    run(checkpoint, stores["annotated"], tmp_path / "e.parquet")
    assert not caplog.records
    run(checkpoint, stores["published"], tmp_path / "f.parquet")
    assert "this store has cds_frame: published" in caplog.text
    save_encoder(published, tmp_path / "exported")
    assert embedding.load_encoder(tmp_path / "exported").cds_frame == "published"


def test_vectors_come_in_the_order_asked_for(checkpoint: Path, store: TranscriptStore) -> None:
    encoder = embedding.load_encoder(checkpoint)
    everything = embed(encoder, store, range(len(store)))
    chosen = [5, 0, 17, 3]
    np.testing.assert_allclose(embed(encoder, store, chosen, token_budget=200), everything[chosen], atol=1e-5)


def test_the_file_names_its_encoder_and_groups(checkpoint: Path, store: TranscriptStore, tmp_path: Path) -> None:
    run(checkpoint, store, tmp_path / "e.parquet")
    embeddings = read_embeddings(tmp_path / "e.parquet")
    assert embeddings.family_id == tuple(store.column("family_id"))
    assert embeddings.metadata["encoder"]["d_model"] == 16
    assert len(embeddings.metadata["checkpoint_sha256"]) == 64
    assert Path(embeddings.metadata["checkpoint"]).is_absolute()
    assert MambaEncoder.from_config(embeddings.metadata["encoder"]).n_layers == 2


def test_an_interrupted_run_goes_on_where_it_stopped(
    checkpoint: Path, store: TranscriptStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "_PART_NT", 600)
    run(checkpoint, store, tmp_path / "whole.parquet")
    output, forward, calls = tmp_path / "e.parquet", embedding._encode, []

    def forward_until_interrupted(*args: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return forward(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(embedding, "_encode", forward_until_interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint, store, output)
    assert not output.exists()
    done = len(list((tmp_path / ".e.parquet.partial").glob("*.npz")))
    assert done >= 1
    monkeypatch.setattr(embedding, "_encode", forward)
    run(checkpoint, store, output)
    assert pq.read_table(output).equals(pq.read_table(tmp_path / "whole.parquet"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.parquet", "whole.parquet"]


def test_an_existing_output_is_kept_unless_told_otherwise(
    checkpoint: Path, store: TranscriptStore, tmp_path: Path
) -> None:
    output = tmp_path / "e.parquet"
    output.write_text("precious")
    with pytest.raises(InputError, match="pass --overwrite"):
        run(checkpoint, store, output)
    assert output.read_text() == "precious"
    run(checkpoint, store, output, overwrite=True)
    assert len(read_embeddings(output)) == len(store)


def test_another_job_does_not_continue_unfinished_work(
    checkpoint: Path, store: TranscriptStore, tmp_path: Path
) -> None:
    partial = tmp_path / ".e.parquet.partial"
    partial.mkdir()
    (partial / "job.json").write_text("{}")
    with pytest.raises(InputError, match="another checkpoint or input"):
        run(checkpoint, store, tmp_path / "e.parquet")
    run(checkpoint, store, tmp_path / "e.parquet", overwrite=True)
    assert (tmp_path / "e.parquet").exists()


def test_the_size_of_row_groups_and_parts_changes_nothing(
    checkpoint: Path, store: TranscriptStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(checkpoint, store, tmp_path / "one.parquet")
    monkeypatch.setattr(parts, "_GROUP_ROWS", 7)
    monkeypatch.setattr(parts, "_PART_NT", 300)
    run(checkpoint, store, tmp_path / "many.parquet")
    one, many = pq.read_table(tmp_path / "one.parquet"), pq.read_table(tmp_path / "many.parquet")
    assert one.drop_columns("embedding").equals(many.drop_columns("embedding"))
    vectors = [np.array(table["embedding"].to_pylist()) for table in (one, many)]
    np.testing.assert_allclose(*vectors, atol=1e-5)
    assert pq.ParquetFile(tmp_path / "many.parquet").num_row_groups == -(-len(store) // 7)


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "nan", "other"])
def test_a_damaged_part_of_an_interrupted_run_is_made_anew(
    damage: str, checkpoint: Path, store: TranscriptStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(parts, "_PART_NT", 600)
    run(checkpoint, store, tmp_path / "whole.parquet")
    output = tmp_path / "e.parquet"

    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(embedding, "join", stop)
    with pytest.raises(KeyboardInterrupt):
        run(checkpoint, store, output)
    monkeypatch.undo()
    monkeypatch.setattr(parts, "_PART_NT", 600)
    part = sorted((tmp_path / ".e.parquet.partial").glob("*.npz"))[1]
    content = bytearray(part.read_bytes())
    with np.load(part) as archive:
        vectors = archive["vectors"]
    if damage == "flipped":
        content[len(content) // 2] ^= 4
    if damage in ("nan", "other"):
        np.savez(part, vectors=vectors * np.nan if damage == "nan" else vectors[:-1])
    else:
        part.write_bytes({"empty": b"", "cut": content[:-30], "flipped": content}[damage])
    run(checkpoint, store, output)
    assert f"{part} of an earlier run is damaged" in caplog.text
    assert pq.read_table(output).equals(pq.read_table(tmp_path / "whole.parquet"))


@pytest.mark.parametrize("text", ["", '{"encoder": {"d_mo'])
def test_parts_of_a_job_that_was_cut_short_are_not_trusted(
    text: str, checkpoint: Path, store: TranscriptStore, tmp_path: Path
) -> None:
    partial = tmp_path / ".e.parquet.partial"
    partial.mkdir()
    (partial / "job.json").write_text(text)
    np.savez(partial / "000000000000.npz", vectors=np.zeros((len(store), 16), dtype=np.float32))
    run(checkpoint, store, tmp_path / "e.parquet")
    assert read_embeddings(tmp_path / "e.parquet").matrix.any()


def test_a_flipped_bit_of_the_vectors_is_found_on_reading(
    checkpoint: Path, store: TranscriptStore, tmp_path: Path
) -> None:
    run(checkpoint, store, tmp_path / "e.parquet")
    whole = (tmp_path / "e.parquet").read_bytes()
    column = pq.ParquetFile(tmp_path / "e.parquet").metadata.row_group(0).column(1)
    start, size = column.data_page_offset, column.total_compressed_size
    for at in range(start + 100, start + size, size // 20):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        (tmp_path / "e.parquet").write_bytes(damaged)
        with pytest.raises(InputError, match="CRC"):
            read_embeddings(tmp_path / "e.parquet")


def test_vectors_that_are_not_finite_are_not_written(
    checkpoint: Path, store: TranscriptStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = embedding._encode

    def overflow(*args: object) -> torch.Tensor:
        return forward(*args) * torch.inf  # type: ignore[arg-type]

    monkeypatch.setattr(embedding, "_encode", overflow)
    with pytest.raises(InputError, match=r"vectors are not finite, such as that of h0\.0"):
        run(checkpoint, store, tmp_path / "e.parquet")
    assert not (tmp_path / "e.parquet").exists()


def test_a_file_holds_several_readouts_and_the_first_is_the_embedding(
    checkpoint: Path, store: TranscriptStore, tmp_path: Path
) -> None:
    names = ["last.mean", "layer1.max", "last.regions"]
    run(checkpoint, store, tmp_path / "one.parquet")
    embed_to_file(checkpoint, store, tmp_path / "e.parquet", input_name="test", token_budget=500, readouts=names)
    found = read_embeddings(tmp_path / "e.parquet")
    assert {name: matrix.shape[1] for name, matrix in found.all_readouts.items()} == dict(
        zip(names, (16, 16, 48), strict=True)
    )
    np.testing.assert_allclose(found.matrix, read_embeddings(tmp_path / "one.parquet").matrix, atol=1e-5)
    everything = embed(embedding.load_encoder(checkpoint), store, range(len(store)), readouts=names)
    np.testing.assert_allclose(found.all_readouts["last.regions"], everything[:, 32:], atol=1e-5)


def test_the_encoders_own_readout_is_given_by_default(store: TranscriptStore, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_encoder(MambaEncoder(6, 16, 2, stem="codon"), tmp_path / "encoder", readout="last.mean+last.cds+lengths")
    run(tmp_path / "encoder", store, tmp_path / "e.parquet")
    found = read_embeddings(tmp_path / "e.parquet")
    encoder = embedding.load_encoder(tmp_path / "encoder")
    assert found.readout == "last.mean+last.cds+lengths"
    expected = embed(encoder, store, range(len(store)), readouts=["last.mean", "last.cds", "lengths"])
    np.testing.assert_allclose(found.matrix, expected, atol=1e-6)
    assert found.matrix.shape[1] == 16 + 16 + 6


def test_bfloat16_products_change_little_and_are_named(
    checkpoint: Path, store: TranscriptStore, tmp_path: Path
) -> None:
    run(checkpoint, store, tmp_path / "exact.parquet")
    embed_to_file(checkpoint, store, tmp_path / "fast.parquet", input_name="test", token_budget=500, bf16=True)
    exact, fast = (read_embeddings(tmp_path / f"{name}.parquet") for name in ("exact", "fast"))
    assert (exact.metadata["precision"], fast.metadata["precision"]) == ("32", "bf16")
    difference = np.linalg.norm(fast.matrix - exact.matrix) / np.linalg.norm(exact.matrix)
    assert 0 < difference < 0.02


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_long_transcript_that_has_to_be_read_whole_is_warned_of(
    bidirectional: bool, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = MambaEncoder(6, 64, 1, bidirectional=bidirectional)
    with caplog.at_level("WARNING", "orthrus"):
        warn_of_long_transcripts(encoder, np.array([100, 200_000]))
        assert ("a transcript of 200,000 nt takes about 0.8 GB" in caplog.text) == bidirectional
        caplog.clear()
        warn_of_long_transcripts(encoder, np.array([100, 12_288]))
        warn_of_long_transcripts(encoder, np.array([], int))
    assert not caplog.records
