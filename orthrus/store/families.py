"""Families of genes: the unit of every split; transcripts of one family are not negatives of each other.

A family is a connected component of genes under 'ortholog of', 'homolog of' and 'of similar sequence'; the transcripts
of a gene always belong together. Splits hash the name of the family, so a family stays on its side when other data are
added.
"""

import hashlib
from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Split = Literal["train", "val", "test"]


class Families(NamedTuple):
    """``number``: int32 (G,), the family of each gene, in order of first occurrence; ``names`` of the F families."""

    number: NDArray[np.int32]
    names: pa.StringArray


def join_families(
    species: NDArray[np.integer], species_names: list[str], gene_ids: pa.StringArray, edges: NDArray[np.integer]
) -> Families:
    """The families of G genes, whose ``species`` (G,) are indices into ``species_names``.

    ``edges``, int (E, 2), are pairs of genes of one family. A family is named ``species:gene_id`` after its gene of the
    first species, with the smallest ``gene_id`` of several, so that data of further species do not change the name.
    """
    n = len(gene_ids)
    links = coo_array((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(n, n))
    _, number = connected_components(links, directed=False)
    table = pa.table({"species": species, "gene_id": gene_ids})
    order = pc.sort_indices(table, sort_keys=[("species", "ascending"), ("gene_id", "ascending")]).to_numpy()
    _, first = np.unique(number[order], return_index=True)
    named_after = order[first]
    prefixes = pa.array(species_names, pa.string()).take(pa.array(species[named_after]))
    bare = [
        gene.removeprefix(f"{prefix}:") if ":" in gene else gene
        for prefix, gene in zip(prefixes.to_pylist(), gene_ids.take(pa.array(named_after)).to_pylist(), strict=True)
    ]
    names = pc.binary_join_element_wise(prefixes, pa.array(bare, pa.string()), ":")
    return Families(number.astype(np.int32), names)


def joined_by(edges: NDArray[np.integer], more: NDArray[np.integer], number: NDArray[np.int32]) -> dict[str, int]:
    """What ``more`` edges (E', 2) join in addition to ``edges`` (E, 2); ``number`` (G,) are the families by both.

    Returns:
        The number of ``genes`` with a partner that would otherwise be of another family, the number of ``families``
        that contain them, and how many ``fewer`` families there are.
    """
    n = len(number)
    before = coo_array((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(n, n))
    n_before, alone = connected_components(before, directed=False)
    across = more[alone[more[:, 0]] != alone[more[:, 1]]]
    return {
        "genes": len(np.unique(across)),
        "families": len(np.unique(number[across])),
        "fewer": n_before - len(np.unique(number)),
    }


def star_edges(genes: NDArray[np.int64], groups: pa.ChunkedArray) -> NDArray[np.int64]:
    """Edges (E, 2) that join the members of each group, from its first gene to the others.

    ``genes`` are G indices of genes, ``groups`` (G,) the names of their groups; a gene may be in several groups.
    """
    codes = groups.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    hub = genes[first[group.reshape(-1)]]
    apart = hub != genes
    return np.stack([hub[apart], genes[apart]], axis=1)


def split_of(families: Iterable[str] | pa.Array, val: float, test: float, salt: str = "") -> NDArray[np.str_]:
    """The side of each of F families, 'train', 'val' or 'test', by a hash of its name alone.

    The sides of transcripts are ``split_of(store.family_names, ...)[store.family]``. ``val`` and ``test`` are the
    expected fractions of families; another ``salt`` gives another split.
    """
    names = families.to_pylist() if isinstance(families, pa.Array) else families
    sides: list[Split] = []
    for name in names:
        digest = hashlib.blake2b(f"{salt}\0{name}".encode(), digest_size=8).digest()
        position = int.from_bytes(digest, "big") / 2**64
        sides.append("test" if position < test else "val" if position < test + val else "train")
    return np.array(sides, dtype=np.str_)
