"""Families: what never straddles a split and is never a negative of its own.

A family is a connected component of genes under 'ortholog of' and, where groups of homologous genes are given,
'homolog of' (a gene's transcripts belong together by themselves).
Splits hash the family's name, so a family stays on its side when other data is added.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Split = Literal["train", "val", "test"]


def family_names(
    species: Sequence[str], gene_ids: Sequence[str], edges: NDArray[np.int64], species_order: Sequence[str]
) -> list[str]:
    """The family of each of G genes, as a name.

    ``edges`` is int (E, 2), pairs of gene indices that are orthologs or homologs. A family is named
    ``species:gene_id`` after its member of the earliest species in ``species_order``, the smallest ``gene_id`` among
    several, so that data of further species leaves the names as they are.
    """
    n = len(gene_ids)
    links = coo_array((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(n, n))
    _, component = connected_components(links, directed=False)
    rank = {name: i for i, name in enumerate(species_order)}
    names = [""] * int(component.max() + 1) if n else []
    for i in sorted(range(n), key=lambda i: (rank[species[i]], gene_ids[i])):
        names[component[i]] = names[component[i]] or f"{species[i]}:{gene_ids[i].removeprefix(f'{species[i]}:')}"
    return [names[c] for c in component]


def star_edges(genes: NDArray[np.int64], groups: pa.ChunkedArray) -> NDArray[np.int64]:
    """Edges (E, 2) that join the members of each group, from its first gene to the others.

    ``genes`` are G indices of genes, ``groups`` (G,) the names of what each belongs to; a gene may be in several.
    """
    codes = groups.combine_chunks().dictionary_encode().indices.to_numpy(zero_copy_only=False)
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    hub = genes[first[group.reshape(-1)]]
    apart = hub != genes
    return np.stack([hub[apart], genes[apart]], axis=1)


def split_of(families: Sequence[str], val: float, test: float, salt: str = "") -> NDArray[np.str_]:
    """The side of each family, 'train', 'val' or 'test', by a hash of its name alone.

    ``val`` and ``test`` are the expected fractions of families, ``salt`` another draw.
    """
    sides: dict[str, Split] = {}
    for name in families:
        if name not in sides:
            digest = hashlib.blake2b(f"{salt}\0{name}".encode(), digest_size=8).digest()
            position = int.from_bytes(digest, "big") / 2**64
            sides[name] = "test" if position < test else "val" if position < test + val else "train"
    return np.array([sides[name] for name in families], dtype=np.str_)
