"""The transcript store: a folder that is built once, whole, and read through a memory map.

=====================  ==============================================================================================
``meta.json``          format version, sources with checksums, counts, what was dropped and why
``transcripts.parquet``  one row a transcript, in the order of the codes (columns: :data:`TRANSCRIPT_SCHEMA`)
``orthologs.parquet``  gene pairs, both genes in the store
``codes.u8``           all transcripts end to end, one byte a base (:mod:`orthrus.genome.codes`)
``offsets.npy``        int64 (n + 1,), where each transcript begins in ``codes.u8``
=====================  ==============================================================================================

Opening costs two small reads; the table is read when first asked for; codes are paged in by the system and shared by
all processes of a machine.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.families import family_names, star_edges
from orthrus.genome import codes as coding
from orthrus.genome.codes import Codes

FORMAT_VERSION = 1

TRANSCRIPT_SCHEMA = pa.schema(
    [
        ("transcript_id", pa.string()),
        ("gene_id", pa.string()),
        ("gene_name", pa.string()),
        ("species", pa.string()),
        ("biotype", pa.string()),
        ("family_id", pa.string()),
        ("length", pa.int32()),
        ("cds_start", pa.int32()),  # -1 without a CDS
        ("cds_end", pa.int32()),
        ("exon_ends", pa.list_(pa.int32())),  # empty: unknown
        ("source", pa.string()),
    ]
)
ORTHOLOG_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("species_a", "gene_id_a", "species_b", "gene_id_b", "homology_type")]
)
HOMOLOG_SCHEMA = pa.schema([(name, pa.string()) for name in ("species", "gene_id", "group")])

_FILES = ("transcripts.parquet", "orthologs.parquet", "codes.u8", "offsets.npy")


class TranscriptStore:
    """Transcripts of a store, by index 0..n-1 in the order of ``transcripts``.

    Coordinates are 0-based, half-open, on the mature mRNA; the CDS includes the stop codon.
    """

    def __init__(self, path: Path, meta: dict[str, Any], offsets: NDArray[np.int64]) -> None:
        self.path = path
        self.meta = meta
        self._offsets = offsets

    @classmethod
    def open(cls, path: str | Path) -> "TranscriptStore":
        """Open the store at ``path``.

        Raises InputError if there is none, if it is incomplete or empty, or of another format version.
        """
        path = Path(path)
        if not (path / "meta.json").is_file():
            what = "no such folder" if not path.exists() else "it holds no meta.json"
            raise InputError(f"{path} is no transcript store: {what}. Make one with `orthrus prepare`.")
        try:
            meta = json.loads((path / "meta.json").read_text())
            version = meta["format_version"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path / 'meta.json'} cannot be read ({error}); prepare the store again.") from None
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path} has store format {version}; this version of orthrus reads {FORMAT_VERSION}."
                " Prepare the store again, or use the orthrus version that made it"
                f" ({meta.get('created_by', 'unknown')})."
            )
        for name in _FILES:
            size = meta["files"][name]["bytes"]
            found = (path / name).stat().st_size if (path / name).is_file() else None
            if found != size:
                state = "is missing" if found is None else f"has {found:,} bytes"
                raise InputError(f"{path / name} {state}, expected {size:,} bytes; copy or prepare the store again.")
        offsets = np.load(path / "offsets.npy", mmap_mode="r")
        if len(offsets) < 2:
            raise InputError(f"{path} is an empty store; prepare it again with filters that keep some transcripts.")
        return cls(path, meta, offsets)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __repr__(self) -> str:
        return f"TranscriptStore({str(self.path)!r}, {len(self):,} transcripts)"

    @cached_property
    def transcripts(self) -> pa.Table:
        """One row a transcript, columns as in :data:`TRANSCRIPT_SCHEMA`."""
        return pq.read_table(self.path / "transcripts.parquet", memory_map=True)

    @cached_property
    def orthologs(self) -> pa.Table:
        """Ortholog gene pairs, columns as in :data:`ORTHOLOG_SCHEMA`."""
        return pq.read_table(self.path / "orthologs.parquet", memory_map=True)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Lengths in nt, int64 (n,)."""
        return np.diff(self._offsets)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.column("transcript_id"))}

    @cached_property
    def _codes(self) -> Codes:
        return np.memmap(self.path / "codes.u8", dtype=np.uint8, mode="r")

    def column(self, name: str) -> list[Any]:
        """A column of ``transcripts`` as a list of n Python values."""
        values: list[Any] = self.transcripts.column(name).to_pylist()
        return values

    def index_of(self, transcript_id: str) -> int:
        """Index of a transcript; raises InputError, naming similar ids, if there is none."""
        if transcript_id not in self._index:
            stem = transcript_id.split(".")[0]
            near = [name for name in self._index if name.startswith(stem)][:3] or list(self._index)[:3]
            raise InputError(
                f"no transcript {transcript_id!r} in {self.path}; it holds, for example, {', '.join(near)}"
            )
        return self._index[transcript_id]

    def codes(self, i: int) -> Codes:
        """Codes of transcript ``i``, a read-only view, uint8 (L,)."""
        return self._codes[self._offsets[i] : self._offsets[i + 1]]

    def sequence(self, i: int) -> str:
        """Sequence of transcript ``i`` in A, C, G, T and N, 5'->3'."""
        return coding.decode_bases(self.codes(i))

    def tracks(self, i: int, n_tracks: int = 6) -> Codes:
        """Tracks of transcript ``i``, uint8 (n_tracks, L): A, C, G, T and, with 6, CDS and splice."""
        return coding.tracks(self.codes(i), n_tracks)

    def verify(self) -> None:
        """Compare every file with its checksum; raises InputError naming the first that differs."""
        for name in _FILES:
            if sha256(self.path / name) != self.meta["files"][name]["sha256"]:
                raise InputError(f"{self.path / name} does not match its checksum; copy or prepare the store again.")


class StoreBuilder:
    """Builds a store in a temporary folder beside ``path`` and moves it there whole.

    Use as a context manager: :meth:`add` transcripts, then :meth:`finish`. Leaving without ``finish``, by an error or
    an interrupt, removes the temporary folder; ``path`` is never half-written. An existing ``path`` is refused with
    InputError unless ``overwrite``, and then replaced only by a finished store.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False) -> None:
        self._path = Path(path)
        if self._path.exists() and not overwrite:
            raise InputError(f"{self._path} exists; choose another output or pass --overwrite to replace it.")
        if self._path.exists() and not (self._path / "meta.json").is_file():
            raise InputError(f"{self._path} exists and is no transcript store; it will not be overwritten.")
        self._columns: dict[str, list[Any]] = {
            name: [] for name in TRANSCRIPT_SCHEMA.names if name not in ("family_id", "length")
        }
        self._lengths: list[int] = []

    def __enter__(self) -> "StoreBuilder":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = Path(tempfile.mkdtemp(prefix=f".{self._path.name}.", suffix=".partial", dir=self._path.parent))
        self._replaced = self._folder.with_suffix(".old")
        self._codes = (self._folder / "codes.u8").open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._codes.close()
        finally:
            if self._replaced.exists() and not self._path.exists():  # interrupted while moving into place
                self._replaced.rename(self._path)
            for folder in (self._folder, self._replaced):
                if folder.exists():
                    shutil.rmtree(folder)

    def __len__(self) -> int:
        return len(self._lengths)

    def add(
        self,
        codes: Codes,
        *,
        transcript_id: str,
        gene_id: str,
        species: str,
        gene_name: str = "",
        biotype: str = "",
        cds: tuple[int, int] | None = None,
        exon_ends: Sequence[int] | NDArray[np.int32] = (),
        source: str = "",
    ) -> None:
        """Append a transcript: annotated ``codes``, uint8 (L,), and what the table says of it."""
        self._codes.write(codes.tobytes())
        self._lengths.append(len(codes))
        row = {
            "transcript_id": transcript_id,
            "gene_id": gene_id,
            "gene_name": gene_name,
            "species": species,
            "biotype": biotype,
            "cds_start": cds[0] if cds else -1,
            "cds_end": cds[1] if cds else -1,
            "exon_ends": np.asarray(exon_ends, dtype=np.int32),
            "source": source,
        }
        for name, value in row.items():
            self._columns[name].append(value)

    def finish(
        self,
        orthologs: pa.Table | None = None,
        homologs: pa.Table | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> None:
        """Compute families, write the tables and move the store into place.

        ``orthologs`` (columns as in :data:`ORTHOLOG_SCHEMA`) are pairs and join families; ``homologs`` (columns as in
        :data:`HOMOLOG_SCHEMA`), genes by the group they belong to, only join families. Both may name unknown genes:
        these are left out and counted in ``meta.json``. Raises InputError if no transcript was added or a transcript
        id occurs twice.
        """
        if not self._lengths:
            raise InputError(f"no transcript to write to {self._path}: the filters or the input left none.")
        ids = pa.array(self._columns["transcript_id"], pa.string())
        counts = pc.value_counts(ids)
        twice = counts.filter(pc.greater(counts.field("counts"), 1)).field("values").to_pylist()
        if twice:
            raise InputError(f"{len(twice)} transcript ids occur more than once, for example {', '.join(twice[:3])}.")
        orthologs, homologs = orthologs or ORTHOLOG_SCHEMA.empty_table(), homologs or HOMOLOG_SCHEMA.empty_table()
        known, families, unknown = self._families(orthologs, homologs)
        table = pa.table({**self._columns, "family_id": families, "length": self._lengths}, schema=TRANSCRIPT_SCHEMA)
        self._codes.close()
        pq.write_table(table, self._folder / "transcripts.parquet", compression="zstd")
        pq.write_table(known, self._folder / "orthologs.parquet", compression="zstd")
        np.save(self._folder / "offsets.npy", np.concatenate([[0], np.cumsum(self._lengths, dtype=np.int64)]))
        document = {
            "format_version": FORMAT_VERSION,
            **(meta or {}),
            "counts": {
                "transcripts": len(table),
                "nt": int(sum(self._lengths)),
                "genes": len({*zip(self._columns["species"], self._columns["gene_id"], strict=True)}),
                "families": len(set(families)),
                "species": len(set(self._columns["species"])),
                "ortholog_gene_pairs": len(known),
                **unknown,
            },
            "files": {
                name: {"bytes": (self._folder / name).stat().st_size, "sha256": sha256(self._folder / name)}
                for name in _FILES
            },
        }
        (self._folder / "meta.json").write_text(json.dumps(document, indent=2) + "\n")
        self._move_into_place()

    def _families(self, orthologs: pa.Table, homologs: pa.Table) -> tuple[pa.Table, list[str], dict[str, int]]:
        """Ortholog pairs whose genes are known, the family of each transcript, and how many genes are not known."""
        keys = list(zip(self._columns["species"], self._columns["gene_id"], strict=True))
        gene_of: dict[tuple[str, str], int] = {}
        for key in keys:
            gene_of.setdefault(key, len(gene_of))

        def genes(table: pa.Table, side: str = "") -> NDArray[np.int64]:
            named = zip(table[f"species{side}"].to_pylist(), table[f"gene_id{side}"].to_pylist(), strict=True)
            return np.array([gene_of.get(key, -1) for key in named], dtype=np.int64)

        pairs = np.stack([genes(orthologs, "_a"), genes(orthologs, "_b")], axis=1)
        known = (pairs >= 0).all(axis=1)
        members = genes(homologs)
        grouped = members >= 0
        edges = np.concatenate([pairs[known], star_edges(members[grouped], homologs["group"].filter(grouped))])
        species_order = list(dict.fromkeys(self._columns["species"]))
        names = family_names([k[0] for k in gene_of], [k[1] for k in gene_of], edges, species_order)
        table = orthologs.select(ORTHOLOG_SCHEMA.names).cast(ORTHOLOG_SCHEMA).filter(pa.array(known))
        unknown = {
            "ortholog_gene_pairs_unknown_gene": int((~known).sum()),
            "homologs_unknown_gene": int((~grouped).sum()),
        }
        return table, [names[gene_of[key]] for key in keys], unknown

    def _move_into_place(self) -> None:
        self._folder.chmod(0o777 & ~_umask())  # mkdtemp made it private
        if self._path.exists():
            self._path.rename(self._replaced)
        self._folder.rename(self._path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
