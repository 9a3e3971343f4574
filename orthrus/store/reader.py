"""An open store: all data that grow with the number of transcripts stay on disk, memory-mapped and shared."""

from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome import codes as coding
from orthrus.genome.codes import CdsFrame, Codes
from orthrus.genome.findings import Findings
from orthrus.spec_file import parse_json
from orthrus.store.layout import FILES, FORMAT_VERSION, SMALL, map_names, sampled_sha256, sha256


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _is_source(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("sha256"), str) and {"path", "bytes"} <= value.keys()


_DESCRIPTION: dict[str, Callable[[Any], bool]] = {  # what of meta.json is read later
    "species": lambda value: _texts(value) and len(value) > 0,
    "counts": lambda value: isinstance(value, dict),
    "dropped": lambda value: isinstance(value, dict),
    "warnings": _texts,
    "cds_frame": lambda value: value in ("annotated", "published"),
    "sources": lambda value: value is None or (isinstance(value, list) and all(map(_is_source, value))),
}


class TranscriptStore:
    """The n transcripts of a store, by index 0 to n - 1 in the order of ``transcripts``; :meth:`open` opens one.

    Coordinates are 0-based, half-open, on the mature mRNA; the CDS includes the stop codon. Arrays are read-only memory
    maps. A store is pickled as its ``path``, so that worker processes map the same pages. ``meta`` is the content of
    its ``meta.json``.

    Examples:
        >>> import orthrus
        >>> store = orthrus.TranscriptStore.open("stores/demo")
        >>> i = store.index_of("NM_000039")
        >>> store.sequence(i)[:9], store.tracks(i).shape, store.cds[i].tolist()
        ('AGAGACTGC', (6, 899), [38, 842])
        >>> len(store), store.transcripts.num_rows, sorted(set(store.column("species")))
        (2127, 2127, ['chimp', 'gorilla', 'human', 'orangutan'])
    """

    def __init__(self, path: Path, meta: dict[str, Any]) -> None:
        self.path = path
        self.meta = meta

    @classmethod
    def open(cls, path: str | Path) -> "TranscriptStore":
        """Open the store at ``path``.

        Files of up to 4 MB are compared with their checksums, larger ones by samples, which takes some 10 ms. Raises
        InputError if there is no store, or if it is incomplete, damaged, or of another format version.
        """
        store = cls._mapped(Path(path))
        store._compare(whole=False)
        return store

    @classmethod
    def _mapped(cls, path: Path) -> "TranscriptStore":
        if not (path / "meta.json").is_file():
            what = "no such folder" if not path.exists() else "it holds no meta.json"
            raise InputError(f"{path} is not a transcript store: {what}. Make one with `orthrus prepare`.")
        try:
            meta = parse_json((path / "meta.json").read_text())
            version = meta["format_version"]
            sizes = {name: meta["files"][name]["bytes"] for name in FILES} if version == FORMAT_VERSION else {}
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path / 'meta.json'} cannot be read ({error}); prepare the store again.") from None
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path} has store format {version}; this version of orthrus reads {FORMAT_VERSION}."
                " Prepare the store again, or use the orthrus version that made it"
                f" ({meta.get('created_by', 'unknown')})."
            )
        for key, fits in _DESCRIPTION.items():
            if not fits(meta.get(key)):
                raise InputError(f"{path / 'meta.json'} has no usable {key}; copy or prepare the store again.")
        for name, size in sizes.items():
            found = (path / name).stat().st_size if (path / name).is_file() else None
            if found != size:
                state = "is missing" if found is None else f"has {found:,} bytes"
                raise InputError(f"{path / name} {state}, expected {size:,} bytes; copy or prepare the store again.")
        return cls(path, meta)

    def __reduce__(self) -> tuple[Any, ...]:
        return TranscriptStore._mapped, (self.path,)

    def __len__(self) -> int:
        return len(self.lengths)

    def __repr__(self) -> str:
        return f"TranscriptStore({str(self.path)!r}, {len(self):,} transcripts)"

    @cached_property
    def transcripts(self) -> pa.Table:
        """The table of transcripts, with the columns of :data:`orthrus.store.TRANSCRIPT_SCHEMA`, read whole."""
        return self.table("transcripts")

    @cached_property
    def orthologs(self) -> pa.Table:
        """Ortholog gene pairs (:data:`orthrus.store.ORTHOLOG_SCHEMA`) with both genes in the store."""
        return self.table("orthologs")

    def findings(self) -> dict[str, Findings]:
        """The dropped and the noted transcripts, by source."""
        found: dict[str, Findings] = {}
        for name in ("dropped", "noted"):
            for row in self.table(name).to_pylist():
                tally = getattr(found.setdefault(row["source"], Findings()), name)
                tally.add_counted(row["reason"], row["count"], row["examples"])
        return found

    def table(self, name: str) -> pa.Table:
        """A table of the store by the ``name`` of its file, such as ``dropped``."""
        return pq.read_table(self.path / f"{name}.parquet", memory_map=True)

    def array(self, name: str) -> NDArray[Any]:
        """An array of the store by the ``name`` of its file, such as ``members``, memory-mapped."""
        return np.asarray(np.load(self.path / "arrays" / f"{name}.npy", mmap_mode="r"))

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Lengths in nt, int64 (n,)."""
        return self.array("lengths")

    @cached_property
    def cds(self) -> NDArray[np.int32]:
        """Start and end of each CDS, int32 (n, 2), -1 without one."""
        return self.array("cds")

    @cached_property
    def species(self) -> NDArray[np.uint16]:
        """Number of each transcript's species, uint16 (n,), into :attr:`species_names`."""
        return self.array("species")

    @property
    def species_names(self) -> list[str]:
        """The species, in their order in the input."""
        names: list[str] = self.meta["species"]
        return names

    @property
    def cds_frame(self) -> CdsFrame:
        """Where codons begin in this store: where the annotation says, or counted from the start of the CDS."""
        frame: CdsFrame = self.meta["cds_frame"]
        return frame

    @cached_property
    def family(self) -> NDArray[np.int32]:
        """Number of each transcript's family, int32 (n,), into :attr:`family_names`."""
        return self.array("family")

    @cached_property
    def family_names(self) -> pa.LargeStringArray:
        """Names of the F families, mapped."""
        return map_names(self.path / "arrays" / "family_names.arrow")

    @cached_property
    def transcript_ids(self) -> pa.LargeStringArray:
        """Ids of the n transcripts, mapped."""
        return map_names(self.path / "arrays" / "transcript_ids.arrow")

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each transcript begins in :attr:`all_codes`, and where the last one ends, int64 (n + 1,)."""
        return self.array("offsets")

    @cached_property
    def _id_order(self) -> NDArray[np.int64]:
        return self.array("id_order")

    @cached_property
    def all_codes(self) -> Codes:
        """The codes of all transcripts end to end, uint8, mapped."""
        return np.asarray(np.memmap(self.path / "codes.u8", dtype=np.uint8, mode="r"))

    def column(self, name: str) -> list[Any]:
        """The column called ``name`` of :attr:`transcripts` as a list of n Python values."""
        values: list[Any] = self.transcripts.column(name).to_pylist()
        return values

    def index_of(self, transcript_id: str) -> int:
        """The index of the transcript with this ``transcript_id``; raises InputError naming similar ids without one."""
        place = self._place(transcript_id)
        if place < len(self) and self._id_at(place) == transcript_id:
            return int(self._id_order[place])
        stem = transcript_id.split(".")[0]
        following = map(self._id_at, range(self._place(stem), len(self)))
        near = [name for name in islice(following, 3) if name.startswith(stem)]
        near = near or list(map(self._id_at, range(min(3, len(self)))))
        raise InputError(f"no transcript {transcript_id!r} in {self.path}; it has, for example, {', '.join(near)}")

    def _place(self, name: str) -> int:
        """The number of ids that sort before ``name``."""
        return bisect_left(range(len(self)), name, key=self._id_at)

    def _id_at(self, place: int) -> str:
        name: str = self.transcript_ids[int(self._id_order[place])].as_py()
        return name

    def codes(self, i: int) -> Codes:
        """Codes of transcript ``i``, a read-only view, uint8 (L,)."""
        return self.all_codes[self.offsets[i] : self.offsets[i + 1]]

    def sequence(self, i: int) -> str:
        """Sequence of transcript ``i`` in A, C, G, T and N, 5'->3'."""
        return coding.decode_bases(self.codes(i))

    def tracks(self, i: int, n_tracks: int = 6) -> Codes:
        """Tracks of transcript ``i``, uint8 (n_tracks, L): A, C, G, T and, with 6, CDS and splice."""
        return coding.tracks(self.codes(i), n_tracks)

    def verify(self) -> None:
        """Compare every file with its checksum; raises InputError naming the first file that differs."""
        self._compare(whole=True)

    def _compare(self, whole: bool) -> None:
        """Compare files with their checksums, large ones by samples unless ``whole``."""
        for name in FILES:
            expected = self.meta["files"][name]
            sampled = not whole and expected["bytes"] > SMALL
            key, found = ("sampled_sha256", sampled_sha256) if sampled else ("sha256", sha256)
            if key in expected and found(self.path / name) != expected[key]:
                raise InputError(f"{self.path / name} does not match its checksum; copy or prepare the store again.")
